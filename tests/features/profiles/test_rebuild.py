import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from easq.features.columns import Shape
from easq.features.profiles import rebuild
from easq.features.profiles.rebuild import catch_up, end_offsets, resume
from easq.features.profiles.store import ProfileStore
from easq.log.base import LogError
from easq.log.events import EVENTS, PROFILES, Request
from easq.log.packing import pack_ids
from easq.log.sqlite import SqliteLog
from tests.support.profile_platform import (
    FEATURES,
    ITEMS,
    MINUTE,
    PARTITIONS,
    USERS,
    WINDOW,
    Log,
    features_at,
    item,
    logs,
    nothing,
    profiles_after,
    read_orders,
    report,
    request,
)

VIEWER, CANDIDATE = Shape.of(FEATURES, "viewer"), Shape.of(FEATURES, "candidate")


def logged(path: Path, log: Log) -> tuple[SqliteLog, Log]:
    """Return a real log of these events, and its contents."""
    opened = SqliteLog(path, PARTITIONS)
    for (topic, _), events in log.items():
        opened.append_each(topic, events)  # generated ids may say two things
    return opened, {(t, p): opened.read(t, p, 0, 1000) for t, p in log}


@settings(max_examples=40)
@given(data=st.data(), said=logs(), ts=st.integers(0, 70 * WINDOW))
def test_rebuilt_is_live(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, said: Log, ts: int
) -> None:
    folder = tmp_path_factory.mktemp("log")
    log, kept = logged(folder / "events.log", said)
    with log:
        live, rebuilt = profiles_after(data.draw(read_orders(kept))), nothing()
        catch_up(rebuilt, log)
        assert rebuilt.offsets == live.offsets == end_offsets(log)
        assert features_at(rebuilt, ts) == features_at(live, ts)

        until = [data.draw(st.integers(0, end)) for end in live.offsets]
        with ProfileStore(folder / "profiles.db") as store:
            half = nothing()
            store.load(half, end_offsets(log))
            catch_up(half, log, until)
            assert half.offsets == until
            store.save(half)
        with ProfileStore(folder / "profiles.db") as store:
            resumed = nothing()
            assert resume(resumed, store, log) is None
        assert resumed.offsets == live.offsets
        assert features_at(resumed, ts) == features_at(live, ts)


def test_the_features_of_every_ranking_come_back_from_the_log(tmp_path: Path) -> None:
    rng, served, live = random.Random(3), [], nothing()
    with SqliteLog(tmp_path / "events.log", PARTITIONS) as log:
        for n in range(300):
            user, shown, ts = rng.choice(USERS), rng.sample(ITEMS, 3), n * MINUTE
            if rng.random() < 0.3:
                log.append(PROFILES, [item(rng.choice(ITEMS), author=pack_ids([n]), tags=pack_ids([n, 1]))])
                catch_up(live, log)
            candidates, lengths = live.candidates(shown, ts).pack(CANDIDATE)
            packed, _ = live.viewer(user, ts).pack(VIEWER)
            asked = Request(
                event_id=f"r{n}",
                user_id=user,
                ts=ts,
                items=shown,
                viewer=packed,
                candidates=candidates,
                lengths=lengths,
                as_of=list(live.offsets),
            )
            served.append(asked)
            log.append(EVENTS, [asked])
            if rng.random() < 0.8:
                done = {"like": rng.choice([0, 1]), "played_s": rng.choice([2, 7, 30])}
                log.append(EVENTS, [report(f"r{n}", user, ts + 1, tuple(shown[:2]), **done)])
                catch_up(live, log)
        again = nothing()
        for event in served:
            catch_up(again, log, event.as_of)
            assert again.candidates(event.items, event.ts).pack(CANDIDATE) == (
                event.candidates,
                event.lengths,
            )
            assert again.viewer(event.user_id, event.ts).pack(VIEWER)[0] == event.viewer
    assert len({event.candidates["play_rate"] for event in served}) > 100


def test_profiles_do_not_go_back(tmp_path: Path) -> None:
    log, _ = logged(tmp_path / "events.log", {(PROFILES, 0): [item("i0")]})
    profiles = nothing()
    with log:
        catch_up(profiles, log)
        with pytest.raises(ValueError, match=r"are at .* and cannot go back to \[0, 0, 0, 0\]"):
            catch_up(profiles, log, [0] * 4)


def test_a_log_that_ends_too_early_is_an_error(tmp_path: Path) -> None:
    log, _ = logged(tmp_path / "events.log", {(PROFILES, 0): [item("i0")]})
    with log, pytest.raises(LogError, match="topic events, partition 0 ends at 0, expected 5"):
        catch_up(nothing(), log, [5, 0, 0, 0])


def test_a_long_rebuild_is_saved_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuild, "SAVED_EVENTS", 10)
    monkeypatch.setattr(rebuild, "CHUNK_EVENTS", 5)
    events = [e for n in range(30) for e in (request(f"r{n}"), report(f"r{n}", ts=n))]
    log, _ = logged(tmp_path / "events.log", {(EVENTS, 0): events})
    profiles = nothing()
    with log, ProfileStore(tmp_path / "profiles.db") as store:
        assert resume(profiles, store, log) is None
        assert store._saves == 60 // 10 + 1


def test_a_store_that_cannot_be_used_is_made_again_from_the_log(tmp_path: Path) -> None:
    log, _ = logged(tmp_path / "events.log", {(EVENTS, 0): [request("r"), report("r", like=1.0)]})
    (tmp_path / "profiles.db").write_text("no profiles\n" * 500)
    profiles, expected = nothing(), nothing()
    with log, ProfileStore(tmp_path / "profiles.db") as store:
        reason = resume(profiles, store, log)
        catch_up(expected, log)
    assert reason is not None
    assert "it is damaged" in reason
    assert features_at(profiles, 0) == features_at(expected, 0)
