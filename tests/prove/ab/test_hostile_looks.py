"""Whatever viewers did: the analyses never raise, agree with plain formulas, and judge nothing unseen."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace as replace_struct

from easq.arrays import F64
from easq.errors import InputError
from easq.prove.ab.aa import false_positives
from easq.prove.ab.analysis import analyse
from easq.prove.ab.answer_weights import weigh
from easq.prove.ab.chunks import Block
from easq.prove.ab.effects import Effect, Measured, always_valid_difference, measure
from easq.prove.ab.experiment_metrics import ExperimentMetrics, Spec
from easq.prove.ab.moments import metric_values
from easq.prove.ab.power import plan
from easq.prove.ab.verdict import Dealing, GuardrailVerdict, MetricVerdict, decide
from easq.prove.ab.viewer_days import DaySnapshot, ViewerDays, read_table
from easq.prove.report import board
from easq.prove.report.about_ab import write_ab
from easq.recipe.experiments import Experiment, Guardrail
from tests.support.ab_days import experiment
from tests.support.hostile_looks import hostile_log, hostile_look, hostile_table, second_opinion
from tests.support.small_worlds import small_recipe

METRICS = ExperimentMetrics.of(small_recipe())
GUARDED = tuple({"metric": name, "tolerance": 0.05} for name in ("hate", "watch_time"))


def check_result(table: ViewerDays, declared: Experiment, path: Path) -> None:
    try:
        result = analyse(declared, table)
    except InputError as error:  # a log without a request of an arm
        assert "no request" in str(error)
        return
    write_ab(result, path)
    assert board.experiment(result)
    (treatment,) = result.treatments
    for guardrail in treatment.guardrails:
        if guardrail.state == "held":
            effect = treatment.metrics[guardrail.metric]
            assert effect.control > 0
    for effect in treatment.metrics.values():
        assert effect.control > 0 and effect.treatment > 0
        assert effect.low <= effect.lift <= effect.high
        assert all(map(math.isfinite, (effect.low, effect.high, effect.error)))
    if treatment.verdict == "ship":
        assert result.metric in treatment.differences
        assert result.crossed <= 0.01 * sum(arm.viewers for arm in result.sample_ratio.arms)
        assert all(guardrail.state == "held" for guardrail in treatment.guardrails)
    for spec in result.specs:
        assert spec.name in treatment.metrics or treatment.not_measured[spec.name]


def check_tables(seeds: range, folder: Path) -> None:
    for seed in seeds:
        table = hostile_table(METRICS, seed)
        metric = ("satisfaction", "like", "watch_time")[seed % 3]
        declared = experiment(metric=metric, guardrails=GUARDED, pre_days=seed % 2, least_days=1, days=3)
        check_result(table, declared, folder / "r.html")
        if seed % 10 == 0:
            false_positives(table, [s.name for s in METRICS.specs], 2, 0.95, 0, seed)
            if table.last_day > table.first_day:
                plan(declared, table, 0.01)


def check_opinions(seeds: range) -> int:
    """Hold what was measured against plain formulas; return how many agreed."""
    agreed = 0
    for seed in seeds:
        look = hostile_look(METRICS, seed)
        for spec in METRICS.specs:
            measured = measure(spec, METRICS.columns, look, 1, 0.95)
            found = measured.difference
            if found is None or not is_plain(spec, look):
                continue
            plain = second_opinion(spec, METRICS.columns, look, 0.95, found.with_pre_period)
            size = max(abs(found.control), abs(found.treatment), found.error)
            numbers = (found.control, found.treatment, found.low, found.high)
            assert numbers == pytest.approx(plain[:4], rel=1e-6, abs=1e-6 * size), (seed, spec.name)
            assert found.p_value == pytest.approx(plain.p_value, rel=1e-4, abs=1e-9), (seed, spec.name)
            if measured.effect is not None:
                numbers = (measured.effect.lift, measured.effect.low, measured.effect.high)
                assert numbers == pytest.approx(plain.relative, rel=1e-5, abs=1e-6), (seed, spec.name)
            agreed += 1
    return agreed


def is_plain(spec: Spec, look: DaySnapshot) -> bool:
    """Return whether plain formulas can compute a metric: nothing cut off, nothing beyond their range."""
    names = [name for name in (spec.numerator, spec.denominator) if name in METRICS.columns]
    places = [METRICS.columns.index(name) for name in names]
    size = np.abs(np.stack([look.sum_UC[:, places], look.before_UC[:, places]]))
    is_far = size.max() > 1e100 or (size[size > 0].size and size[size > 0].min() < 1e-100)
    if is_far or metric_values(spec, METRICS.columns, look).cap is not None:
        return False
    # The cap of a pre-period has no warning, since it moves no expected change.
    reversed_look = replace(look, sum_UC=look.before_UC)
    return metric_values(spec, METRICS.columns, reversed_look).cap is None


def test_hostile_tables_are_judged_without_an_error_and_only_by_what_is_seen(tmp_path: Path) -> None:
    check_tables(range(100), tmp_path)


def test_numbers_agree_with_plain_formulas() -> None:
    assert check_opinions(range(100)) > 100


@pytest.mark.slow
def test_two_thousand_hostile_tables_and_looks(tmp_path: Path) -> None:
    check_tables(range(1000, 3000), tmp_path)
    assert check_opinions(range(1000, 3000)) > 2000


@pytest.mark.parametrize("seed", range(4))
def test_hostile_logs_are_read_and_judged(seed: int, tmp_path: Path) -> None:
    recipe, declared = small_recipe(), experiment(guardrails=GUARDED, pre_days=0)
    with hostile_log(tmp_path / "a.log", seed) as log:
        table = read_table(recipe, declared, log)
    assert np.isfinite(table.sum_RC).all()
    check_result(table, declared, tmp_path / "r.html")


def look_of(columns: dict[str, F64]) -> DaySnapshot:
    """Return a look at 400 viewers, even ones in the control arm, who have these sums."""
    sum_UC = np.zeros((400, len(METRICS.columns)))
    for name, values in columns.items():
        sum_UC[:, METRICS.columns.index(name)] = values
    return DaySnapshot(0, np.arange(400), np.arange(400) % 2, sum_UC, np.zeros_like(sum_UC), np.ones(400))


def guarded(measured: Measured, metric: str = "hate") -> str:
    spec = METRICS.spec(metric)
    difference = measured.difference
    if difference is not None:
        bounds = always_valid_difference(difference, difference.error, 0.95)
        assert bounds is not None
        low, high = bounds
        measured = measured._replace(difference=replace_struct(difference, always_low=low, always_high=high))
    return GuardrailVerdict(Guardrail(metric=metric, tolerance=0.05), MetricVerdict(spec, measured)).state


@pytest.mark.parametrize(
    ("hates", "state"), [(0, "cannot be judged"), (3, "cannot be judged"), (150, "broken")]
)
def test_a_guardrail_that_is_zero_in_control_is_broken_or_cannot_be_judged(hates: int, state: str) -> None:
    hated = np.zeros(400)
    hated[1 : 2 * hates : 2] = 1.0
    measured = measure(METRICS.spec("hate"), METRICS.columns, look_of({"count hate 1": hated}), 1, 0.95)
    assert measured.effect is None
    assert "it is 0 in" in measured.why
    assert guarded(measured) == state


def test_a_wild_viewer_is_cut_off_and_said() -> None:
    random = np.random.default_rng(1)
    plays = random.gamma(2.0, 1000.0, 400)
    plain = measure(METRICS.spec("watch_time"), METRICS.columns, look_of({"sum play_ms": plays}), 1, 0.95)
    plays[7] = 1e12
    wild = measure(METRICS.spec("watch_time"), METRICS.columns, look_of({"sum play_ms": plays}), 1, 0.95)
    assert plain.effect is not None and wild.effect is not None
    assert plain.notes == ()
    assert "cut off at" in wild.notes[0] and "99% quantile" in wild.notes[0]
    assert wild.effect.error < 1.1 * plain.effect.error


def test_a_metric_near_or_below_zero_has_an_absolute_change_alone() -> None:
    random = np.random.default_rng(2)
    for mean, why in ((-3.0, "in the control arm"), (0.2, "standard errors from 0")):
        values = random.normal(mean, 1.0, 400)
        measured = measure(
            METRICS.spec("watch_time"), METRICS.columns, look_of({"sum play_ms": values}), 1, 0.95
        )
        assert measured.effect is None and why in measured.why
        assert measured.difference is not None
        assert measured.difference.low < measured.difference.high


def test_answers_of_a_few_heavy_viewers_carry_no_change() -> None:
    """Of each arm's 200 viewers 20 have a hundred times the weight of the others: worth some 24 even ones."""
    weight_U = np.where(np.arange(400) < 40, 100.0, 1.0)
    columns = {"weighted": weight_U, "weighted_satisfied": weight_U * (np.arange(400) % 3 == 0)}
    measured = measure(METRICS.spec("satisfaction"), METRICS.columns, look_of(columns), 1, 0.95)
    assert measured.difference is None
    assert measured.why == "an arm's weighted answers are worth those of 24 even viewers; 30 are needed"


@pytest.mark.parametrize("propensity", [1e-5, 1e-6, 1e-300, 5e-324])
def test_one_tiny_propensity_moves_no_mean_weight(propensity: float) -> None:
    random = np.random.default_rng(3)
    num = 3000
    asks: Block = {
        "key": np.zeros(num, np.int64), "ts": np.arange(num) * 1000, "number": np.ones(num, np.int64),
        "propensity": random.choice([0.1, 0.3], num), "option": random.integers(0, 3, num),
        "weight": np.ones(num), "value": np.zeros((num, 1), np.float32),
    }  # fmt: skip
    before = weigh(asks).weight_A.sum()
    asks["propensity"][5] = propensity
    weight_A, summary = weigh(asks)
    assert weight_A.sum() == pytest.approx(before, rel=0.1)
    assert summary.clipped == 1 and summary.largest < 0.1


@pytest.mark.parametrize(("crossed", "verdict"), [(0, "ship"), (5, "ship"), (11, "no verdict")])
def test_viewers_who_change_arms_are_said_and_many_block(crossed: int, verdict: str) -> None:
    effect = Effect(1.0, 1.1, 0.1, 0.05, 0.15, 0.001, 0.02, 1000, False, 0.03, 0.17)
    main = MetricVerdict(METRICS.spec("satisfaction"), Measured(None, effect))
    decision = decide(experiment(), 10, main, (), Dealing(0.5, crossed, 1000))
    assert decision.verdict == verdict
    assert any("seen in more than one arm" in why for why in decision.reasons) == (crossed > 0)


def test_nothing_seen_at_the_planned_end_is_no_verdict() -> None:
    nothing = Measured(None, None, "an arm has too little of it", may_come=True)
    main = MetricVerdict(METRICS.spec("satisfaction"), nothing)
    decision = decide(experiment(), 14, main, (), Dealing(0.5, 0, 1000))
    assert decision.verdict == "no verdict"
    assert "an arm has too little of it" in decision.reasons[0]


def test_an_unseen_guardrail_holds_a_ship_back() -> None:
    effect = Effect(1.0, 1.1, 0.1, 0.05, 0.15, 0.001, 0.02, 1000, False, 0.03, 0.17)
    main = MetricVerdict(METRICS.spec("satisfaction"), Measured(None, effect))
    unseen = MetricVerdict(METRICS.spec("hate"), Measured(None, None, "it is 0 in both arms"))
    guardrails = [GuardrailVerdict(Guardrail(metric="hate"), unseen)]
    for days, verdict in ((10, "keep running"), (14, "no verdict")):
        decision = decide(experiment(), days, main, guardrails, Dealing(0.5, 0, 1000))
        assert decision.verdict == verdict
        assert "Hate cannot be judged as a guardrail: it is 0 in both arms." in decision.reasons
