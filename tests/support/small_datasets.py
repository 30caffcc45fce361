"""Small data sets in the real formats, and helpers to read their events."""

import csv
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from easq.log.events import Answered, Asked, Behavior, Event, Request
from easq.log.packing import unpack_floats, unpack_ids
from easq.sources.datasets.base import EventSource
from easq.sources.datasets.kuairand import FLAGS, LOG_COLUMNS, USER_COLUMNS, VIDEO_COLUMNS
from tests.support.paths import ROOT

DAY_MS = 86_400_000
NOON = 1_650_859_200_000
"""2022-04-25 12:00 in UTC+8, a Monday."""

MINUTE = 60_000


def data_folder(name: str) -> Path:
    """Return a folder of the real data, or skip the test."""
    root = Path(os.environ.get("EASQ_DATA") or ROOT.parent / "shared" / "data")
    folder = root / name
    if not folder.is_dir():
        pytest.skip(f"real data: {folder} is not there; set EASQ_DATA to the folder that holds {name}")
    return folder


def write_csv(file: Path, columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as text:
        writer = csv.DictWriter(text, list(columns), restval="")
        writer.writeheader()
        writer.writerows(rows)
    return file


def kuairand_view(user: Any, video: Any, time_ms: Any, **other: Any) -> dict[str, Any]:
    flags = dict.fromkeys([*FLAGS.values(), "is_like", "is_hate"], 0)
    common = {"date": 20220425, "hourmin": 1200, "play_time_ms": 5000, "duration_ms": 10000, "tab": 1}
    return {"user_id": user, "video_id": video, "time_ms": time_ms, **common, **flags, **other}


KUAIRAND_LOG = ["date", "hourmin", *LOG_COLUMNS, *FLAGS.values()]


def kuairand_features(
    root: Path, users: Iterable[int] = (1, 2), videos: Iterable[int] = (10, 11, 12)
) -> None:
    user_rows = [
        {"user_id": user, **dict.fromkeys(USER_COLUMNS, 0), "user_active_degree": "full_active"}
        for user in users
    ]
    write_csv(root / "user_features_pure.csv", ["user_id", *USER_COLUMNS, "other"], user_rows)
    video_rows = [
        {
            "video_id": video,
            "author_id": 100 + video,
            "music_id": 9107419068,
            "video_type": "NORMAL",
            "upload_type": "Web",
            "upload_dt": "2022-04-11",
            "tag": "12,65",
        }
        for video in videos
    ]
    columns = ["video_id", *VIDEO_COLUMNS, "upload_dt", "tag", "server_width"]
    write_csv(root / "video_features_basic_pure.csv", columns, video_rows)


def kuairand(root: Path, views: Iterable[Mapping[str, Any]], file: str = "log_standard_x.csv") -> Path:
    """Write a folder as it is downloaded, with viewers 1 and 2 and videos 10 to 12 known."""
    kuairand_features(root / "data")
    write_csv(root / "data" / file, KUAIRAND_LOG, views)
    return root


def eeg_view(start: int, seconds: float = 20, satisf: Any = 4, **other: Any) -> dict[str, Any]:
    return {
        "like": 0,
        "start_time": start,
        "end_time": start + round(seconds * 1000),
        "video_duration": 40,
        "video_tag": 7,
        "immersion": 5,
        "satisf": satisf,
        "valance": 1,
        "session_id": 1,
        "video_order": 1,
        "session_mode": "personalized",
        **other,
    }


def eeg_svrec(root: Path, viewers: Mapping[str, Any]) -> Path:
    """Write one JSON file per viewer (a dict, or JSON text), with viewer 1 and item 10 known."""
    (root / "metadata").mkdir(parents=True, exist_ok=True)
    for number, views in viewers.items():
        text = views if isinstance(views, str) else json.dumps(views)
        (root / "metadata" / f"{number}_behavior_MAES.json").write_text(text)
    (root / "participants.csv").write_text("user_id,gender,age,usage\n1,2,23,4\n")
    numbers = "music_tempo,brightness,contrast,saturation,color_cast,laplace_var,E_2D"
    (root / "video_features.csv").write_text(
        f"item_id,audio_category,{numbers},E_1D\n10,Music,120.5,100,60,80,1.5,9000,,\n"
    )
    return root


def events_of(loaded: EventSource) -> list[Event]:
    return [event for chunk in loaded for event in chunk]


def requests_of(loaded: EventSource) -> list[Request]:
    return [event for event in events_of(loaded) if isinstance(event, Request)]


def short(event: Event) -> tuple[Any, ...]:
    """Return an event as (kind, viewer, time, ...), for comparing whole streams."""
    match event:
        case Request():
            return ("request", event.user_id, event.ts, event.items)
        case Behavior():
            values = {name: float(unpack_floats(column)[0]) for name, column in event.values.items()}
            return ("behavior", event.user_id, event.ts, event.items, values)
        case Asked():
            return ("asked", event.user_id, event.ts, event.item_id, event.propensity)
        case Answered():
            return ("answered", event.user_id, event.ts, event.item_id, event.option, event.propensity)


def ids_in(request: Request, name: str) -> list[int]:
    return unpack_ids({**request.viewer, **request.candidates}[name]).tolist()


def floats_in(request: Request, name: str) -> list[float | None]:
    values = unpack_floats({**request.viewer, **request.candidates}[name])
    return [None if np.isnan(value) else round(float(value), 4) for value in values]
