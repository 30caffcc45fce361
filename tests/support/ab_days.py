"""Small worlds that live for days, and looks that are drawn."""

import tomllib
from pathlib import Path

import msgspec
import numpy as np

from easq.log.events import EVENTS, Answered, Request
from easq.log.sqlite import SqliteLog
from easq.prove.ab.experiment_metrics import ExperimentMetrics
from easq.prove.ab.sums import DAY_MS
from easq.prove.ab.viewer_days import DaySnapshot, ViewerDays, day_number, read_table
from easq.recipe.assignment import Arms
from easq.recipe.experiments import Experiment
from easq.recipe.read import decode_recipe
from easq.sources.world.recording import events, record
from easq.sources.world.simulate import START_MS, AskRates, World
from tests.support.small_worlds import RECIPES, small_recipe


def simulated_days(folder: Path, days: int, viewers: int, views_per_day: int, seed: int = 1) -> ViewerDays:
    """Return the table of a world after some simulated days."""
    world = World(seed, AskRates(0.3, 0.4), num_viewers=viewers, num_items=300)
    world.views_per_day = views_per_day
    with SqliteLog(folder / f"world{seed}.log") as log:
        record(world, days * views_per_day, log, folder / f"world{seed}.truth", lambda _: None)
        return read_table(small_recipe(), None, log)


def drawn_look(num: int = 4000, seed: int = 1, lift: float = 0.0) -> DaySnapshot:
    """Return a look at viewers whose views and likes hang together, now and before."""
    columns = ExperimentMetrics.of(small_recipe()).columns
    random = np.random.default_rng(seed)
    arm_U = random.integers(0, 2, num)
    taste_U = random.gamma(2.0, size=num)
    sum_UC, before_UC = np.zeros((2, num, len(columns)))
    views, likes = columns.index("views"), columns.index("count like 1")
    for into, factor in ((sum_UC, 1 + lift * arm_U), (before_UC, 1.0)):
        into[:, views] = random.poisson(20 * taste_U * factor)
        into[:, likes] = random.binomial(into[:, views].astype(int), 0.1 + 0.02 * (taste_U > 2))
    return DaySnapshot(0, np.arange(num), arm_U, sum_UC, before_UC, np.ones(num))


def experiment(**changes: object) -> Experiment:
    """Return an experiment of two arms."""
    arms = ({"name": "control"}, {"name": "treatment"})
    return msgspec.convert({"name": "easq", "arms": arms, **changes}, Experiment)


TRIAL = """
[[experiments]]
name = "easq"
least_days = 5
pre_days = 3
start = 2023-11-18
arms = [{ name = "control" }, { name = "easq" }]
[[experiments.guardrails]]
metric = "watch_time"
tolerance = 0.2
"""
"""An experiment of the world that `trial_log` records: its time begins on 2023-11-14."""


def trial_log(path: Path, happier: float, days: int = 10, lost: float = 0.0, until: int = 99) -> Path:
    """Record a world whose `easq` arm, from the start on, is satisfied with a part of what displeased it.

    `lost` of that arm's viewers never show an arm. From the world's day `until` on nobody has one.
    """
    recipe = decode_recipe({**tomllib.loads((RECIPES / "world.toml").read_text()), **tomllib.loads(TRIAL)})
    arms, (trial,) = Arms.of(recipe), recipe.experiments
    assert trial.start is not None
    since = day_number(trial.start) * DAY_MS
    end = (START_MS // DAY_MS + until) * DAY_MS + DAY_MS
    random = np.random.default_rng(1)
    world = World(1, AskRates(0.6, 0.6), num_viewers=400, num_items=300)
    world.views_per_day = 8000
    labels = {f"u{n}": arms.label(f"u{n}", {}) for n in range(400)}
    gone = {user for user, label in labels.items() if label == "easq/easq" and random.random() < lost}
    with SqliteLog(path) as log:
        for chunk in world.chunks(days * world.views_per_day // world.candidates):
            ordered = sorted(events(world, chunk), key=lambda event: event.ts)
            for n, event in enumerate(ordered):
                label = labels[event.user_id]
                if not since <= event.ts < end or event.user_id in gone:
                    continue
                if isinstance(event, Request):
                    ordered[n] = msgspec.structs.replace(event, arm=label)
                elif isinstance(event, Answered) and label == "easq/easq" and event.option != "satisfied":
                    option = "satisfied" if random.random() < happier else event.option
                    ordered[n] = msgspec.structs.replace(event, option=option)
            log.append(EVENTS, ordered)
    return path
