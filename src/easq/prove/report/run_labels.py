"""What each run is called in a report."""

from collections.abc import Sequence

from easq.model.method import label_of
from easq.prove.offline.results import ReplayResult


def run_labels(results: Sequence[ReplayResult]) -> list[str]:
    """Return a short name for each run: its method if that distinguishes the runs, else its recipe."""
    methods = [label_of(result.method) for result in results]
    names = [result.name for result in results]
    both = [f"{name}, {method}" for name, method in zip(names, methods, strict=True)]
    for labels in (methods, names, both):
        if len(set(labels)) == len(labels):
            return labels
    return [f"{label} ({number})" for number, label in enumerate(both, 1)]
