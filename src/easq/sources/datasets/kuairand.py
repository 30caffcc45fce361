"""KuaiRand: logs of a short-video app (Gao et al., CIKM 2022; kuairand.com).

Reads the data set's own CSV logs if there are any, otherwise the Parquet form (`splits/*.parquet`, with
`user_sequences.parquet` for what viewers watched before). It never reads both, so no row counts twice. A
viewer's sequence in that file is used only if it ends before the viewer's first view in the logs. The
feature files are the data set's own. Pure, 1K and 27K have the same columns. All rows of the logs are in
memory at once, but their features and events only in parts.

There is no questionnaire. As a stand-in, like is `satisfied`, hate is `dissatisfied`, and neither is a
behavior. A view starts at `time_ms`, and its behavior is known after its play time. Hour, weekday and an
item's age are in the app's home time zone, UTC+8.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import polars as pl

from easq.errors import InputError
from easq.sources.datasets.base import EventSource
from easq.sources.datasets.cells import id_lists, ids, number, whole
from easq.sources.datasets.feature_rows import FeatureRows
from easq.sources.datasets.rejected_rows import Rejects
from easq.sources.datasets.request_cutter import into_requests
from easq.sources.datasets.rows import DID, LONGEST_PLAY_MS, Parse, checks, read_views, time_checks, value
from easq.sources.datasets.sources import check_folder, find, find_one, listing, open_file, require
from easq.sources.datasets.stream import events_of
from easq.sources.datasets.views import HistoryOf, ViewRate, Views

ZONE_MS = 8 * 3600 * 1000
HISTORY = 50
SEQUENCES = "user_sequences.parquet"

Past = Sequence[tuple[str, Sequence[int]]]

LOG_COLUMNS = ("user_id", "video_id", "time_ms", "play_time_ms", "duration_ms", "tab", "is_like", "is_hate")
FLAGS = {
    "click": "is_click",
    "long_view": "long_view",
    "comment": "is_comment",
    "follow": "is_follow",
    "forward": "is_forward",
    "profile_enter": "is_profile_enter",
}
USER_COLUMNS = (
    "user_active_degree",
    "is_live_streamer",
    "is_video_author",
    "follow_user_num_range",
    "fans_user_num_range",
    "friend_user_num_range",
    "register_days_range",
    *(f"onehot_feat{n}" for n in (0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11)),
)
VIDEO_COLUMNS = ("author_id", "music_id", "video_type", "upload_type")


def load_kuairand(path: Path, rejects: Path | None = None) -> EventSource:
    """Return the events of a KuaiRand folder. Rows that cannot be used go to the file `rejects`.

    Raises InputError if a file or a column is missing.
    """
    expected = "log_standard_*.csv or splits/*.parquet, user_features*.csv and video_features_basic*.csv"
    check_folder(path, expected)
    logs = find(path, ["log_standard_*.csv", "log_random_*.csv"])
    is_original = bool(logs)
    logs = logs or find(path, ["splits/*.parquet"])
    if not logs:
        raise InputError(f"{path} holds no logs; expected {expected}; found {listing(path)}")
    users = _users(find_one(path, "user_features*.csv", "features of viewers"), path)
    videos = _videos(find_one(path, "video_features_basic*.csv", "features of videos"), path)

    rejected = Rejects(rejects)
    sources = [open_file(log, path, [*LOG_COLUMNS, *FLAGS.values()]) for log in logs]
    rows = into_requests(read_views(sources, _parse(), rejected))
    rows = rows.with_columns(
        users.places(rows["user"]).alias("user_place"), videos.places(rows["item"]).alias("video_place")
    )
    watched, long_watched = ([], []) if is_original else _before(path, rows)
    views = Views(
        name="kuairand",
        rows=rows,
        features=partial(_features, users=users, videos=videos),
        viewer=("user_id", *USER_COLUMNS, "hour", "weekday"),
        candidate=("video_id", *VIDEO_COLUMNS, "tag", "tab", "duration_s", "age_days"),
        behaviors=("play_ms", "play_ratio", *FLAGS),
        histories=(
            HistoryOf(name="recent_videos", of="video_id", length=HISTORY, before=watched),
            HistoryOf(
                name="long_viewed", of="video_id", length=HISTORY, where="long_view", before=long_watched
            ),
        ),
        rates=(
            ViewRate(name="video_rate", of="video_id", behavior="long_view"),
            ViewRate(name="author_rate", of="author_id", behavior="long_view"),
        ),
    )
    return EventSource(partial(events_of, views), rejected)


def _parse() -> Parse:
    play, duration = value("play_time_ms"), value("duration_ms")
    like, hate = value("is_like") > 0, value("is_hate") > 0
    option = pl.when(like).then(pl.lit("satisfied")).when(hate).then(pl.lit("dissatisfied"))
    flags = FLAGS.values()
    numbers = ["play_time_ms", "duration_ms", "is_like", "is_hate", *flags]
    return Parse(
        cells={
            **{column: whole(column) for column in ("user_id", "video_id", "time_ms")},
            **{column: number(column) for column in numbers},
        },
        columns={
            "user": value("user_id"),
            "item": value("video_id"),
            "ts": value("time_ms"),
            "reported": value("time_ms") + play.cast(pl.Int64),
            "option": option,
            "propensity": pl.lit(None, pl.Float64),
            DID + "play_ms": play.cast(pl.Float32),
            DID + "play_ratio": (play / duration).cast(pl.Float32),
            **{DID + name: value(column).cast(pl.Float32) for name, column in FLAGS.items()},
            "duration_s": (duration / 1000).cast(pl.Float32),
            "tab": pl.col("tab"),
        },
        bad=[
            *checks("user_id"),
            *checks("video_id"),
            *time_checks("time_ms"),
            *checks("play_time_ms", at_least=0),
            ("bad_play_time_ms", play > LONGEST_PLAY_MS),
            *checks("duration_ms"),
            ("bad_duration_ms", duration <= 0),
            *(check for column in flags for check in checks(column, at_least=0, needed=False)),
        ],
        bad_answer=[
            *checks("is_like", at_least=0, needed=False),
            *checks("is_hate", at_least=0, needed=False),
            ("like_and_hate", like & hate),
        ],
    )


def _users(file: Path, root: Path) -> FeatureRows:
    texts = {column: pl.col(column) for column in USER_COLUMNS}
    rows = open_file(file, root, ["user_id", *texts]).select({}, {"key": whole("user_id"), **texts})
    return FeatureRows(rows["key"], pl.DataFrame([ids(rows[column]) for column in texts]))


def _videos(file: Path, root: Path) -> FeatureRows:
    texts = {column: pl.col(column) for column in (*VIDEO_COLUMNS, "tag")}
    day = pl.col("upload_dt").str.strip_chars().str.head(10).str.to_date("%Y-%m-%d", strict=False)
    source = open_file(file, root, ["video_id", "upload_dt", *texts])
    rows = source.select({}, {"key": whole("video_id"), "uploaded": day, **texts})
    columns = [ids(rows[column]) for column in VIDEO_COLUMNS]
    return FeatureRows(rows["key"], pl.DataFrame([*columns, id_lists(rows["tag"], ","), rows["uploaded"]]))


def _features(rows: pl.DataFrame, users: FeatureRows, videos: FeatureRows) -> pl.DataFrame:
    begun = pl.from_epoch(pl.col("request_ts") + ZONE_MS, time_unit="ms").dt
    seen_on = pl.from_epoch(pl.col("ts") + ZONE_MS, time_unit="ms").dt.date()
    age = (seen_on - pl.col("uploaded")).dt.total_days().cast(pl.Float32)
    tables = [users.take(rows["user_place"]), videos.take(rows["video_place"])]
    return pl.concat([rows, *tables], how="horizontal").with_columns(
        ids(rows["tab"]),
        pl.col("user").alias("user_id"),
        pl.col("item").alias("video_id"),
        begun.hour().cast(pl.Int64).alias("hour"),
        begun.weekday().cast(pl.Int64).alias("weekday"),
        pl.when(age >= 0).then(age).fill_null(float("nan")).alias("age_days"),
    )


def _before(root: Path, rows: pl.DataFrame) -> tuple[Past, Past]:
    """Return what viewers watched, and watched for long, before their first view in the logs."""
    if not find(root, [SEQUENCES]):
        return [], []
    file = find_one(root, SEQUENCES, "what viewers watched before")
    try:
        sequences = pl.read_parquet(file)
        require(["user_id", "last_time_ms", "watch_seq"], sequences.columns, str(file))
        lists = ["watch_seq", *(["long_watch_seq"] if "long_watch_seq" in sequences.columns else [])]
        sequences = sequences.select(
            pl.col("user_id", "last_time_ms").cast(pl.Int64),
            pl.col(lists).cast(pl.List(pl.Int64)).list.drop_nulls(),
        )
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    sequences = sequences.drop_nulls(["user_id", "last_time_ms"])
    firsts = rows.group_by("user").agg(pl.col("ts").min().alias("first"))
    sequences = sequences.join(firsts, left_on="user_id", right_on="user").filter(
        pl.col("last_time_ms") < pl.col("first")
    )
    sequences = sequences.sort("user_id", "last_time_ms").with_columns(pl.col("user_id").cast(pl.String))
    past = [list(sequences.select("user_id", column).drop_nulls().iter_rows()) for column in lists]
    return past[0], past[1] if len(past) > 1 else []
