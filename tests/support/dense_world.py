"""A small world whose viewers and items also have vectors and numbers without boundaries."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from zlib import crc32

import msgspec
import numpy as np

from easq.features.batch import Batch
from easq.home.home import open_home
from easq.learn.learner import Learner
from easq.log.events import Event, Request
from easq.log.packing import pack_floats
from easq.recipe.features import Feature, Numeric, Vector
from easq.recipe.recipe import Recipe
from tests.learn.test_learner import learned_from
from tests.support.live_home import LIVE, Clock, LiveSystem
from tests.support.small_worlds import small_recipe, world_events

DENSE: tuple[Feature, ...] = (
    Vector(name="taste", side="viewer", dim=3),
    Vector(name="content", side="candidate", dim=8),
    Vector(name="cover", side="candidate", dim=2),
    Numeric(name="age", side="viewer", standardized=True),
    Numeric(name="loudness", side="candidate", standardized=True),
    Numeric(name="seconds", side="candidate", boundaries="quantiles"),
)


def with_dense(recipe: Recipe, features: Sequence[Feature] = DENSE) -> Recipe:
    return msgspec.structs.replace(recipe, features=(*recipe.features, *features))


def vector_of(key: str, dim: int) -> np.ndarray:
    """Return the same vector for the same key; one of six is unknown."""
    random = np.random.default_rng(crc32(key.encode()))
    vector = random.normal(0, 3, dim).astype(np.float32)
    return np.full(dim, np.nan, np.float32) if random.random() < 1 / 6 else vector


def dense_request(request: Request) -> Request:
    """Return a request with the dense features of its viewer and its items."""
    viewer = {"taste": vector_of(request.user_id, 3), "age": vector_of(request.user_id, 1)}
    candidates = {
        "content": [vector_of(item, 8) for item in request.items],
        "cover": [vector_of(item + "c", 2) for item in request.items],
        "loudness": [vector_of(item + "l", 1) for item in request.items],
        "seconds": [vector_of(item + "s", 1) for item in request.items],
    }
    return msgspec.structs.replace(
        request,
        viewer=request.viewer | {name: pack_floats(value) for name, value in viewer.items()},
        candidates=request.candidates
        | {name: pack_floats(np.concatenate(value)) for name, value in candidates.items()},
    )


def dense_events(num_requests: int = 120) -> list[Event]:
    return [dense_request(e) if isinstance(e, Request) else e for e in world_events(num_requests)]


def dense_steps(
    *overrides: str, num_requests: int = 120, features: Sequence[Feature] = DENSE
) -> tuple[Learner, list[Batch]]:
    return learned_from(with_dense(small_recipe(*overrides), features), dense_events(num_requests))


@contextmanager
def dense_system(folder: Path, *overrides: str) -> Iterator[LiveSystem]:
    home = open_home(folder / "home", with_dense(small_recipe(*LIVE, *overrides)))
    with home.open_events() as events, home.open_updates() as updates:
        yield LiveSystem(home, events, updates, Clock())


def in_batches(events: Sequence[Event], size: int = 40) -> list[list[Event]]:
    """Return events in batches, as they would arrive."""
    ordered = sorted(events, key=lambda event: event.ts)
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]
