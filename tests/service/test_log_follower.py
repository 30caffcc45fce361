"""The profiles follow the log: what others append, what this process appends, and after trouble."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest

from easq.features.profiles import Profiles
from easq.log.events import EVENTS, PROFILES, Behavior, Event, ItemUpdate, Request
from easq.log.packing import pack_ids
from easq.log.sqlite import SqliteLog
from easq.service.log_follower import LogFollower
from tests.support.small_worlds import small_recipe

RECIPE = small_recipe()


def item_update(n: int) -> ItemUpdate:
    return ItemUpdate(
        event_id=f"i{n}", user_id="", ts=n, item_id=f"i{n}", values={"author_id": pack_ids([n])}
    )


def requests(num: int) -> list[Event]:
    return [
        Request(event_id=f"r{n}", user_id=f"u{n}", ts=n, items=["a"], viewer={}, candidates={})
        for n in range(num)
    ]


def run(
    log: SqliteLog,
    profiles: Profiles,
    test: Callable[[LogFollower], Coroutine[Any, Any, None]],
    save: Callable[[], None] = lambda: None,
    save_seconds: float = 3600,
) -> list[int]:
    """Follow while `test` runs; return how often reading failed."""
    failures: list[int] = []

    async def main() -> None:
        follower = LogFollower(log, profiles, save, save_seconds, lambda: failures.append(1))
        follower.start()
        try:
            async with asyncio.timeout(30):
                await test(follower)
        finally:
            await follower.stop()

    asyncio.run(main())
    return failures


async def caught_up(follower: LogFollower) -> None:
    while not follower.caught_up:
        await asyncio.sleep(0.001)


def test_what_was_there_is_applied_before_it_is_ready(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "log") as log:
        log.append(EVENTS, requests(1000))
        log.append(PROFILES, [item_update(n) for n in range(1000)])
        profiles = Profiles.of(RECIPE, 4)

        async def test(follower: LogFollower) -> None:
            assert not follower.caught_up
            await caught_up(follower)
            assert profiles.offsets == [*log.end_offsets(EVENTS), *log.end_offsets(PROFILES)]
            assert profiles.item_values("i999") == {"author_id": pack_ids([999])}

        run(log, profiles, test)


def test_what_another_process_appends_is_found(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "log") as log, SqliteLog(tmp_path / "log") as other:

        async def test(follower: LogFollower) -> None:
            await caught_up(follower)
            for n in range(20):
                positions = await asyncio.to_thread(other.append, PROFILES, [item_update(n)])
                await follower.reached(PROFILES, positions)
                assert profiles.item_values(f"i{n}") is not None

        profiles = Profiles.of(RECIPE, 4)
        run(log, profiles, test)


def test_it_continues_from_the_offsets_of_the_profiles(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "log") as log:
        profiles = Profiles.of(RECIPE, 4)
        log.append(PROFILES, [item_update(1)])
        run(log, profiles, caught_up)
        log.append(PROFILES, [item_update(2)])
        run(log, profiles, caught_up)
        assert sum(profiles.offsets) == 2
        assert profiles.item_values("i2") is not None


def test_saving_happens_between_changes_and_at_the_end(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "log") as log:
        saved: list[list[int]] = []
        profiles = Profiles.of(RECIPE, 4)

        async def test(follower: LogFollower) -> None:
            for n in range(50):
                positions = await asyncio.to_thread(log.append, PROFILES, [item_update(n)])
                await follower.reached(PROFILES, positions)

        run(log, profiles, test, lambda: saved.append(list(profiles.offsets)), save_seconds=0.01)
        assert len(saved) > 1
        assert saved == sorted(saved)
        assert saved[-1] == profiles.offsets


def test_an_unwritable_store_is_counted_and_following_continues(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "log") as log:
        profiles = Profiles.of(RECIPE, 4)

        def save() -> None:
            (tmp_path / "no folder" / "store").write_bytes(b"")

        async def test(follower: LogFollower) -> None:
            positions = await asyncio.to_thread(log.append, PROFILES, [item_update(1)])
            await follower.reached(PROFILES, positions)
            positions = await asyncio.to_thread(log.append, PROFILES, [item_update(2)])
            await follower.reached(PROFILES, positions)

        assert run(log, profiles, test, save, save_seconds=0.01)


def test_a_fault_in_the_profiles_stops_following_and_is_reported(tmp_path: Path) -> None:
    class Faulty(Profiles):
        def apply(self, topic: str, partition: int, events: Sequence[Event]) -> None:
            raise ZeroDivisionError("a fault")

    with SqliteLog(tmp_path / "log") as log:
        log.append(EVENTS, requests(1))

        async def test(follower: LogFollower) -> None:
            while not follower.broken:
                await asyncio.sleep(0.001)
            assert "could not take an event: ZeroDivisionError('a fault')" in follower.broken
            assert not follower.caught_up

        run(log, Faulty(RECIPE.features, 1000, 4), test)


def test_a_view_is_counted_once_for_the_next_ranking(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "log") as log:
        profiles = Profiles.of(RECIPE, 4)
        seen = Behavior(event_id="b", user_id="u0", ts=1, request_id="r0", items=["a"], values={})

        async def test(follower: LogFollower) -> None:
            await follower.reached(EVENTS, log.append(EVENTS, [*requests(1), seen]))
            recent = profiles.viewer("u0", 2).lists[0]
            assert recent.count_N.tolist() == [1]

        run(log, profiles, test)


@pytest.mark.parametrize("num", [0, 1])
def test_reached_returns_at_once_for_what_is_applied(tmp_path: Path, num: int) -> None:
    with SqliteLog(tmp_path / "log") as log:
        positions = log.append(PROFILES, [item_update(n) for n in range(num)])

        async def test(follower: LogFollower) -> None:
            await caught_up(follower)
            await follower.reached(PROFILES, positions)

        run(log, Profiles.of(RECIPE, 4), test)
