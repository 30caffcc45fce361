"""A tower beside the base: what it cannot move, what of it is served, and what the price bounds."""

import dataclasses
import warnings

import numpy as np
import pytest
import torch

from easq.errors import SettingsError
from easq.learn.build import build_encoder, build_learner
from easq.model.method import methods, read_method
from easq.model.methods.easq import EasqSettings
from easq.model.methods.multitask import MmoeSettings, PleSettings
from easq.model.methods.satisfaction_tower import SatisfactionTowerSettings, _inside_requests
from easq.recipe.read import SettingsWarning, read_recipe
from tests.support.continued import assert_continues
from tests.support.method_learners import all_scores, learner_of, moved_by, trained_by
from tests.support.paths import RECIPES
from tests.support.small_worlds import small_recipe

KIND = "satisfaction_tower"
ALONE = "method.readout=false"
TOWERS = {
    "shared_bottom": ("method.tower.kind=shared_bottom",),
    "mmoe": ("method.tower.kind=mmoe",),
    "ple": ("method.tower.kind=ple",),
    "easq": ("method.tower.kind=easq",),
    "easq, waiting": (
        "method.tower.kind=easq",
        "method.tower.scope=batch",
        "method.tower.answers_per_step=32",
        "answers.buffer=0",
    ),
}
SETTINGS = {"mmoe": MmoeSettings(), "ple": PleSettings(), "easq": EasqSettings()}
LOSSES = [(t, loss) for t, s in SETTINGS.items() for loss in SatisfactionTowerSettings(tower=s).loss_moves]


@pytest.mark.parametrize("tower", TOWERS)
def test_neither_answers_nor_the_tower_change_a_bit_of_the_base(tower: str) -> None:
    beside, batches = learner_of(KIND, *TOWERS[tower])
    base, _ = learner_of("behavior")
    for batch in 3 * batches[:-1]:
        beside.step(batch)
        base.step(batch)
    behavior_N = all_scores(beside, batches[-1]).behavior_N
    assert behavior_N is not None
    np.testing.assert_array_equal(behavior_N.numpy(), base.score(batches[-1]))
    assert not np.allclose(beside.score(batches[-1]), base.score(batches[-1]), rtol=1e-3)


def test_the_tower_learns_what_its_method_learns_alone() -> None:
    settings = ("training.gradient_clip=0", "answers.buffer=0")
    beside, batches = learner_of(KIND, *settings)
    alone, _ = learner_of("shared_bottom", "method.scope=batch", *settings)
    # The base takes the first numbers of the random generator, so the tower begins with others.
    beside.network.tower.load_state_dict(alone.network.state_dict())
    with torch.no_grad():
        beside.table.weight[:, -alone.table.weight.shape[1] :] = alone.table.weight
    for batch in batches:
        one, other = beside.step(batch).losses, alone.step(batch).losses
        assert one["satisfaction"] == pytest.approx(other["satisfaction"], rel=1e-4, abs=1e-6)
        assert one["tower"] == pytest.approx(other["main"], rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(("tower", "loss"), LOSSES, ids=str)
def test_each_loss_moves_its_own_parameters_and_no_other(tower: str, loss: str) -> None:
    learner, batches = trained_by(KIND, f"method.tower.kind={tower}")
    moves = SatisfactionTowerSettings(tower=SETTINGS[tower]).loss_moves[loss]
    names = {"table", *(name for name, _ in learner.dense.named_parameters())}
    expected = {n for n in names if n.startswith(moves.parts) and not n.startswith(moves.but_not or "-")}
    assert set().union(*(moved_by(learner, batch, loss) for batch in batches[-12:])) == expected


def test_served_is_the_base_plus_the_factor_times_a_bounded_score() -> None:
    learner, batches = learner_of(KIND, ALONE, "method.behavior_budget=0", "method.max_share=0.25")
    for batch in 3 * batches[:-1]:
        learner.step(batch)
    result = all_scores(learner, batches[-1])
    worth = learner.network.worth_R[0]
    assert result.satisfaction_A is not None
    assert result.satisfaction_A.std() > 0
    assert result.satisfaction_A.abs().max() < worth
    torch.testing.assert_close(result.served_N, result.behavior_N + 0.25 * result.satisfaction_A)


def test_nothing_is_served_before_the_score_has_predicted_answers() -> None:
    learner, batches = learner_of(KIND, ALONE, "method.max_share=1000")
    for batch in batches[:-1]:
        views = dataclasses.replace(batch, weight_A=np.zeros_like(batch.weight_A))
        learner.step(views)
    result = all_scores(learner, batches[-1])
    assert result.satisfaction_A is not None
    assert not result.satisfaction_A.any()
    assert result.behavior_N is not None
    np.testing.assert_array_equal(result.served_N.numpy(), result.behavior_N.numpy())
    for batch in 3 * batches[:-1]:
        learner.step(batch)
    assert 0 < float(learner.network.worth_R) <= 1


def test_the_readout_is_that_of_the_probe_to_the_bit() -> None:
    settings = ("method.ridge=30", "method.own_rate=0.1", "training.gradient_clip=0")
    beside, batches = learner_of(KIND, *settings)
    probe, _ = learner_of("probe", *settings)
    for batch in 3 * batches[:-1]:
        beside.step(batch)
        probe.step(batch)
    for (name, one), other in zip(
        beside.network.readout.state_dict().items(), probe.network.readout.state_dict().values(), strict=True
    ):
        np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=name)
    readout, tower = beside.network.worth_R.tolist()
    assert 0 < readout <= 1
    assert 0 <= tower <= 1


def test_before_any_answer_it_serves_what_the_probe_serves() -> None:
    settings = ("method.behavior_budget=0", "method.max_share=0.25", "training.gradient_clip=0")
    beside, batches = learner_of(KIND, *settings)
    probe, _ = learner_of("probe", *settings)
    for batch in batches[:-1]:
        views = dataclasses.replace(batch, weight_A=np.zeros_like(batch.weight_A))
        beside.step(views)
        probe.step(views)
    np.testing.assert_allclose(beside.score(batches[-1]), probe.score(batches[-1]), rtol=1e-6)


def test_answers_are_predicted_inside_their_request() -> None:
    _, batches = learner_of(KIND)
    batch = next(b for b in batches if len(b.option_A) > 10)
    score_NR = np.random.default_rng(0).normal(size=(len(batch.rows.request_N), 2)).astype(np.float32)
    for relative_R, row in zip(_inside_requests(score_NR, batch), batch.answer_row_A.tolist(), strict=True):
        listed = np.flatnonzero(batch.rows.request_N == batch.rows.request_N[row])
        assert len(listed) == 10
        assert relative_R == pytest.approx(score_NR[row] - score_NR[listed].mean(0), abs=1e-6)


@pytest.mark.parametrize("budget", [0.01, 0.05])
def test_the_price_is_the_loss_that_the_base_expects(budget: float) -> None:
    learner, batches = learner_of(KIND, ALONE, f"method.behavior_budget={budget}", "method.max_share=1000")
    for _ in range(8):
        for batch in batches:
            learner.step(batch)
    price = learner.objective._price
    lost, _, whole = price._recent
    assert price.factor == pytest.approx(float(learner.network.factor))
    assert lost / whole * price.ratio == pytest.approx(budget, rel=0.5)


@pytest.mark.parametrize("tower", TOWERS)
def test_state_round_trip_continues_bit_for_bit(tower: str) -> None:
    first, batches = trained_by(KIND, *TOWERS[tower])
    recipe = small_recipe("training.embedding_scale=0.3", f"method.kind={KIND}", *TOWERS[tower])
    second = build_learner(recipe, build_encoder(recipe))
    assert_continues(first, second, batches[:3])


def test_only_touched_rows_of_the_tower_change() -> None:
    learner, batches = learner_of(KIND, "answers.buffer=0")
    before = learner.table.weight.clone()
    touched_U = learner.step(batches[0]).touched_U
    changed = np.flatnonzero((learner.table.weight != before)[:, -16:].any(1).numpy())
    assert len(changed)
    assert set(changed.tolist()) <= set(touched_U.tolist())


def test_the_towers_keys_are_checked_where_they_stand() -> None:
    with pytest.raises(SettingsError, match=r"method\.tower\.kind: got 'emer'; allowed: shared_bottom"):
        small_recipe(f"method.kind={KIND}", "method.tower.kind=emer")
    with pytest.raises(SettingsError, match=r"method\.tower\.rank: got 4096; allowed: 0 to"):
        small_recipe(f"method.kind={KIND}", "method.tower.kind=easq", "method.tower.rank=4096")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read_recipe(
            RECIPES / "world.toml",
            [f"method.kind={KIND}", "method.tower.kind=mmoe", "method.tower.satisfaction_share=0.5"],
            methods=read_method,
        )
    (message,) = (str(w.message) for w in caught if w.category is SettingsWarning)
    assert message.startswith("method.tower.satisfaction_share = 0.5 has no effect")


def test_the_gradient_map_is_that_of_the_default_tower() -> None:
    assert SatisfactionTowerSettings().loss_moves == methods()[KIND].gradient_map
