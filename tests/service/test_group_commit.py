"""One write for many calls: each caller gets its own positions, or its own failure."""

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from easq.log.base import LogError, Position
from easq.log.events import EVENTS, PROFILES, Asked, Event
from easq.log.sqlite import SqliteLog
from easq.service.group_commit import Committer


class Gated(SqliteLog):
    """A real log whose appends wait for a gate and are remembered."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.gate, self.writes = threading.Event(), list[tuple[str, int]]()
        self.failing: tuple[int, ...] = ()

    def append_each(self, topic: str, events: Sequence[Event]) -> list[Position | None]:
        self.writes.append((topic, len(events)))
        assert self.gate.wait(30)
        if len(self.writes) in self.failing:
            raise LogError("the disk is full")
        return super().append_each(topic, events)


def asked(n: int) -> Asked:
    return Asked(
        event_id=f"e{n}", user_id=f"u{n}", ts=n, request_id="r", item_id="i", question="q", propensity=1.0
    )


async def begun(log: Gated, num: int = 1) -> None:
    while len(log.writes) < num:
        await asyncio.sleep(0.001)


def test_calls_that_come_during_a_write_share_the_next_one(tmp_path: Path) -> None:
    async def main() -> None:
        first = asyncio.create_task(committer.append(EVENTS, [asked(0)]))
        await begun(log)
        later = [asyncio.create_task(committer.append(EVENTS, [asked(n), asked(n + 1)])) for n in (1, 3, 5)]
        other = asyncio.create_task(committer.append(PROFILES, [asked(9)]))
        await asyncio.sleep(0)
        log.gate.set()
        await asyncio.gather(first, other)
        for n, result in zip((1, 3, 5), await asyncio.gather(*later), strict=True):
            read = [log.read(EVENTS, *place, 1)[0].event_id for place in result if place]
            assert read == [f"e{n}", f"e{n + 1}"]
        assert log.writes == [(EVENTS, 1), (EVENTS, 6), (PROFILES, 1)]

    with Gated(tmp_path / "log") as log:
        committer = Committer(log)
        committer.start()
        asyncio.run(main())
        committer.close()


def test_a_failure_reaches_exactly_the_callers_of_that_write(tmp_path: Path) -> None:
    async def main() -> None:
        first = asyncio.create_task(committer.append(EVENTS, [asked(0)]))
        await begun(log)
        failing = [asyncio.create_task(committer.append(EVENTS, [asked(n)])) for n in (1, 2)]
        await asyncio.sleep(0)
        log.failing = (2,)
        log.gate.set()
        assert len(await first) == 1
        result = await asyncio.gather(*failing, return_exceptions=True)
        assert [type(e) for e in result] == [LogError] * 2
        assert len(await committer.append(EVENTS, [asked(1)])) == 1

    with Gated(tmp_path / "log") as log:
        committer = Committer(log)
        committer.start()
        asyncio.run(main())
        committer.close()


def test_a_caller_that_gave_up_before_the_write_has_nothing_written(tmp_path: Path) -> None:
    async def main() -> None:
        first = asyncio.create_task(committer.append(EVENTS, [asked(0)]))
        await begun(log)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await committer.append(EVENTS, [asked(1)])
        log.gate.set()
        await first
        await committer.append(EVENTS, [asked(2)])
        assert sum(log.end_offsets(EVENTS)) == 2

    with Gated(tmp_path / "log") as log:
        committer = Committer(log)
        committer.start()
        asyncio.run(main())
        committer.close()


def test_a_full_queue_refuses_calls(tmp_path: Path) -> None:
    async def main() -> None:
        first = asyncio.create_task(committer.append(EVENTS, [asked(0)]))
        await begun(log)
        second = asyncio.create_task(committer.append(EVENTS, [asked(1), asked(2)]))
        await asyncio.sleep(0)
        with pytest.raises(LogError, match="2 events wait for the log already"):
            await committer.append(EVENTS, [asked(3)])
        log.gate.set()
        await asyncio.gather(first, second)
        await committer.append(EVENTS, [asked(3)])

    with Gated(tmp_path / "log") as log:
        committer = Committer(log, max_waiting=2)
        committer.start()
        asyncio.run(main())
        committer.close()


def test_closing_writes_what_waits_and_refuses_the_rest(tmp_path: Path) -> None:
    async def main() -> None:
        first = asyncio.create_task(committer.append(EVENTS, [asked(0)]))
        await begun(log)
        second = asyncio.create_task(committer.append(EVENTS, [asked(1)]))
        await asyncio.sleep(0)
        closing = asyncio.create_task(asyncio.to_thread(committer.close))
        log.gate.set()
        await asyncio.gather(first, second, closing)
        with pytest.raises(LogError, match="stopping"):
            await committer.append(EVENTS, [asked(2)])

    with Gated(tmp_path / "log") as log:
        committer = Committer(log)
        committer.start()
        asyncio.run(main())
        assert sum(log.end_offsets(EVENTS)) == 2
