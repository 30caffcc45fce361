"""EEG-SVRec: lab viewers who rated every short video (Zhang et al., SIGIR 2024).

One JSON file per viewer (`NN_behavior_MAES.json`, viewer NN), whose keys are item ids. Everybody is
asked about every video, so each rated view is an ask of propensity 1 and its answer: satisfaction 1-2
is `dissatisfied`, 3 `uncertain`, 4-5 `satisfied`. A view's behavior and answer are reported at its
`end_time`. The data does not define a long view: here it is a play ratio of at least 0.7, and a video is
finished from 0.95 on. The ratings other than satisfaction and the EEG are never features.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from easq.errors import InputError
from easq.sources.datasets.base import EventSource
from easq.sources.datasets.cells import blank, ids, number, whole
from easq.sources.datasets.feature_rows import FeatureRows
from easq.sources.datasets.rejected_rows import Rejects
from easq.sources.datasets.request_cutter import into_requests
from easq.sources.datasets.row_files import ROW
from easq.sources.datasets.rows import DID, LONGEST_PLAY_MS, Parse, checks, read_views, time_checks, value
from easq.sources.datasets.sources import (
    Source,
    check_folder,
    find,
    find_one,
    listing,
    open_file,
    require,
)
from easq.sources.datasets.stream import events_of
from easq.sources.datasets.views import HistoryOf, ViewRate, Views

ZONE_MS = 8 * 3600 * 1000
HISTORY = 50
LONG_VIEW_RATIO = 0.7
FINISH_RATIO = 0.95

LOGS = "*_behavior_MAES.json"
SATISFACTION = ("satisf", "interest")
FIELDS = ("start_time", "end_time", "video_duration", "like", "video_tag", "video_order")
CONTEXT = ("session_id", "session_mode")
VIDEO_NUMBERS = {
    "music_tempo": "music_tempo",
    "brightness": "brightness",
    "contrast": "contrast",
    "saturation": "saturation",
    "color_cast": "color_cast",
    "sharpness": "laplace_var",
    "entropy": "E_2D",
}
OPTIONS = {1: "dissatisfied", 2: "dissatisfied", 3: "uncertain", 4: "satisfied", 5: "satisfied"}


def load_eeg_svrec(path: Path, rejects: Path | None = None) -> EventSource:
    """Return the events of an EEG-SVRec folder. Rows that cannot be used go to the file `rejects`.

    Raises InputError if a file, a column or a field is missing.
    """
    expected = f"{LOGS} (one per viewer), participants.csv and video_features.csv"
    check_folder(path, expected)
    logs = find(path, [LOGS])
    if not logs:
        raise InputError(f"{path} holds no {LOGS}; expected {expected}; found {listing(path)}")
    users = _users(find_one(path, "participant*.csv", "who took part"), path)
    videos = _videos(find_one(path, "video_features.csv", "features of videos"), path)

    rows_by_log = [_read(log) for log in logs]
    present = sorted({field for rows in rows_by_log for row in rows for field in row})
    rating = next((field for field in SATISFACTION if field in present), SATISFACTION[0])
    fields = [*FIELDS, *CONTEXT, rating]
    require(fields, present, f"{path}: {LOGS}")
    rejected = Rejects(rejects)
    sources = [
        _source(str(log.relative_to(path)), rows, [*fields, "preference"])
        for log, rows in zip(logs, rows_by_log, strict=True)
    ]
    rows = into_requests(read_views(sources, _parse(rating), rejected))
    rows = rows.with_columns(
        users.places(rows["user"]).alias("user_place"), videos.places(rows["item"]).alias("video_place")
    )
    views = Views(
        name="eeg_svrec",
        rows=rows,
        features=partial(_features, users=users, videos=videos),
        viewer=("user_id", "gender", "usage", "age", "session_mode", "hour"),
        candidate=(
            *("item_id", "video_tag", "preference", "audio_category"),
            *("duration_s", "video_order", *VIDEO_NUMBERS),
        ),
        behaviors=("play_ms", "play_ratio", "like", "long_view", "finish"),
        histories=(
            HistoryOf(name="recent_items", of="item_id", length=HISTORY),
            HistoryOf(name="recent_tags", of="video_tag", length=HISTORY),
        ),
        rates=(
            ViewRate(
                name="item_rate", of="item_id", behavior="long_view", half_life_days=365.0, prior_views=2.0
            ),
            ViewRate(name="tag_rate", of="video_tag", behavior="long_view", half_life_days=365.0),
        ),
    )
    return EventSource(partial(events_of, views), rejected)


def _read(file: Path) -> list[dict[str, Any]]:
    """Return a viewer's interactions in the order of the file, including those of a repeated item id."""
    try:
        content = json.loads(file.read_bytes(), object_pairs_hook=_Pairs)
    except ValueError as error:
        raise InputError(f"{file} is not JSON: {error}") from error
    if type(content) is not _Pairs:
        raise InputError(
            f"{file} must hold one object of interactions by item id, got {type(content).__name__}"
        )
    if not (user := file.name.removesuffix(LOGS[1:])).isdecimal():
        raise InputError(f"{file} must begin with the viewer's number, as 01{LOGS[1:]}")
    return [
        {**(dict(fields) if isinstance(fields, _Pairs) else {}), "user_id": user, "item_id": item}
        for item, fields in content
    ]


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with all its keys, so that repeated ones are not lost."""


def _source(name: str, rows: list[dict[str, Any]], fields: list[str]) -> Source:
    texts = {
        field: [None if (value := row.get(field)) is None else str(value) for row in rows]
        for field in ["user_id", "item_id", *fields]
    }
    frame = pl.DataFrame(texts, schema=dict.fromkeys(texts, pl.String))
    return Source(name, frame.lazy().with_row_index(ROW, offset=1))


def _parse(rating: str) -> Parse:
    start, end, duration = value("start_time"), value("end_time"), value("video_duration")
    option = value(rating).replace_strict(OPTIONS, default=None, return_dtype=pl.String)
    ratio = (end - start) / 1000 / duration
    done = {
        "play_ms": end - start,
        "play_ratio": ratio,
        "like": value("like"),
        "long_view": ratio >= LONG_VIEW_RATIO,
        "finish": ratio >= FINISH_RATIO,
    }
    return Parse(
        cells={
            **{field: whole(field) for field in ("user_id", "item_id", "start_time", "end_time")},
            **{field: number(field) for field in ("video_duration", "video_order", "like", rating)},
        },
        columns={
            "user": value("user_id"),
            "item": value("item_id"),
            "ts": start,
            "reported": end,
            "request": pl.col("session_id"),
            "option": option,
            "propensity": pl.when(option.is_not_null()).then(1.0),
            **{DID + name: amount.cast(pl.Float32) for name, amount in done.items()},
            "duration_s": duration.cast(pl.Float32),
            "video_order": value("video_order").cast(pl.Float32),
            **{name: pl.col(name) for name in ("video_tag", "preference", "session_mode")},
        },
        bad=[
            *checks("user_id"),
            *checks("item_id"),
            *time_checks("start_time"),
            *time_checks("end_time"),
            ("ends_before_start", end < start),
            ("bad_end_time", end - start > LONGEST_PLAY_MS),
            *checks("video_duration"),
            ("bad_video_duration", duration <= 0),
            *checks("like", at_least=0, needed=False),
        ],
        bad_answer=[(f"bad_{rating}", option.is_null() & ~blank(rating))],
    )


def _users(file: Path, root: Path) -> FeatureRows:
    columns = {"key": whole("user_id"), "gender": pl.col("gender"), "usage": pl.col("usage")}
    source = open_file(file, root, ["user_id", "gender", "age", "usage"])
    rows = source.select({}, {**columns, "age": _float("age")})
    return FeatureRows(rows["key"], pl.DataFrame([ids(rows["gender"]), ids(rows["usage"]), rows["age"]]))


def _videos(file: Path, root: Path) -> FeatureRows:
    source = open_file(file, root, ["item_id", "audio_category", *VIDEO_NUMBERS.values()])
    numbers = {name: _float(column) for name, column in VIDEO_NUMBERS.items()}
    rows = source.select({}, {"key": whole("item_id"), "audio": pl.col("audio_category"), **numbers})
    audio = ids(rows["audio"]).alias("audio_category")
    return FeatureRows(rows["key"], pl.DataFrame([audio, *rows.select(*numbers)]))


def _float(column: str) -> pl.Expr:
    return number(column).cast(pl.Float32).fill_null(float("nan"))


def _features(rows: pl.DataFrame, users: FeatureRows, videos: FeatureRows) -> pl.DataFrame:
    begun = pl.from_epoch(pl.col("request_ts") + ZONE_MS, time_unit="ms").dt
    tables = [users.take(rows["user_place"]), videos.take(rows["video_place"])]
    return pl.concat([rows, *tables], how="horizontal").with_columns(
        *(ids(rows[name]) for name in ("video_tag", "preference", "session_mode")),
        pl.col("user").alias("user_id"),
        pl.col("item").alias("item_id"),
        pl.col("video_order").fill_null(float("nan")),
        begun.hour().cast(pl.Int64).alias("hour"),
    )
