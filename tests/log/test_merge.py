from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from easq.log import merge
from easq.log.events import Behavior, Event
from easq.log.merge import MergedReader


class Memory:
    """The reading half of a log, over lists of times."""

    def __init__(self, parts: list[list[int]]) -> None:
        self.parts = [
            [
                Behavior(event_id=f"{p}.{i}", user_id="u", ts=ts, request_id="r", items=[], values={})
                for i, ts in enumerate(times)
            ]
            for p, times in enumerate(parts)
        ]

    def read(self, topic: str, partition: int, offset: int, limit: int) -> list[Event]:
        return list(self.parts[partition][offset : offset + limit])

    def ends(self) -> list[int]:
        return [len(part) for part in self.parts]


def read_all(log: Memory, reader: MergedReader) -> list[str]:
    return [event.event_id for chunk in reader for _, event in chunk]


times = st.lists(st.lists(st.integers(0, 20), max_size=25), min_size=1, max_size=4)


@settings(max_examples=150, deadline=None)
@given(times, st.integers(1, 7))
def test_order_does_not_depend_on_how_much_is_read_at_a_time(parts: list[list[int]], size: int) -> None:
    log = Memory(parts)
    newest = [[max(part[: i + 1]) for i in range(len(part))] for part in parts]
    expected = sorted((newest[p][i], p, i) for p, part in enumerate(parts) for i in range(len(part)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merge, "_READ", size)
        result = read_all(log, MergedReader(log, "events", log.ends()))  # type: ignore[arg-type]
    assert result == [f"{p}.{i}" for _, p, i in expected]


@settings(max_examples=100, deadline=None)
@given(times, st.integers(0, 5))
def test_a_reader_continues_from_its_offsets(parts: list[list[int]], stop: int) -> None:
    log = Memory(parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merge, "_READ", 3)
        straight = read_all(log, MergedReader(log, "events", log.ends()))  # type: ignore[arg-type]
        first = MergedReader(log, "events", log.ends())  # type: ignore[arg-type]
        result: list[str] = []
        for number, chunk in enumerate(first):
            result += [event.event_id for _, event in chunk]
            if number == stop:
                break
        rest = MergedReader(log, "events", log.ends(), first.offsets, first.times)  # type: ignore[arg-type]
        assert result + read_all(log, rest) == straight


def test_until_bounds_the_reading(tmp_path: Path) -> None:
    log = Memory([[1, 2, 3], [1, 2, 3]])
    assert len(read_all(log, MergedReader(log, "events", [2, 1]))) == 3  # type: ignore[arg-type]
