"""What holds for every log: nothing is lost, nothing leaks, the same rows give the same bytes."""

import random
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from easq.log.events import Answered, Behavior, Request, encode
from easq.sources.datasets.base import EventSource
from easq.sources.datasets.kuairand import HISTORY, load_kuairand
from easq.sources.datasets.request_cutter import GAP_MS
from tests.support.small_datasets import NOON, events_of, ids_in, kuairand, kuairand_view

Row = dict[str, Any]

times = st.integers(0, 40).map(lambda n: NOON + n * GAP_MS // 4)
good_rows = st.builds(
    kuairand_view,
    st.integers(1, 3),
    st.integers(10, 14),
    times,
    play_time_ms=st.sampled_from([0, 10, 5000, GAP_MS]),
    long_view=st.integers(0, 1),
    is_like=st.sampled_from([0, 1, ""]),
    is_hate=st.integers(0, 1),
)
odd = st.sampled_from(["", "-1", "0", "x", "nan", "1e9", "2.5", " 3 ", "inf"])
odd_rows = st.builds(
    lambda row, column, value: {**row, column: value},
    good_rows,
    st.sampled_from(
        ["user_id", "video_id", "time_ms", "play_time_ms", "duration_ms", "is_click", "is_like", "tab"]
    ),
    odd,
)
good_logs = st.lists(good_rows, max_size=40)
logs = st.lists(st.one_of(good_rows, odd_rows), max_size=40)


def load(root: str, rows: list[Row], name: str = "a") -> tuple[EventSource, Path]:
    rejects = Path(root) / f"{name}.jsonl"
    return load_kuairand(kuairand(Path(root) / name, rows), rejects), rejects


@settings(max_examples=25, deadline=None)
@given(logs)
def test_every_row_is_used_or_rejected(rows: list[Row]) -> None:
    with TemporaryDirectory() as root:
        loaded, file = load(root, rows)
        lines = [msgspec.json.decode(line) for line in file.read_bytes().splitlines()]
    events = events_of(loaded)
    rejects = loaded.rejects
    assert rejects.read == len(rows)
    assert rejects.used == sum(isinstance(event, Behavior) for event in events)
    assert rejects.read == rejects.used + rejects.rows.total()
    assert len(lines) == rejects.rows.total() + rejects.answers.total()
    rejected = {line["row"] for line in lines if line["reason"] in rejects.rows}
    assert len(rejected) == rejects.rows.total()


@settings(max_examples=25, deadline=None)
@given(good_logs)
def test_histories_hold_only_the_past(rows: list[Row]) -> None:
    with TemporaryDirectory() as root:
        events = events_of(load(root, rows)[0])
    plays = {(r["user_id"], r["video_id"], r["time_ms"]): (-1, 0) for r in rows}
    for r in rows:
        key = (r["user_id"], r["video_id"], r["time_ms"])
        plays[key] = max(plays[key], (r["play_time_ms"], r["long_view"]))
    for request in (event for event in events if isinstance(event, Request)):
        known = sorted(
            (ts + play, video, is_long)
            for (user, video, ts), (play, is_long) in plays.items()
            if str(user) == request.user_id and ts + play < request.ts
        )
        recent, long_viewed = ids_in(request, "recent_videos"), ids_in(request, "long_viewed")
        assert sorted(recent) == sorted(video for _, video, _ in known[-HISTORY:])
        assert sorted(long_viewed) == sorted(video for _, video, is_long in known if is_long)


@settings(max_examples=25, deadline=None)
@given(good_logs)
def test_what_follows_a_request_refers_to_it_and_comes_in_order(rows: list[Row]) -> None:
    with TemporaryDirectory() as root:
        events = events_of(load(root, rows)[0])
    assert [event.ts for event in events] == sorted(event.ts for event in events)
    assert len({event.event_id for event in events}) == len(events)
    requests: dict[str, Request] = {}
    exposed: dict[str, list[str]] = defaultdict(list)
    for event in events:
        if isinstance(event, Request):
            requests[event.event_id] = event
            assert len(set(event.items)) == len(event.items)
        elif isinstance(event, Behavior):
            assert event.user_id == requests[event.request_id].user_id
            exposed[event.request_id] += event.items
        elif isinstance(event, Answered):
            assert event.item_id in exposed[event.request_id]
    assert {key: sorted(items) for key, items in exposed.items()} == {
        key: sorted(request.items) for key, request in requests.items()
    }


@settings(max_examples=12, deadline=None)
@given(logs, st.randoms(use_true_random=False))
def test_the_same_rows_give_the_same_bytes_in_any_order(rows: list[Row], chance: random.Random) -> None:
    shuffled = chance.sample(rows, len(rows))
    with TemporaryDirectory() as root:
        once, rejects = load(root, rows, "a")
        again, rejects_again = load(root, rows, "b")
        mixed, _ = load(root, shuffled, "c")
        bytes_of = [[encode(event) for event in events_of(loaded)] for loaded in (once, again, mixed)]
        assert bytes_of[0] == bytes_of[1] == bytes_of[2]
        assert [encode(event) for event in events_of(once)] == bytes_of[0]
        assert rejects.read_bytes() == rejects_again.read_bytes()
        assert once.rejects.rows == mixed.rejects.rows
