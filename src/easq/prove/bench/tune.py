"""Choose settings by metrics that a platform can measure in a validation period, never by the truth.

Of a method's trials that cost at most `most_cost` of its base's behavior in the first three and in the first
ten, the winner has the largest share of satisfied answers among the held-back answers in the first three
(`said_sat@3`). If every trial costs more, the cheapest wins. Values are means over worlds and seeds.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

import tomli_w

from easq.prove.bench.compare import SeedTable
from easq.prove.bench.plan import BenchExperiment, BenchSize, places_of, scenario_name
from easq.recipe.read import override

CRITERION = "said_sat@3"
COSTS = ("behavior@3", "behavior@10")


class Trial(NamedTuple):
    """A trial's result: the criterion's gain, and the larger of the two costs, as a share."""

    set: tuple[str, ...]
    gain: float
    cost: float


def trials(experiment: BenchExperiment, size: BenchSize, table: SeedTable) -> dict[str, list[Trial]]:
    """Return every trial that has been run on all worlds of the experiment, by method."""
    trials_of: dict[str, list[Trial]] = {}
    worlds = [scenario_name(place, size) for place in places_of(experiment, size)]
    for method, sets in experiment.trials.items():
        base = experiment.own_base.get(method, experiment.against)
        for chosen in sets:
            name = f"{method}, {' '.join(chosen)}"
            gains = [table.gain(world, name, base, CRITERION) for world in worlds]
            costs = [
                [table.gain(world, name, base, cost, relative=True) for world in worlds] for cost in COSTS
            ]
            if all(gains) and all(map(all, costs)):
                gain = fmean(g.value for g in gains if g)
                cost = max(-fmean(c.value for c in of_worlds if c) for of_worlds in costs)
                trials_of.setdefault(method, []).append(Trial(chosen, gain, cost))
    return trials_of


def winner(trials: Sequence[Trial], most_cost: float = 0.01) -> Trial:
    """Return the best trial within the cost, the cheapest where none is."""
    within = [trial for trial in trials if trial.cost <= most_cost]
    return max(within, key=lambda t: t.gain) if within else min(trials, key=lambda t: t.cost)


def overlay(chosen: Sequence[str]) -> str:
    """Return settings as a file that changes a recipe.

    >>> print(overlay(["method.ridge=5", "method.probe_dim=8"]), end="")
    [method]
    ridge = 5
    probe_dim = 8
    """
    data: dict[str, object] = {}
    for one in chosen:
        override(data, one)
    return tomli_w.dumps(data)


def markdown(trials_of: Mapping[str, Sequence[Trial]]) -> str:
    """Return all trials as a table, the winners marked."""
    lines = [f"| method | settings | {CRITERION}, gain | largest cost | |", "|---|---|---|---|---|"]
    for method, rows in trials_of.items():
        best = winner(rows)
        for trial in rows:
            mark = "chosen" if trial is best else ""
            settings = ", ".join(trial.set)
            lines.append(f"| {method} | {settings} | {trial.gain:+.4f} | {100 * trial.cost:.1f} % | {mark} |")
    return "\n".join(lines) + "\n"
