"""Small worlds and recipes that several tests share."""

import warnings

from easq.log.events import Event
from easq.model.method import read_method
from easq.recipe.read import SettingsWarning, read_recipe
from easq.recipe.recipe import Recipe
from easq.sources.world.recording import events
from easq.sources.world.simulate import AskRates, World
from tests.support.paths import RECIPES

SMALL = (
    "method.kind=easq",
    "features.user_id.rows=512",
    "features.item_id.rows=512",
    "features.author_id.rows=128",
    "training.batch_rows=128",
    "training.checkpoint_steps=3",
    "training.threads=1",
    "evaluation.window_rows=1000",
    "evaluation.replicates=50",
    "answers.replayed=16",
)


def small_recipe(*overrides: str) -> Recipe:
    with warnings.catch_warnings():
        # Some methods read no answers, and then nothing reads how many are replayed.
        warnings.simplefilter("ignore", SettingsWarning)
        return read_recipe(RECIPES / "world.toml", [*SMALL, *overrides], methods=read_method)


def small_world(seed: int = 1, ask: float = 0.5, answer: float = 0.5) -> World:
    return World(seed, AskRates(ask, answer), num_viewers=60, num_items=200)


def world_events(
    num_requests: int = 100, seed: int = 1, ask: float = 0.5, answer: float = 0.5
) -> list[Event]:
    world = small_world(seed, ask, answer)
    chunks = world.chunks(num_requests, size=20)
    return [e for chunk in chunks for e in sorted(events(world, chunk), key=lambda e: e.ts)]
