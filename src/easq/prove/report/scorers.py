"""Whose rankings were measured, and by which metrics.

A metric's name begins with its scorer, except for the run's own model: `sat/auc`, `expert/sat/auc`,
`popularity/sat/auc`.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from easq.prove.offline.results import ReplayResult
from easq.prove.report.estimates import Estimate, estimate
from easq.prove.report.run_labels import run_labels

MODEL, EXPERT, ORACLE = "", "expert", "oracle"
_FAMILIES = ("sat", "auc", "gauc")
_ORDER = (
    "sat/auc",
    "sat/pair_accuracy",
    "sat/hr",
    "sat/ndcg",
    "sat/mrr",
    "true_sat",
    "behavior",
    "pair_accuracy",
)


class Scorer(NamedTuple):
    """A measured ranking: `run` numbers the result, `kind` is the prefix of its metrics' names."""

    label: str
    run: int
    kind: str


def measured(results: Sequence[ReplayResult], scorer: Scorer, metric: str) -> Estimate | None:
    """Return a scorer's value of a metric."""
    return estimate(results[scorer.run].metrics, f"{scorer.kind}/{metric}" if scorer.kind else metric)


def split(name: str) -> tuple[str, str]:
    """Return the scorer and the metric of a full name.

    >>> split("popularity/sat/auc"), split("sat/auc")
    (('popularity', 'sat/auc'), ('', 'sat/auc'))
    """
    head, _, rest = name.partition("/")
    return (head, rest) if rest and head not in _FAMILIES else (MODEL, name)


def metrics(results: Sequence[ReplayResult]) -> list[str]:
    """Return the metrics that any scorer of any run has, by family and cut-off."""
    names = {split(name)[1] for result in results for name in result.metrics}
    return sorted(names, key=_place)


def _place(name: str) -> tuple[int, str, int]:
    family, _, cut = name.partition("@")
    known = _ORDER.index(family) if family in _ORDER else len(_ORDER)
    return known, family, int(cut) if cut.isdigit() else 0


def scorers(results: Sequence[ReplayResult], names: Iterable[str]) -> list[Scorer]:
    """Return who has values for any of the metrics: runs, their satisfaction experts, references once."""
    wanted, chosen = set(names), []
    held = [{split(n)[0] for n in r.metrics if split(n)[1] in wanted} for r in results]
    for run, label in enumerate(run_labels(results)):
        if MODEL in held[run]:
            chosen.append(Scorer(label, run, MODEL))
        if EXPERT in held[run]:
            chosen.append(Scorer(f"{label}, satisfaction expert", run, EXPERT))
    for kind in sorted(set().union(*held) - {MODEL, EXPERT}):
        label = {ORACLE: "Best possible", "popularity": "Popularity", "random": "Random"}.get(kind, kind)
        chosen.append(Scorer(label, next(run for run, kinds in enumerate(held) if kind in kinds), kind))
    return chosen


def distinguishing(results: Sequence[ReplayResult], names: Sequence[str]) -> list[str]:
    """Return the metrics that can distinguish rankings.

    A cut-off as long as the lists gives every ranking the same value, or the value of a shorter cut-off.
    """
    by_values: dict[tuple[object, ...], str] = {}
    compared = scorers(results, names)
    for name in names:
        values = [measured(results, scorer, name) for scorer in compared]
        known = {e.value for e in values if e}
        cut = name.partition("@")[2]
        if known and not (cut and len(compared) > 1 and known == {1.0}):
            by_values.setdefault((name.partition("@")[0], *values), name)
    return list(by_values.values())
