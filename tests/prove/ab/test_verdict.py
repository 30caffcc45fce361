import pytest

from easq.prove.ab.effects import Effect, Measured
from easq.prove.ab.experiment_metrics import ExperimentMetrics
from easq.prove.ab.verdict import Dealing, Decision, GuardrailVerdict, MetricVerdict, decide
from easq.recipe.experiments import Guardrail
from tests.support.ab_days import experiment
from tests.support.small_worlds import small_recipe

METRICS = ExperimentMetrics.of(small_recipe())
NOTHING = Measured(None, None, "an arm has too little of it", may_come=True)
GUARDED = Guardrail(metric="watch_time", tolerance=0.02)


def judged(metric: str, low: float, high: float) -> MetricVerdict:
    middle = (low + high) / 2
    effect = Effect(1.0, 1 + middle, middle, low, high, 0.5, 0.01, 1000, False, low, high)
    return MetricVerdict(METRICS.spec(metric), Measured(None, effect))


def decided(
    main: tuple[float, float],
    guard: tuple[float, float],
    days_run: int = 10,
    p: float = 0.5,
    metric: str = "satisfaction",
) -> Decision:
    guarded = [GuardrailVerdict(GUARDED, judged("watch_time", *guard))]
    return decide(experiment(metric=metric), days_run, judged(metric, *main), guarded, Dealing(p, 0, 1000))


@pytest.mark.parametrize(
    ("main", "guard", "days", "verdict", "reason"),
    [
        ((0.01, 0.03), (-0.01, 0.03), 10, "ship", "Satisfaction is better than in the control arm: +2.00%"),
        ((0.01, 0.03), (-0.01, 0.03), 6, "keep running", "It has run 6 of at least 7 days"),
        ((0.01, 0.03), (-0.03, 0.03), 10, "keep running", "WatchTime may still be worse by more than the 2"),
        ((0.01, 0.03), (-0.05, -0.03), 3, "stop", "worse by more than the 2.00% allowed: -4.00%"),
        ((-0.03, -0.01), (-0.01, 0.01), 3, "stop", "Satisfaction is worse than in the control arm"),
        ((-0.03, 0.01), (-0.01, 0.01), 3, "keep running", "It is not clear yet whether Satisfaction"),
        ((-0.001, 0.041), (-0.01, 0.01), 3, "keep running", "If the lift stays, it takes about"),
        ((-0.01, 0.01001), (-0.01, 0.01), 3, "keep running", "the 11 days left are not enough"),
        ((-0.03, 0.01), (-0.01, 0.01), 14, "stop", "The 14 planned days are over and nothing is shown"),
    ],
)  # fmt: skip
def test_the_verdict_and_its_reason(
    main: tuple[float, float], guard: tuple[float, float], days: int, verdict: str, reason: str
) -> None:
    decision = decided(main, guard, days)
    assert decision.verdict == verdict
    assert any(reason in why for why in decision.reasons), decision.reasons


def test_a_wrong_sample_ratio_blocks_even_a_broken_guardrail() -> None:
    decision = decided((0.01, 0.03), (-0.05, -0.03), p=0.0005)
    assert decision.verdict == "no verdict"
    assert "chance does this less than once in 1,000 times" in decision.reasons[0]


def test_less_is_better_for_metrics_declared_so() -> None:
    assert decided((-0.03, -0.01), (0.0, 0.01), metric="q_dissatisfied").verdict == "ship"
    assert decided((0.01, 0.03), (0.0, 0.01), metric="q_dissatisfied").verdict == "stop"


def test_nothing_measured_is_no_reason_to_stop() -> None:
    main = MetricVerdict(METRICS.spec("satisfaction"), NOTHING)
    guarded = [GuardrailVerdict(GUARDED, MetricVerdict(METRICS.spec("watch_time"), NOTHING))]
    decision = decide(experiment(), 3, main, guarded, Dealing(0.5, 0, 1000))
    assert decision.verdict == "keep running"
    assert "an arm has too little of it" in decision.reasons[0]
