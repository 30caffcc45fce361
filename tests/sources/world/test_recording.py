from pathlib import Path

import numpy as np

from easq.log.events import EVENTS, Answered, Asked, Behavior, Request
from easq.log.packing import unpack_floats, unpack_ids
from easq.log.sqlite import SqliteLog
from easq.recipe.read import read_recipe
from easq.sources.world.recording import events, record
from tests.support.small_worlds import RECIPES, small_world


def test_events_say_what_happened_and_nothing_of_the_truth() -> None:
    world = small_world()
    chunk = next(iter(world.chunks(20)))
    logged = list(events(world, chunk))
    requests = [e for e in logged if isinstance(e, Request)]
    reports = [e for e in logged if isinstance(e, Behavior)]
    assert len(requests) == 20
    assert sum(len(e.items) for e in reports) == 200
    assert sum(isinstance(e, Asked) for e in logged) == chunk.asked_RC.sum()
    assert sum(isinstance(e, Answered) for e in logged) == (chunk.option_RC >= 0).sum()
    known = {"item_id", "author_id", "topic", "style", "tags", "duration_s", "age_days"}
    assert requests[0].candidates.keys() == known
    assert unpack_ids(requests[3].candidates["item_id"]).tolist() == chunk.item_RC[3].tolist()
    assert np.array_equal(unpack_floats(requests[3].candidates["age_days"]), chunk.age_days_RC[3])
    assert reports[0].values.keys() == chunk.behaviors.keys()
    assert len({e.event_id for e in logged}) == len(logged)


def test_the_recipe_names_only_columns_of_the_world() -> None:
    recipe, world = read_recipe(RECIPES / "world.toml"), small_world()
    chunk = next(iter(world.chunks(5)))
    request = next(e for e in events(world, chunk) if isinstance(e, Request))
    assert {f.name for f in recipe.features} == request.viewer.keys() | request.candidates.keys()
    assert {b.name for b in recipe.behaviors} <= chunk.behaviors.keys()


def test_recording_twice_gives_the_same_log(tmp_path: Path) -> None:
    result = []
    for name in ("a", "b"):
        with SqliteLog(tmp_path / name, partitions=2) as log:
            assert record(small_world(), 195, log, tmp_path / f"{name}.truth", lambda _: None) == 200
            result.append([log.read(EVENTS, p, 0, 10_000) for p in range(2)])
    assert result[0] == result[1]
