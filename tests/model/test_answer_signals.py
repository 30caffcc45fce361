"""Signals of the answer path: what a step reports, and which of them alarm."""

import pytest

from easq.model.answer_signals import PAIRS, SHUT, SIZE, SPREAD, alarms, last_signals
from easq.prove.offline.progressive import Progressive
from tests.support.method_learners import learner_of
from tests.support.small_worlds import small_recipe


def test_easq_reports_all_of_them_and_others_none() -> None:
    learner, batches = learner_of("easq")
    steps = [learner.step(batch) for batch in batches]
    assert set(steps[-1].signals) == {PAIRS, SHUT, SIZE, SPREAD}
    assert steps[0].signals[SIZE] == 0.0
    assert steps[-1].signals[SIZE] > 0
    assert sum(step.signals[PAIRS] for step in steps) > 0
    assert all(0 <= step.signals[SHUT] <= 1 for step in steps)
    other, _ = learner_of("behavior")
    assert other.step(batches[0]).signals == {}


@pytest.mark.parametrize(
    ("signals", "word"),
    [
        ({SPREAD: 0.0}, "the same for every row"),
        ({SIZE: 0.8}, "0.80 times"),
        ({SHUT: 0.95}, "95%"),
        ({SPREAD: 0.2, SIZE: 0.3, SHUT: 0.5}, None),
        ({SPREAD: None}, None),
    ],
)
def test_a_signal_beyond_its_bound_alarms(signals: dict[str, float | None], word: str | None) -> None:
    found = alarms(signals)
    assert (word is None) == (not found)
    assert word is None or word in found[0]


def test_a_path_that_one_optimizer_kills_alarms() -> None:
    """With a rate far too high the satisfaction tower dies: every gate is shut."""
    learner, batches = learner_of(
        "easq", "method.answer_rate=3.0", "method.activation=relu", "training.gradient_clip=0"
    )
    progressive = Progressive(small_recipe())
    for batch in 3 * batches:
        progressive.observe(learner.step(batch))
    assert alarms(last_signals(progressive.result().curve))
