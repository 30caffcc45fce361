import numpy as np
import pytest
from scipy import stats

from easq.log.ids import stable_ids
from easq.recipe.assignment import HOLDOUT, NO_EXPERIMENT, Arms, arm_of, arms_in
from easq.recipe.experiments import Arm, Assignment, Eligible, Experiment

VIEWERS = np.array(stable_ids(f"u{n}" for n in range(60_000)))
NOTHING_TOLD: dict[str, np.ndarray] = {}
TWO = (Arm(name="control"), Arm(name="treatment"))


def experiment(name: str = "one", **changes: object) -> Experiment:
    return Experiment(**{"name": name, "arms": TWO, **changes})  # type: ignore[arg-type]


def deal(*experiments: Experiment, **assignment: object) -> list[np.ndarray]:
    arms = Arms(experiments, Assignment(**assignment))  # type: ignore[arg-type]
    return list(arms.assign(VIEWERS, NOTHING_TOLD).values())


def test_arms_get_their_shares() -> None:
    arms = tuple(Arm(name=f"arm{n}", weight=weight) for n, weight in enumerate((1.0, 2.0, 5.0)))
    (arm,) = deal(experiment(arms=arms, share=0.4))
    counts = np.bincount(arm + 1, minlength=4)
    expected = len(VIEWERS) * np.array([0.6, 0.05, 0.1, 0.25])
    assert stats.chisquare(counts, expected).pvalue > 0.001


def test_every_tenth_of_the_viewers_hash_is_dealt_out_evenly() -> None:
    shares = [deal(experiment(f"e{n}"))[0].mean() for n in range(200)]
    z = (np.array(shares) - 0.5) / (0.5 / np.sqrt(len(VIEWERS)))
    # As often as fair coins would, a share lies far from one half: 200 experiments are one sample of z.
    assert stats.kstest(z, "norm").pvalue > 0.001


def test_layers_are_independent_and_experiments_of_one_share_nobody() -> None:
    first = experiment("first", share=0.5)
    second = experiment("second", share=0.5)
    other = experiment("other", share=0.5, layer="layout")
    one, two, three = deal(first, second, other)
    assert not ((one >= 0) & (two >= 0)).any()
    assert ((one >= 0) | (two >= 0)).all()
    table = np.histogram2d(one, three, bins=(np.arange(-1.5, 2), np.arange(-1.5, 2)))[0]
    assert stats.chi2_contingency(table).pvalue > 0.001


def test_experiments_of_the_same_name_in_other_salts_are_independent() -> None:
    (one,), (two,) = deal(experiment()), deal(experiment(), salt="2027")
    assert stats.chi2_contingency(np.histogram2d(one, two, bins=2)[0]).pvalue > 0.001


def test_a_ramp_adds_viewers_and_moves_none() -> None:
    before, other_before = deal(experiment(share=0.1, reserved=0.6), experiment("next", share=0.4))
    after, other_after = deal(experiment(share=0.6), experiment("next", share=0.4))
    was_in = before >= 0
    assert np.array_equal(before[was_in], after[was_in])
    assert (after >= 0).mean() > 0.55
    assert np.array_equal(other_before, other_after)


def test_the_kill_switch_takes_everyone_out_and_moves_no_other_experiment() -> None:
    one, two = deal(experiment(share=0.5, enabled=False), experiment("two", share=0.5))
    assert (one == -1).all()
    assert np.array_equal(two, deal(experiment(share=0.5), experiment("two", share=0.5))[1])


def test_the_holdout_is_in_no_experiment_of_any_layer() -> None:
    arms = Arms([experiment(), experiment("two", layer="layout")], Assignment(holdout=0.1))
    held = arms.held_out(VIEWERS)
    assert stats.binomtest(int(held.sum()), len(held), 0.1).pvalue > 0.001
    for arm in arms.assign(VIEWERS, NOTHING_TOLD).values():
        assert np.array_equal(arm == -1, held)


@pytest.mark.parametrize(
    ("eligible", "values", "expected"),
    [
        (Eligible(feature="segment", values=("new",)), np.array(stable_ids(["new", "old", 3])), [1, 0, 0]),
        (Eligible(feature="segment", values=("new", 3)), np.array(stable_ids(["new", "old", 3])), [1, 0, 1]),
        (Eligible(feature="age", at_least=18.0), np.array([18.0, 17.9, np.nan]), [1, 0, 0]),
        (Eligible(feature="age", at_least=18.0, below=30.0), np.array([18.0, 30.0, 29.0]), [1, 0, 1]),
    ],
)
def test_only_eligible_viewers_take_part(eligible: Eligible, values: np.ndarray, expected: list[int]) -> None:
    arms = Arms([experiment(eligible=eligible)], Assignment())
    assert arms.reads == (eligible.feature,)
    dealt = arms.assign(VIEWERS[:3], {eligible.feature: values})["one"]
    assert (dealt >= 0).astype(int).tolist() == expected


def test_a_label_names_the_assigned_arms() -> None:
    rank = experiment("rank", arms=(Arm(name="control"), Arm(name="easq", recipe="recipes/easq.toml")))
    layout = experiment("layout", layer="layout", share=0.5)
    arms = Arms([rank, layout], Assignment(holdout=0.2))
    dealt = arms.assign(VIEWERS[:300], NOTHING_TOLD)
    labels = [arms.label(f"u{n}", NOTHING_TOLD) for n in range(300)]
    for name, names in (("rank", ["", "control", "easq"]), ("layout", ["", "control", "treatment"])):
        assert [arm_of(label, name) for label in labels] == [names[n + 1] for n in dealt[name]]
    assert [label == HOLDOUT for label in labels] == arms.held_out(VIEWERS[:300]).tolist()
    # By these parts the service finds the model of an arm.
    parts = {part for label in labels for part in arms_in(label)}
    assert parts == {"rank/control", "rank/easq", "layout/control", "layout/treatment", HOLDOUT}
    assert Arms([], Assignment()).label("u1", NOTHING_TOLD) == NO_EXPERIMENT
