import random
import sqlite3
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from easq.features.profiles import Profiles
from easq.features.profiles.store import ProfileStore, StoreError
from easq.log.base import partition_of
from easq.log.events import EVENTS, PROFILES, Event
from easq.log.packing import pack_floats, pack_ids
from tests.support.log_conformance import receive, running
from tests.support.profile_platform import (
    BEHAVIORS,
    FEATURES,
    ITEMS,
    MINUTE,
    PARTITIONS,
    USERS,
    WINDOW,
    Log,
    apply,
    features_at,
    item,
    logs,
    nothing,
    profiles_after,
    read_orders,
    report,
    request,
    viewer,
)

FAR = [1 << 40] * (2 * PARTITIONS)
"""The end offsets of a log that holds everything."""


def loaded(path: Path, profiles: Profiles | None = None) -> tuple[Profiles, str | None]:
    profiles = profiles or nothing()
    with ProfileStore(path) as store:
        return profiles, store.load(profiles, FAR)


def saved(path: Path) -> Profiles:
    """Save a few things and return the profiles that know them."""
    profiles = nothing()
    with ProfileStore(path) as store:
        assert store.load(profiles, FAR) is None
        apply(profiles, item("i0", author=pack_ids([3])), viewer("u0", age=pack_floats([30])))
        apply(profiles, request("r"), report("r", like=1.0, played_s=20.0))
        store.save(profiles)
    return profiles


@settings(max_examples=60)
@given(data=st.data(), log=logs(), ts=st.integers(0, 70 * WINDOW))
def test_a_restart_after_any_save_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, log: Log, ts: int
) -> None:
    path = tmp_path_factory.mktemp("store") / "profiles.db"
    calls = data.draw(read_orders(log))
    straight, stopped = profiles_after(calls), nothing()
    store = ProfileStore(path)
    store.load(stopped, FAR)
    for topic, partition, events in calls:
        stopped.apply(topic, partition, events)
        what = data.draw(st.sampled_from(["go on", "save", "restart"]))
        if what != "go on":
            store.save(stopped)
        if what == "restart":
            store.close()
            stopped, store = nothing(), ProfileStore(path)
            assert store.load(stopped, FAR) is None
    store.close()
    assert stopped.offsets == straight.offsets
    assert stopped.refused == straight.refused
    assert features_at(stopped, ts) == features_at(straight, ts)
    assert [stopped.item_values(i) for i in ITEMS] == [straight.item_values(i) for i in ITEMS]
    assert [stopped.viewer_values(u) for u in USERS] == [straight.viewer_values(u) for u in USERS]


def test_a_save_writes_only_what_changed(tmp_path: Path) -> None:
    profiles = nothing()
    with ProfileStore(tmp_path / "profiles.db") as store:
        store.load(profiles, FAR)
        apply(profiles, *(item(f"i{n}") for n in range(100)), request("r"), report("r"))
        store.save(profiles)
        assert not any(store._unwritten.values())
        apply(profiles, item("i7"), viewer("u1"), report("r", items=("i8",)))
        snapshot = store.snapshot(profiles)
    assert [set(values) for values in snapshot.values] == [{"u1"}, {"i7"}]
    assert [set(counted.keys) for counted in snapshot.counted] == [{"u0"}, {"i8"}]
    assert set(snapshot.histories) == {"u0"}
    assert snapshot.requests == [(partition_of("u0", PARTITIONS), 0, "r", "u0", {"i0": 1, "i8": 1})]


def test_a_snapshot_does_not_change_with_later_updates(tmp_path: Path) -> None:
    profiles = nothing()
    with ProfileStore(tmp_path / "profiles.db") as store:
        store.load(profiles, FAR)
        apply(profiles, request("r"), report("r", like=1.0))
        before, offsets = features_at(profiles, 0), list(profiles.offsets)
        snapshot = store.snapshot(profiles)
        apply(profiles, report("r", items=("i1", "i2")), item("i0", author=pack_ids([9])))
        store.write(snapshot)
    back, _ = loaded(tmp_path / "profiles.db")
    assert back.offsets == offsets
    assert features_at(back, 0) == before


def test_the_file_holds_no_more_than_memory_does(tmp_path: Path) -> None:
    profiles, path = nothing(), tmp_path / "profiles.db"
    with ProfileStore(path) as store:
        store.load(profiles, FAR)
        for n in range(300):
            ts = n * 30 * MINUTE
            apply(profiles, request(f"r{n}", ts=ts), report(f"r{n}", ts=ts, items=(f"new{n}",)))
            store.save(profiles)
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM requests").fetchone()[0] == 2
        stored = db.execute("SELECT count(DISTINCT key) FROM counts WHERE side = 1").fetchone()[0]
    db.close()
    assert stored <= profiles._items.index.num_rows < 100


def test_counts_that_grew_too_old_in_the_file_count_for_nothing(tmp_path: Path) -> None:
    profiles, path, later = nothing(), tmp_path / "profiles.db", 100 * WINDOW
    with ProfileStore(path) as store:
        store.load(profiles, FAR)
        apply(profiles, request("r"), report("r", like=1.0), item("i0"))
        store.save(profiles)
        apply(profiles, request("s", "u1", later), report("s", "u1", later, ("i1",)))
        store.save(profiles)
    back, _ = loaded(path)
    assert features_at(back, later) == features_at(profiles, later)
    assert set(back._viewers.index.row_of) == set(profiles._viewers.index.row_of) == {"u1"}


def test_a_new_file_is_made_where_there_is_none(tmp_path: Path) -> None:
    profiles, reason = loaded(tmp_path / "profiles.db")
    assert reason is None
    assert profiles.offsets == [0] * (2 * PARTITIONS)


@pytest.mark.parametrize(
    "changed",
    [
        Profiles(FEATURES[:-1], WINDOW, PARTITIONS, BEHAVIORS),
        Profiles(FEATURES, WINDOW + 1, PARTITIONS, BEHAVIORS),
        Profiles(FEATURES, WINDOW, PARTITIONS, [*BEHAVIORS[:-1], type(BEHAVIORS[-1])(name="played_s")]),
    ],
    ids=["features", "window", "behaviors"],
)
def test_a_file_made_for_something_else_is_set_aside(tmp_path: Path, changed: Profiles) -> None:
    path = tmp_path / "profiles.db"
    saved(path)
    _, reason = loaded(path, changed)
    assert reason is not None
    assert reason.endswith(
        "profiles are built from the log: it was made for other features, behaviors, windows or partitions"
    )
    assert (tmp_path / "profiles.db.unusable").exists()
    assert sum(changed.offsets) == 0


def test_a_file_ahead_of_the_log_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "profiles.db"
    known = saved(path)
    profiles = nothing()
    with ProfileStore(path) as store:
        reason = store.load(profiles, [0] * (2 * PARTITIONS))
    assert reason is not None
    assert f"it is as of offsets {known.offsets}, and the log ends at [0, 0, 0, 0]" in reason


def _zeros(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\0" * (len(data) - 4096))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:10_000])


def _text(path: Path) -> None:
    path.write_text("these are not profiles\n" * 1000)


def _other(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE state (x)")
    db.close()


def _odd_value(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("UPDATE histories SET data = x'c1'")
    db.close()


def _sql(statement: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with sqlite3.connect(path) as db:
            assert db.execute(statement).rowcount
        db.close()

    return change


_CHANGED = [
    _sql("UPDATE told SET data = CAST(replace(data, 'author', 'auth0r') AS BLOB) WHERE side = 1"),
    _sql("UPDATE told SET key = 'i1' WHERE key = 'i0'"),
    _sql("UPDATE counts SET data = CAST(substr(data, 1, 3) || x'7f' || substr(data, 5) AS BLOB)"),
    _sql("UPDATE requests SET ts = ts + 1"),
    _sql("UPDATE histories SET key = 'u1'"),
]


def loaded_after(damage: Callable[[Path], None], path: Path) -> tuple[Profiles, str]:
    """Damage a file of profiles; return what is loaded, and why the file was not used."""
    saved(path)
    damage(path)
    profiles, reason = loaded(path)
    assert reason is not None
    return profiles, reason


@pytest.mark.parametrize("damage", _CHANGED, ids=["told", "told key", "counts", "requests", "histories"])
def test_a_row_that_is_not_what_was_written_is_noticed(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    profiles, reason = loaded_after(damage, tmp_path / "profiles.db")
    assert "it is damaged: the checksum of a row of" in reason
    assert profiles.offsets == [0] * (2 * PARTITIONS)


def test_bits_that_decode_to_another_type_are_damage(tmp_path: Path) -> None:
    path = tmp_path / "profiles.db"
    saved(path)
    for data in ("7", "'text'", "CAST(x'ff' AS TEXT)"):
        saved(path)
        _sql(f"UPDATE histories SET data = {data}, sum = NULL")(path)
        _, reason = loaded(path)
        assert reason is not None
        assert "it is damaged: " in reason
        path.unlink()


def test_a_file_of_before_checksums_reads_and_is_checked_from_its_next_save(tmp_path: Path) -> None:
    path = tmp_path / "profiles.db"
    known = saved(path)
    with sqlite3.connect(path) as db:
        for table in ("told", "counts", "histories", "requests", "state"):
            db.execute(f"ALTER TABLE {table} DROP COLUMN sum")
        db.execute("PRAGMA user_version = 2")
    db.close()
    profiles = nothing()
    with ProfileStore(path) as store:
        assert store.load(profiles, FAR) is None
        assert features_at(profiles, 0) == features_at(known, 0)
        apply(profiles, item("i9", author=pack_ids([5])))
        store.save(profiles)
    assert loaded(path)[1] is None
    _sql("UPDATE told SET data = x'80' WHERE key = 'i9'")(path)
    assert "the checksum of a row of told" in (loaded(path)[1] or "")


@pytest.mark.parametrize("damage", [_zeros, _cut, _text, _other, _odd_value])
def test_a_damaged_file_is_set_aside_and_nothing_of_it_is_kept(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    path = tmp_path / "profiles.db"
    profiles, reason = loaded_after(damage, path)
    assert "cannot be used, profiles are built from the log: it is " in reason
    assert features_at(profiles, 0) == features_at(nothing(), 0)
    assert profiles.offsets == [0] * (2 * PARTITIONS)
    assert loaded(path)[1] is None


def test_a_path_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    with (
        ProfileStore(tmp_path / "missing" / "profiles.db") as store,
        pytest.raises(StoreError, match="check the path"),
    ):
        store.load(nothing(), FAR)


def test_what_a_failed_save_held_is_in_the_next(tmp_path: Path) -> None:
    path, profiles = tmp_path / "profiles.db", nothing()
    with ProfileStore(path) as store:
        store.load(profiles, FAR)
        apply(profiles, item("i0", author=pack_ids([3])), request("r"))
        assert store._db is not None
        store._db.execute("PRAGMA query_only = ON")
        with pytest.raises(StoreError, match=r"cannot save profiles in .*readonly"):
            store.save(profiles)
        store._db.execute("PRAGMA query_only = OFF")
        apply(profiles, report("r", like=1.0))
        store.save(profiles)
    assert features_at(loaded(path)[0], 0) == features_at(profiles, 0)


def test_two_processes_cannot_save_in_one_file(tmp_path: Path) -> None:
    path, one, other = tmp_path / "profiles.db", nothing(), nothing()
    with ProfileStore(path) as first, ProfileStore(path) as second:
        first.load(one, FAR)
        second.load(other, FAR)
        first.save(one)
        with pytest.raises(StoreError, match="another process saves profiles in this file"):
            second.save(other)


def test_a_store_is_loaded_before_the_first_event_and_before_a_save(tmp_path: Path) -> None:
    store, profiles = ProfileStore(tmp_path / "profiles.db"), nothing()
    with pytest.raises(ValueError, match="load the store before the first event"):
        store.save(profiles)
    apply(profiles, item("i0"))
    with pytest.raises(ValueError, match="and 1 were applied"):
        store.load(profiles, FAR)


def endless_log(seed: int) -> Iterator[tuple[str, int, list[Event]]]:
    """Yield chunks of a log without end, always the same ones."""
    rng = random.Random(seed)
    for n in range(1 << 30):
        user, ts = rng.choice(USERS), n * MINUTE
        partition = partition_of(user, PARTITIONS)
        items = tuple(rng.sample(ITEMS, 3))
        done = report(f"r{n}", user, ts, items, like=rng.choice([0, 1]), played_s=rng.choice([0, 8, 20]))
        yield EVENTS, partition, [request(f"r{n}", user, ts, items), done]
        author = pack_ids([rng.randrange(9)])
        yield PROFILES, partition_of("", PARTITIONS), [item(f"x{rng.randrange(500)}", author=author)] * 20


def save_until_killed(path: Path, pipe: Connection) -> None:
    profiles, store = nothing(), ProfileStore(path)
    store.load(profiles, FAR)
    known, calls = sum(profiles.offsets), endless_log(1)
    num = 0
    while num < known:
        num += len(next(calls)[2])
    while True:
        for _ in range(10):
            profiles.apply(*next(calls))
        store.save(profiles)
        pipe.send(sum(profiles.offsets))


def test_a_killed_save_leaves_the_last_good_state(tmp_path: Path) -> None:
    path, rng, acknowledged = tmp_path / "profiles.db", random.Random(4), 0
    for _ in range(6):
        with running(save_until_killed, path) as (process, pipe):
            acknowledged = max(acknowledged, receive(pipe))
            if pipe.poll(rng.uniform(0, 0.1)):
                acknowledged = max(acknowledged, receive(pipe))
            process.kill()
            process.join()
            try:
                while pipe.poll():
                    acknowledged = max(acknowledged, pipe.recv())
            except EOFError:
                pass
        profiles, reason = loaded(path)
        assert reason is None
        assert sum(profiles.offsets) >= acknowledged
        rebuilt = nothing()
        for call in endless_log(1):
            if sum(rebuilt.offsets) == sum(profiles.offsets):
                break
            rebuilt.apply(*call)
        ts = sum(profiles.offsets) // 22 * MINUTE
        assert profiles.offsets == rebuilt.offsets
        assert features_at(profiles, ts) == features_at(rebuilt, ts)
