"""Whether several runs can be compared: the same log, the same references, the same curves."""

from collections.abc import Iterator, Sequence

from easq.prove.offline.results import ReplayResult
from easq.prove.report.run_labels import run_labels
from easq.prove.report.scorers import EXPERT, MODEL, split


def same_log(results: Sequence[ReplayResult]) -> bool:
    """Return whether the runs replayed the same events."""

    def log(result: ReplayResult) -> tuple[object, ...]:
        return result.counts, result.views, result.answers, result.behaviors, result.question

    return all(log(result) == log(results[0]) for result in results)


def same_references(results: Sequence[ReplayResult]) -> bool:
    """Return whether the reference scorers have the same values in all runs."""
    values = [
        {
            name: metric.value
            for name, metric in result.metrics.items()
            if split(name)[0] not in (MODEL, EXPERT)
        }
        for result in results
    ]
    return all(one == values[0] for one in values)


def logs(results: Sequence[ReplayResult]) -> Iterator[tuple[str, ReplayResult]]:
    """Yield the replayed logs: one without a name if all runs share it, else one per run."""
    if same_log(results):
        yield "", results[0]
    else:
        yield from zip(run_labels(results), results, strict=True)


def lacking(results: Sequence[ReplayResult], name: str) -> list[str]:
    """Return the labels of the runs whose curve never holds a sum."""
    has = [any(name in point for point in r.curve) for r in results]
    return [label for label, held in zip(run_labels(results), has, strict=True) if not held]
