"""The report of a run, or of several side by side, as one HTML file that needs nothing else."""

from collections.abc import Sequence
from pathlib import Path

from easq.prove.offline.results import ReplayResult
from easq.prove.report import page
from easq.prove.report.about_log import data, validity, viewers
from easq.prove.report.about_model import answer_path, calibration, experts, learning
from easq.prove.report.about_rankings import fit, truth
from easq.prove.report.comparable import same_log, same_references
from easq.prove.report.estimates import estimate
from easq.prove.report.pieces import chips, confidence, tile
from easq.prove.report.run_labels import run_labels
from easq.prove.report.words import listed

_LEAD = (
    "The log was replayed in the order in which it happened, and each model learned from it step by step. "
    "Every measure of a ranking is out of sample: each batch is scored before it is learned."
)
_WARNING = (
    "Take care: these runs did not replay the same log in the same batches, so their references differ. "
    "Their numbers do not compare. Each reference below is that of the first run that has it."
)
_SECTIONS = (truth, fit, learning, viewers, validity, experts, answer_path, calibration, data)


def write_report(results: Sequence[ReplayResult], path: Path) -> None:
    """Write the results of one or several runs to one HTML file.

    Equal results give equal bytes. Raises ValueError when there is no result.
    """
    if not results:
        raise ValueError("a report needs the result of at least one run, got none")
    labels, names = run_labels(results), sorted({r.name for r in results})
    title = listed(labels) if set(labels) & set(names) else f"{listed(labels)} on {listed(names)}"
    body = [_heading(title, results), *(section(results) for section in _SECTIONS)]
    path.write_text(page.document(title, "\n".join(body)), encoding="utf-8")


def _heading(title: str, results: Sequence[ReplayResult]) -> str:
    methods = [f"recipe {r.name}, method {r.method}, {r.steps:,} steps" for r in results]
    runs = [f"{chip} {page.plain(words)}" for chip, words in zip(chips(results), methods, strict=True)]
    comparable = same_log(results) and same_references(results)
    bars = (
        f"A bar around a dot is the {confidence(results)} interval: how far the number could move with "
        "other viewers, found by drawing viewers again and again. Where no bar is seen, it is shorter than "
        "the dot. Colored marks are runs, gray marks are references."
    )
    return page.header(
        title,
        page.lines(runs),
        page.text(_LEAD, "lead"),
        "" if comparable else page.text(_WARNING, "warning"),
        *_tiles(results),
        page.text(bars, "soft"),
    )


def _tiles(results: Sequence[ReplayResult]) -> list[str]:
    rates = [f"{1e4 * r.answers / r.views:,.1f}" if r.views else "none" for r in results]
    log = [
        tile("views replayed", results, [f"{r.views:,}" for r in results]),
        tile("answers to the question", results, [f"{r.answers:,}" for r in results]),
        tile("answers per 10,000 views", results, rates),
    ]
    rankings = []
    for name, words in (
        ("true_sat@3", "true satisfaction with the first 3"),
        ("sat/auc", "AUC of answers (chance 0.5)"),
        ("pair_accuracy", "behavior pairs in the right order (chance 0.5)"),
    ):
        estimates = [estimate(r.metrics, name) for r in results]
        if any(estimates):
            rankings.append(tile(words, results, [f"{e.value:.3f}" if e else "none" for e in estimates]))
    return [page.tiles(log), page.tiles(rankings)]
