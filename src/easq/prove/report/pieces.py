"""The pieces of a report that know of runs: their names, numbers and tiles, as HTML."""

from collections.abc import Sequence

from easq.prove.offline.results import ReplayResult
from easq.prove.report import page
from easq.prove.report.draw import estimate_text, run_color
from easq.prove.report.estimates import Estimate
from easq.prove.report.run_labels import run_labels


def chips(results: Sequence[ReplayResult]) -> list[str]:
    """Return each run's name behind a dot of its color."""
    return [page.chip(label, run_color(run)) for run, label in enumerate(run_labels(results))]


def tile(words: str, results: Sequence[ReplayResult], values: Sequence[str]) -> str:
    """Return a tile with one big number when all runs have the same, else with one for each run."""
    if len(set(values)) == 1:
        return page.tile(words, (values[0], ""))
    return page.tile(words, *zip(values, chips(results), strict=True))


def number(estimate: Estimate | None, form: str = ".4f") -> str:
    """Return a table cell with an estimate over its interval, or a dash."""
    if estimate is None:
        return page.cell("-")
    value, _, bounds = estimate_text(estimate, form).partition(" (")
    return page.cell(value, bounds.removesuffix(")"))


def confidence(results: Sequence[ReplayResult]) -> str:
    """Return the level of the runs' intervals in words."""
    return f"{100 * results[0].confidence:g} %"
