"""The demo's verdict: the A/B test from its log alone, next to the simulated truth."""

from pathlib import Path

from msgspec import Struct, structs

from easq.prove.ab.analysis import analyse, find_experiment
from easq.prove.ab.effects import Effect
from easq.prove.ab.experiment_metrics import Spec
from easq.prove.ab.results import GuardrailResult, TreatmentEffect
from easq.prove.ab.verdict import Verdict
from easq.prove.ab.viewer_days import read_table
from easq.prove.closed_loop.before import BeforeEstimate, LiftEstimate
from easq.prove.closed_loop.demo_run import DemoResult
from easq.prove.closed_loop.true_sums import TrueLift
from easq.prove.report.about_ab import words, write_ab
from easq.recipe.experiments import SATISFACTION


class DemoOutcome(Struct, frozen=True):
    """What `easq demo` shows.

    words               the verdict in sentences.
    true_satisfaction   what the simulation knows: the mean true satisfaction of both arms.
    estimate            what was estimated before the days that count.
    report              the path of the HTML report.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    words: list[str]
    arms: tuple[str, ...]
    metrics: dict[str, TreatmentEffect]
    specs: tuple[Spec, ...]
    guardrails: tuple[GuardrailResult, ...]
    true_satisfaction: TrueLift
    estimate: BeforeEstimate
    views: int
    offers: int
    asks: int
    answers: int
    asked_per_view: float
    answered_per_ask: float
    report: str
    seconds: float


def judge(demo: DemoResult, report: Path) -> DemoOutcome:
    """Analyze the demo's experiment, write its report, and return what to show."""
    recipe = demo.home.recipe
    experiment = find_experiment(recipe, recipe.experiments[0].name)
    with demo.home.open_events() as log:
        table = read_table(recipe, experiment, log)
    result = analyse(experiment, table)
    write_ab(result, report)
    (treatment, *_) = result.treatments
    return DemoOutcome(
        verdict=treatment.verdict,
        reasons=treatment.reasons,
        words=words(result, treatment),
        arms=result.arms,
        metrics=treatment.metrics,
        specs=result.specs,
        guardrails=treatment.guardrails,
        true_satisfaction=demo.truth,
        estimate=_with_overlap(demo.estimate, treatment.metrics.get(SATISFACTION)),
        views=demo.views,
        offers=demo.offers,
        asks=demo.asks,
        answers=demo.answers,
        asked_per_view=demo.asks / demo.views,
        answered_per_ask=demo.answers / max(1, demo.asks),
        report=str(report),
        seconds=demo.seconds,
    )


def _with_overlap(estimate: BeforeEstimate, effect: Effect | None) -> BeforeEstimate:
    """Return the estimate with `overlaps`: whether both intervals have a value in common."""
    if effect is None or not isinstance(estimate, LiftEstimate):
        return estimate
    overlaps = max(estimate.low, effect.low) <= min(estimate.high, effect.high)
    return structs.replace(estimate, overlaps=overlaps)
