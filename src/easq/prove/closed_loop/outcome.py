"""What the A/B test of a demo says, from its log alone, with the truth beside it."""

from pathlib import Path
from typing import Any

from easq.prove.ab.analysis import analyse, find_experiment
from easq.prove.ab.viewer_days import read_table
from easq.prove.closed_loop.demo_run import DemoResult
from easq.prove.report.about_ab import words, write_ab
from easq.recipe.experiments import SATISFACTION


def judge(lived: DemoResult, report: Path) -> dict[str, Any]:
    """Analyse the demo's experiment, write its report, and return what to show, fit for JSON."""
    recipe = lived.home.recipe
    experiment = find_experiment(recipe, recipe.experiments[0].name)
    with lived.home.open_events() as log:
        table = read_table(recipe, experiment, log)
    result = analyse(experiment, table)
    write_ab(result, report)
    (treatment, *_) = result["treatments"]
    found = treatment["metrics"].get(SATISFACTION)
    return {
        "verdict": treatment["verdict"],
        "reasons": treatment["reasons"],
        "words": words(result, treatment),
        "arms": result["arms"],
        "metrics": treatment["metrics"],
        "specs": result["specs"],
        "guardrails": treatment["guardrails"],
        "true_satisfaction": lived.truth._asdict(),
        "estimate": {**lived.estimate, "overlaps": _overlap(lived.estimate, found)},
        "views": lived.views,
        "offers": lived.offers,
        "asks": lived.asks,
        "answers": lived.answers,
        "asked_per_view": lived.asks / lived.views,
        "answered_per_ask": lived.answers / max(1, lived.asks),
        "report": str(report),
        "seconds": lived.seconds,
    }


def _overlap(estimate: dict[str, Any], found: dict[str, Any] | None) -> bool | None:
    """Return whether both intervals have a value in common; None where there are not two."""
    if found is None or estimate["lift"] is None:
        return None
    return bool(max(estimate["low"], found["low"]) <= min(estimate["high"], found["high"]))
