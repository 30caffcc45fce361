import dataclasses
from pathlib import Path

import numpy as np
import pytest

from easq.events import EVENTS, Answered, Asked, Behavior, Request, unpack_ids
from easq.log.sqlite import SqliteLog
from easq.world.record import events, record
from easq.world.simulate import Chunk, Rates, World
from tests.worlds import small_world


def lived(seed: int = 1, num_requests: int = 400, **rates: float) -> tuple[World, list[Chunk]]:
    world = World(seed, Rates(**rates), num_viewers=500, num_items=400)
    return world, list(world.chunks(num_requests, size=100))


def test_equal_seeds_give_equal_worlds_and_others_do_not() -> None:
    first, second, third = (lived(seed)[1][-1] for seed in (1, 1, 2))
    for field in dataclasses.fields(Chunk):
        assert np.array_equal(getattr(first, field.name), getattr(second, field.name)), field.name
    assert not np.array_equal(first.item_RC, third.item_RC)


def test_candidates_of_a_request_are_distinct_and_time_runs_forward() -> None:
    _, chunks = lived()
    items = np.concatenate([chunk.item_RC for chunk in chunks])
    assert all(len(set(row)) == len(row) for row in items.tolist())
    assert (np.diff(np.concatenate([chunk.ts_R for chunk in chunks])) >= 0).all()


def test_history_holds_what_the_viewer_watched_before() -> None:
    world, chunks = lived(num_requests=3000)
    watched: dict[int, list[int]] = {}
    for chunk in chunks:
        for r, user in enumerate(chunk.user_R.tolist()):
            size = int(chunk.history_size_R[r])
            assert chunk.history_RL[r, :size].tolist() == watched.get(user, [])[-world.history :]
            duration = world.catalogue.duration_s_I[chunk.item_RC[r]]
            half = chunk.play_s_RC[r] >= 0.5 * duration.astype(np.float32)
            watched.setdefault(user, []).extend(chunk.item_RC[r][half].tolist())


def test_bait_is_watched_and_regretted() -> None:
    world, chunks = lived(num_requests=3000)
    items = np.concatenate([c.item_RC for c in chunks]).ravel()
    seconds = np.concatenate([c.play_s_RC for c in chunks]).ravel() / world.catalogue.duration_s_I[items]
    satisfaction = np.concatenate([c.satisfaction_RC for c in chunks]).ravel()
    bait = world.catalogue.bait_I[items] > 0.5
    assert seconds[bait].mean() > 1.1 * seconds[~bait].mean()
    assert satisfaction[bait].mean() < 0.7 * satisfaction[~bait].mean()


def test_asks_and_answers_come_at_their_rates_and_only_on_eligible_views() -> None:
    _, chunks = lived(num_requests=4000, ask=0.3, answer=0.4)
    asked = np.concatenate([c.asked_RC for c in chunks])
    option = np.concatenate([c.option_RC for c in chunks])
    long_enough = np.concatenate([c.play_s_RC for c in chunks]) >= 7
    assert not (option >= 0)[~asked].any()
    assert asked[long_enough].mean() == pytest.approx(0.3, abs=0.01)
    assert (option >= 0)[asked].mean() == pytest.approx(0.4, abs=0.03)


def test_who_is_annoyed_answers_more_often() -> None:
    _, chunks = lived(num_requests=4000, ask=1.0, answer=0.4)
    asked = np.concatenate([c.asked_RC for c in chunks])
    answered = np.concatenate([c.option_RC for c in chunks])[asked] >= 0
    satisfaction = np.concatenate([c.satisfaction_RC for c in chunks])[asked]
    assert answered[satisfaction < 0.2].mean() > 1.2 * answered[satisfaction > 0.8].mean()


def test_answers_follow_the_truth() -> None:
    _, chunks = lived(num_requests=4000, ask=1.0, answer=1.0)
    option = np.concatenate([c.option_RC for c in chunks])
    satisfaction = np.concatenate([c.satisfaction_RC for c in chunks])
    assert (
        satisfaction[option == 2].mean() > satisfaction[option == 1].mean() > satisfaction[option == 0].mean()
    )


def test_impossible_rates_are_refused() -> None:
    with pytest.raises(ValueError, match="the ask rate must lie between 0 and 1, got 2"):
        Rates(ask=2)


def test_events_say_what_happened_and_nothing_of_the_truth() -> None:
    world = small_world()
    chunk = next(iter(world.chunks(20)))
    said = list(events(world, chunk))
    requests = [e for e in said if isinstance(e, Request)]
    reports = [e for e in said if isinstance(e, Behavior)]
    assert len(requests) == 20
    assert sum(len(e.items) for e in reports) == 200
    assert sum(isinstance(e, Asked) for e in said) == chunk.asked_RC.sum()
    assert sum(isinstance(e, Answered) for e in said) == (chunk.option_RC >= 0).sum()
    known = {"item_id", "author_id", "topic", "style", "tags", "duration_s", "age_days"}
    assert requests[0].candidates.keys() == known
    assert unpack_ids(requests[3].candidates["item_id"]).tolist() == chunk.item_RC[3].tolist()
    assert len({e.event_id for e in said}) == len(said)


def test_recording_twice_gives_the_same_log(tmp_path: Path) -> None:
    found = []
    for name in ("a", "b"):
        with SqliteLog(tmp_path / name, partitions=2) as log:
            assert record(small_world(), 195, log, tmp_path / f"{name}.truth", lambda _: None) == 200
            found.append([log.read(EVENTS, p, 0, 10_000) for p in range(2)])
    assert found[0] == found[1]
