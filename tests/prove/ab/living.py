"""Small worlds that live for days, and looks that are drawn."""

from pathlib import Path

import msgspec
import numpy as np

from easq.log.sqlite import SqliteLog
from easq.prove.ab.metrics import Metrics
from easq.prove.ab.table import Look, Table, read_table
from easq.schema_experiments import Experiment
from easq.world.record import record
from easq.world.simulate import Rates, World
from tests.worlds import small_recipe


def lived(folder: Path, days: int, viewers: int, views_per_day: int, seed: int = 1) -> Table:
    """Return the table of a world that lived for some days."""
    world = World(seed, Rates(0.3, 0.4), num_viewers=viewers, num_items=300)
    world.views_per_day = views_per_day
    with SqliteLog(folder / f"world{seed}.log") as log:
        record(world, days * views_per_day, log, folder / f"world{seed}.truth", lambda _: None)
        return read_table(small_recipe(), None, log)


def drawn_look(num: int = 4000, seed: int = 1, lift: float = 0.0) -> Look:
    """Return a look at viewers whose views and likes hang together, now and before."""
    columns = Metrics.of(small_recipe()).columns
    random = np.random.default_rng(seed)
    arm_U = random.integers(0, 2, num)
    taste_U = random.gamma(2.0, size=num)
    sum_UC, before_UC = np.zeros((2, num, len(columns)))
    views, likes = columns.index("views"), columns.index("count like 1")
    for into, factor in ((sum_UC, 1 + lift * arm_U), (before_UC, 1.0)):
        into[:, views] = random.poisson(20 * taste_U * factor)
        into[:, likes] = random.binomial(into[:, views].astype(int), 0.1 + 0.02 * (taste_U > 2))
    return Look(0, np.arange(num), arm_U, sum_UC, before_UC, np.ones(num))


def experiment(**changes: object) -> Experiment:
    """Return an experiment of two arms."""
    arms = ({"name": "control"}, {"name": "treatment"})
    return msgspec.convert({"name": "easq", "arms": arms, **changes}, Experiment)
