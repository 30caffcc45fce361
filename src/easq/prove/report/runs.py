"""What results say, laid out for figures and tables: plain data in, plain data out.

A result is the content of a run's `metrics.json`. A metric's name begins with its scorer, except
for the run's own model: `sat/auc`, `expert/sat/auc`, `popularity/sat/auc`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf, sqrt
from typing import Any, NamedTuple

Result = Mapping[str, Any]
Point = dict[str, float]

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
_METHODS = {
    "easq": "EASQ",
    "behavior": "Behaviour only",
    "shared_bottom": "Shared bottom",
    "mmoe": "MMoE",
    "ple": "PLE",
    "emer": "EMER",
    "imputation": "Imputation",
    "saqrec": "SAQRec",
    "imputation_privileged": "Imputation, privileged",
    "emer_s": "EMER_S",
    "emer_s_head": "EMER_S, two heads",
}


class Estimate(NamedTuple):
    """A measured number and its interval, which is absent when it could not be drawn."""

    value: float
    low: float | None
    high: float | None


class Scorer(NamedTuple):
    """Whose ranking was measured: `run` numbers the result, `kind` is the head of its metrics' names."""

    label: str
    run: int
    kind: str


def run_labels(results: Sequence[Result]) -> list[str]:
    """Return a short name for each run: its method where that tells them apart, else its recipe."""
    methods = [_METHODS.get(r["method"], str(r["method"])) for r in results]
    names = [str(r["name"]) for r in results]
    both = [f"{name}, {method}" for name, method in zip(names, methods, strict=True)]
    for labels in (methods, names, both):
        if len(set(labels)) == len(labels):
            return labels
    return [f"{label} ({number})" for number, label in enumerate(both, 1)]


def estimate(result: Result, name: str, part: str = "metrics") -> Estimate | None:
    """Return a metric, None when the run does not hold it or nothing counted in it."""
    found = result[part].get(name)
    if found is None or found["value"] is None:
        return None
    return Estimate(found["value"], found["low"], found["high"])


def measured(results: Sequence[Result], scorer: Scorer, metric: str) -> Estimate | None:
    """Return a scorer's value of a metric."""
    return estimate(results[scorer.run], f"{scorer.kind}/{metric}" if scorer.kind else metric)


def split(name: str) -> tuple[str, str]:
    """Return the scorer and the metric of a full name.

    >>> split("popularity/sat/auc"), split("sat/auc")
    (('popularity', 'sat/auc'), ('', 'sat/auc'))
    """
    head, _, rest = name.partition("/")
    return (head, rest) if rest and head not in _FAMILIES else (MODEL, name)


def metrics(results: Sequence[Result]) -> list[str]:
    """Return the metrics that any scorer of any run has, by family and cut-off."""
    names = {split(name)[1] for result in results for name in result["metrics"]}
    return sorted(names, key=_place)


def _place(name: str) -> tuple[int, str, int]:
    family, _, cut = name.partition("@")
    known = _ORDER.index(family) if family in _ORDER else len(_ORDER)
    return known, family, int(cut) if cut.isdigit() else 0


def scorers(results: Sequence[Result], names: Iterable[str]) -> list[Scorer]:
    """Return who has values for any of the metrics: runs, their satisfaction experts, references once."""
    wanted, found = set(names), []
    held = [{split(n)[0] for n in r["metrics"] if split(n)[1] in wanted} for r in results]
    for run, label in enumerate(run_labels(results)):
        if MODEL in held[run]:
            found.append(Scorer(label, run, MODEL))
        if EXPERT in held[run]:
            found.append(Scorer(f"{label}, satisfaction expert", run, EXPERT))
    for kind in sorted(set().union(*held) - {MODEL, EXPERT}):
        label = "Best possible" if kind == ORACLE else kind.capitalize()
        found.append(Scorer(label, next(run for run, kinds in enumerate(held) if kind in kinds), kind))
    return found


def telling(results: Sequence[Result], names: Sequence[str]) -> list[str]:
    """Return the metrics that can tell rankings apart.

    A cut-off as long as the lists gives every ranking the same value, or the value of a shorter cut-off.
    """
    kept: dict[tuple[Any, ...], str] = {}
    who = scorers(results, names)
    for name in names:
        values = [measured(results, scorer, name) for scorer in who]
        known = {e.value for e in values if e}
        cut = name.partition("@")[2]
        if known and not (cut and len(who) > 1 and known == {1.0}):
            kept.setdefault((name.partition("@")[0], *values), name)
    return list(kept.values())


def same_log(results: Sequence[Result]) -> bool:
    """Return whether the runs replayed the same events."""
    keys = ("counts", "views", "answers", "behaviors", "question")
    return all(result[key] == results[0][key] for result in results for key in keys)


def same_references(results: Sequence[Result]) -> bool:
    """Return whether the reference scorers found the same in all runs."""
    found = [
        {
            name: found["value"]
            for name, found in r["metrics"].items()
            if split(name)[0] not in (MODEL, EXPERT)
        }
        for r in results
    ]
    return all(values == found[0] for values in found)


def logs(results: Sequence[Result]) -> Iterator[tuple[str, Result]]:
    """Go through the logs that were replayed: one without a name if all runs share it, else one a run."""
    if same_log(results):
        yield "", results[0]
    else:
        yield from zip(run_labels(results), results, strict=True)


def lacking(results: Sequence[Result], name: str) -> list[str]:
    """Return the labels of the runs whose curve never holds a sum."""
    has = [any(name in point for point in r["curve"]) for r in results]
    return [label for label, held in zip(run_labels(results), has, strict=True) if not held]


def pooled(points: Sequence[Point], name: str, least: float = 0, most: int = 64) -> list[Point]:
    """Add up neighbouring points until each holds `least` of a sum, and there are at most `most`.

    What is left at the end joins the last point. Each point gains `until`, the views up to its end.
    """
    enough = max(least, sum(point.get(name, 0.0) for point in points) / most) * (1 - 1e-9)
    pools: list[Point] = []
    filled, views = True, 0.0
    for point in points:
        views += point.get("views", 0.0)
        if filled:
            pools.append({})
        for part, value in point.items():
            pools[-1][part] = pools[-1].get(part, 0.0) + value
        pools[-1]["until"] = views
        filled = 0 < pools[-1].get(name, 0.0) >= enough
    if not filled:
        rest = pools.pop()
        if not pools:
            return []
        pools[-1] = {part: pools[-1].get(part, 0.0) + rest.get(part, 0.0) for part in pools[-1] | rest}
        pools[-1]["until"] = views
    return pools


def ratio(point: Point, part: str, whole: str) -> float | None:
    """Return one sum of a point divided by another, None when it lacks either.

    >>> ratio({"pairs_right": 3.0, "pairs": 4.0}, "pairs_right", "pairs")
    0.75
    """
    return point[part] / point[whole] if part in point and point.get(whole) else None


def middle(point: Point) -> float:
    """Return the views replayed when half of a pooled point was done."""
    return point["until"] - point.get("views", 0.0) / 2


def wilson(part: float, whole: float, z: float = 1.96) -> tuple[float, float]:
    """Return the Wilson (1927) interval of a share of independent draws."""
    share, shrink = part / whole, 1 + z * z / whole
    centre = (share + z * z / (2 * whole)) / shrink
    reach = z * sqrt(share * (1 - share) / whole + z * z / (4 * whole * whole)) / shrink
    return centre - reach, centre + reach


def spread(positions: Sequence[float], gap: float) -> list[float]:
    """Move positions apart, keeping their order, until neighbours are at least `gap` apart.

    >>> spread([10.0, 10.0, 50.0], 4.0)
    [8.0, 12.0, 50.0]
    """
    order = sorted(range(len(positions)), key=positions.__getitem__)
    blocks: list[tuple[float, int]] = []
    for index in order:
        centre, size = positions[index], 1
        while (
            blocks and centre - (size - 1) * gap / 2 - (blocks[-1][0] + (blocks[-1][1] - 1) * gap / 2) < gap
        ):
            other, count = blocks.pop()
            centre, size = (centre * size + other * count) / (size + count), size + count
        blocks.append((centre, size))
    moved = [-inf] * len(positions)
    places = (centre + (i - (size - 1) / 2) * gap for centre, size in blocks for i in range(size))
    for index, place in zip(order, places, strict=True):
        moved[index] = place
    return moved
