"""A restart from the file continues like one from the log alone, and reads only later events."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from easq.ask.checkpoint import AsksFile
from easq.ask.rebuild import catch_up
from easq.ask.state import Asks
from easq.log.base import EventLog
from easq.log.events import EVENTS
from easq.log.sqlite import SqliteLog
from easq.recipe.recipe import Recipe
from tests.ask.test_state import ADAPTIVE, MINUTE, NOW, SECRET, a_day, answered, stand
from tests.support.small_worlds import small_recipe

LATER = NOW + 100 * MINUTE


def log_and_asks(folder: Path, recipe: Recipe) -> tuple[SqliteLog, Asks]:
    """Return a log, and asks that have taken all of it."""
    log = SqliteLog(folder / "events.log", 1)
    a_day(Asks(recipe, SECRET), log, 60)
    log.append(EVENTS, [answered(f"u{n % 8}", "uncertain", NOW + n, "ab"[n % 2]) for n in range(20)])
    asks = Asks(recipe, SECRET)
    catch_up(asks, log, LATER)
    return log, asks


def read_back(file: AsksFile, log: EventLog, recipe: Recipe) -> tuple[Asks, bool]:
    asks = Asks(recipe, SECRET)
    return asks, file.read(asks, log.end_offsets(EVENTS))


@pytest.mark.parametrize(
    "settings", [(*ADAPTIVE, "ask.daily_quota=200"), ("ask.rate=0.3", "ask.memory_days=1.0")]
)
def test_a_restored_state_continues_like_the_original(tmp_path: Path, settings: tuple[str, ...]) -> None:
    recipe = small_recipe(*settings)
    log, asks = log_and_asks(tmp_path, recipe)
    file = AsksFile(tmp_path / "asks", recipe)
    file.write(file.take(asks))
    restored, was_used = read_back(file, log, recipe)
    assert was_used
    assert msgspec.to_builtins(restored.state()) == msgspec.to_builtins(asks.state())
    later = a_day(asks, log, 40, first=60)
    catch_up(restored, log, LATER)
    whole = Asks(recipe, SECRET)
    catch_up(whole, log, LATER)
    assert stand(restored, LATER) == stand(whole, LATER)
    assert [restored.decided(view) for view in later] == [whole.decided(view) for view in later]
    assert restored.offsets == log.end_offsets(EVENTS)
    log.close()


def test_only_what_came_after_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = small_recipe(*ADAPTIVE)
    log, asks = log_and_asks(tmp_path, recipe)
    file = AsksFile(tmp_path / "asks", recipe)
    file.write(file.take(asks))
    restored, _ = read_back(file, log, recipe)
    log.append(EVENTS, [answered("u1", "satisfied", NOW)])
    batch_sizes: list[int] = []
    observe = Asks.observe
    monkeypatch.setattr(Asks, "observe", lambda self, e: (batch_sizes.append(len(e)), observe(self, e)))
    catch_up(restored, log, LATER)
    assert sum(batch_sizes) == 1
    log.close()


def test_a_file_that_does_not_fit_is_passed_over(tmp_path: Path) -> None:
    recipe = small_recipe(*ADAPTIVE)
    log, asks = log_and_asks(tmp_path, recipe)
    path = tmp_path / "asks"
    file = AsksFile(path, recipe)
    assert not read_back(file, log, recipe)[1]
    file.write(file.take(asks))
    packed = path.read_bytes()
    other = small_recipe(*ADAPTIVE, "ask.rate=0.3")
    assert not read_back(AsksFile(path, other), log, other)[1]
    short = Asks(recipe, SECRET)
    assert not file.read(short, [0])
    assert not file.read(short, [*log.end_offsets(EVENTS), 5])
    assert short.state().offsets == []
    for at in (0, 20, len(packed) - 1):
        path.write_bytes(packed[:at] + bytes([packed[at] ^ 1]) + packed[at + 1 :])
        assert not read_back(file, log, recipe)[1]
    path.write_bytes(packed[:-5])
    assert not read_back(file, log, recipe)[1]
    assert [file_.name for file_ in tmp_path.glob("asks*")] == ["asks"]
    log.close()


@pytest.mark.parametrize("num_views", [1, 60, 1600])
def test_encoding_in_slices_equals_encoding_at_once(tmp_path: Path, num_views: int) -> None:
    recipe = small_recipe("ask.rate=0.5")
    log = SqliteLog(tmp_path / "events.log", 1)
    asks = Asks(recipe, SECRET)
    a_day(asks, log, num_views)
    file = AsksFile(tmp_path / "asks", recipe)
    file.write(file.take(asks))
    assert (tmp_path / "asks").read_bytes()[16:] == msgspec.msgpack.encode(asks.state())
    log.close()


def test_what_was_taken_stays_as_it_was(tmp_path: Path) -> None:
    recipe = small_recipe(*ADAPTIVE)
    log, asks = log_and_asks(tmp_path, recipe)
    file = AsksFile(tmp_path / "asks", recipe)
    before, taken = msgspec.msgpack.encode(asks.state()), file.take(asks)
    a_day(asks, log, 40, first=60)
    catch_up(asks, log, LATER)
    assert msgspec.msgpack.encode(asks.state()) != before
    file.write(taken)
    assert (tmp_path / "asks").read_bytes()[16:] == before
    log.close()


def test_what_a_kill_leaves_is_overwritten_by_the_next(tmp_path: Path) -> None:
    recipe = small_recipe(*ADAPTIVE)
    log, asks = log_and_asks(tmp_path, recipe)
    file = AsksFile(tmp_path / "asks", recipe)
    (tmp_path / "asks.part").write_bytes(b"half of what a killed process wrote" * 100_000)
    file.write(file.take(asks))
    assert read_back(file, log, recipe)[1]
    assert [path.name for path in tmp_path.glob("asks*")] == ["asks"]
    log.close()


def test_threads_that_write_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    recipe = small_recipe(*ADAPTIVE)
    log, asks = log_and_asks(tmp_path, recipe)
    file = AsksFile(tmp_path / "asks", recipe)
    with ThreadPoolExecutor(4) as pool:
        done = []
        for n in range(12):  # deciding goes on while it is written
            done.append(pool.submit(file.write, file.take(asks)))
            a_day(asks, log, 10, first=60 + 10 * n)
            if n % 3 == 2:
                restored, was_used = read_back(file, log, recipe)
                assert was_used or restored.offsets == []
        assert [one.result() for one in done] == [None] * 12
    assert read_back(file, log, recipe)[1]
    assert [path.name for path in tmp_path.glob("asks*")] == ["asks"]
    log.close()


def test_a_file_of_an_older_version_is_set_aside(tmp_path: Path) -> None:
    """It held rankings as checksums, which say nothing of the names that are compared now."""
    recipe = small_recipe(*ADAPTIVE)
    log, asks = log_and_asks(tmp_path, recipe)
    older, file = AsksFile(tmp_path / "asks", recipe), AsksFile(tmp_path / "asks", recipe)
    older._mark = older._mark.replace(b"easq.asks.3", b"easq.asks.2")
    older.write(older.take(asks))
    assert read_back(older, log, recipe)[1]
    assert (file.exists, read_back(file, log, recipe)[1]) == (True, False)
    log.close()
