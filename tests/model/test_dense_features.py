"""Vectors by their direction, numbers by their spread or by quantiles, and every method that reads them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from easq.errors import SettingsError
from easq.features.batch import Batch
from easq.features.encode import DenseRows
from easq.features.layout import Layout
from easq.home.snapshots import flatten
from easq.learn.build import build_encoder, build_learner
from easq.model import dense_features
from easq.model.dense_features import (
    NUM_FIRST,
    NUM_INTERVALS,
    DenseEmbeddings,
    QuantileMap,
    StandardizedMap,
    VectorMap,
)
from easq.model.method import methods, read_method
from easq.recipe.features import Numeric
from easq.recipe.read import decode_recipe, to_data
from easq.recipe.values import Side
from tests.support.continued import assert_continues
from tests.support.dense_world import DENSE, dense_steps, with_dense
from tests.support.small_worlds import small_recipe

QUICK = ("probe", "behavior", "easq", "emer")
NAN = float("nan")


def random() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def test_a_vector_counts_by_its_direction() -> None:
    embed = VectorMap(3, 4, random())
    vectors = torch.tensor([[1.0, -2.0, 2.0], [1e-38, -2e-38, 2e-38], [1e38, -2e38, 2e38]])
    found = embed(vectors)
    expected = torch.tensor([1 / 3, -2 / 3, 2 / 3]) @ embed.weight_DE
    np.testing.assert_allclose(found.detach()[[0, 2]], expected.detach().expand(2, 4), rtol=1e-5)
    assert found[1].isfinite().all()
    assert (embed(torch.zeros(1, 3)) == 0).all()


def test_a_vector_that_is_not_finite_is_unknown() -> None:
    embed = VectorMap(3, 4, random())
    found = embed(torch.tensor([[NAN] * 3, [1.0, NAN, 2.0], [1.0, float("inf"), 2.0]]))
    assert (found == embed.unknown_E).all()
    found.sum().backward()
    assert embed.weight_DE.grad is not None
    assert (embed.weight_DE.grad == 0).all()
    assert embed.unknown_E.grad is not None
    assert embed.unknown_E.grad.isfinite().all()


def statistics_of(feature: Numeric) -> tuple[dense_features.DenseStatistics, DenseEmbeddings]:
    layout = Layout.of([feature], 0)
    embeddings = DenseEmbeddings(layout, 4)
    return dense_features.DenseStatistics(layout, embeddings), embeddings


def add(statistics: dense_features.DenseStatistics, value_N: np.ndarray, batch: Batch) -> None:
    """Add a step of as many requests with one candidate each; numbers of viewers are those of candidates."""
    value_N1 = value_N.astype(np.float32)[:, None]
    rows = replace(batch.rows, request_N=np.arange(len(value_N)), dense=DenseRows(value_N1, value_N1))
    statistics.add(replace(batch, rows=rows, num_viewed=len(value_N)))


@pytest.fixture(scope="module")
def batch() -> Batch:
    return dense_steps("method.kind=behavior", num_requests=4)[1][0]


@pytest.mark.parametrize("side", ["viewer", "candidate"])
def test_a_standardized_number_is_less_its_mean_and_over_its_spread(side: Side, batch: Batch) -> None:
    feature = Numeric(name="x", side=side, standardized=True)
    statistics, embeddings = statistics_of(feature)
    values = 1e6 + np.random.default_rng(1).normal(0, 2, 500)
    for part in np.split(values, 5):
        add(statistics, np.concatenate([part, [np.nan]]), batch)
    (embed,) = embeddings.viewer if side == "viewer" else embeddings.candidate
    assert isinstance(embed, StandardizedMap)
    seen = values.astype(np.float32).astype(np.float64)
    np.testing.assert_allclose(embed.scale_2, [seen.mean(), seen.std()], rtol=1e-3)
    far = embed(torch.tensor([[1e6 + 9.5], [3e38], [NAN]])).detach()
    mean, deviation = embed.scale_2
    standard = (1e6 + 9.5 - float(mean)) / float(deviation)
    np.testing.assert_allclose(far[0], (standard * embed.weight_1E + embed.bias_E).detach()[0], rtol=1e-4)
    np.testing.assert_allclose(far[1], (8 * embed.weight_1E + embed.bias_E).detach()[0], rtol=1e-6)
    assert (far[2] == embed.unknown_E).all()


def test_a_number_that_never_changes_has_a_spread_of_one(batch: Batch) -> None:
    statistics, embeddings = statistics_of(Numeric(name="x", side="candidate", standardized=True))
    add(statistics, np.full(9, 3.0), batch)
    (embed,) = embeddings.candidate
    assert embed.scale_2.tolist() == [3.0, 1.0]


def test_boundaries_are_the_quantiles_of_the_first_values_and_stay(batch: Batch) -> None:
    statistics, embeddings = statistics_of(Numeric(name="x", side="candidate", boundaries="quantiles"))
    (embed,) = embeddings.candidate
    assert isinstance(embed, QuantileMap)
    values = np.random.default_rng(1).exponential(5, 2 * NUM_FIRST)
    add(statistics, np.concatenate([values[:1900], [np.nan] * 500]), batch)
    shown = torch.tensor([[0.1], [4.0], [99.0], [NAN]])
    before = embed(shown).detach().clone()
    assert (before[0] == before[2]).all()
    add(statistics, values[1900:], batch)
    np.testing.assert_array_equal(embed(shown).detach(), before)  # what was learned so far goes on
    shares = (values[:NUM_FIRST].astype(np.float32)[:, None] < embed.boundary_Q.numpy()).mean(0)
    np.testing.assert_allclose(shares, np.arange(1, NUM_INTERVALS) / NUM_INTERVALS, atol=1e-3)
    with torch.no_grad():
        embed.weight_QE[0] += 1
    assert (embed(shown)[0] != embed(shown)[2]).all()
    assert statistics.state()["x"].size == 0  # nobody's values are kept once they have served
    fixed = embed.boundary_Q.clone()
    add(statistics, values, batch)
    assert torch.equal(embed.boundary_Q, fixed)


def test_a_value_on_a_boundary_lies_above_it_as_with_boundaries_of_the_recipe() -> None:
    embed = QuantileMap(4, random())
    embed.divide(torch.arange(1.0, NUM_INTERVALS))
    with torch.no_grad():
        embed.weight_QE[:, 0] = torch.arange(NUM_INTERVALS + 1.0)
    given = torch.tensor([[-5.0], [0.99], [1.0], [14.5], [99.0], [NAN], [float("inf")]])
    assert embed(given)[:, 0].tolist() == [0, 0, 1, 14, 15, 16, 16]


def test_first_values_of_all_else_are_as_without_dense_features() -> None:
    plain, dense = (
        build_learner(recipe, build_encoder(recipe))
        for recipe in (small_recipe("method.kind=easq"), with_dense(small_recipe("method.kind=easq")))
    )
    a, b = flatten(plain.state()), flatten(dense.state())
    assert {name for name in b if name not in a} == {
        name for name in b if name.startswith(("dense:pooling.dense", "buffer:", "numbers")) and name not in a
    }
    np.testing.assert_array_equal(a["table:weight"], b["table:weight"])
    assert not any("dense_" in name or "numbers" in name for name in a)


@pytest.mark.parametrize(
    "method", [pytest.param(m, marks=[] if m in QUICK else [pytest.mark.slow]) for m in methods()]
)
def test_every_method_learns_from_dense_features_and_continues_to_the_bit(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dense_features, "NUM_FIRST", 300)  # so that boundaries are found within the test
    learner, batches = dense_steps(f"method.kind={method}", "training.batch_answers=40")
    first = {n: p.detach().clone() for n, p in learner.dense.named_parameters() if ".dense." in n}
    assert len(first) in (13, 26)  # two of each vector, three of each standardized number, one by quantiles
    half = len(batches) // 2
    for one in batches[:half]:
        learner.step(one)
    after = dict(learner.dense.named_parameters())
    assert all(not torch.equal(after[name], before) for name, before in first.items())
    other, _ = dense_steps(f"method.kind={method}", "training.batch_answers=40", num_requests=1)
    state = assert_continues(learner, other, batches[half:])
    boundaries = [value for name, value in state.items() if name.endswith("boundary_Q")]
    assert boundaries
    assert all((np.diff(value) > 0).all() and value[-1] < 1e3 for value in boundaries)


def test_the_order_of_features_and_sides_is_that_of_the_layout() -> None:
    layout = Layout.of(DENSE, 0)
    assert [(s.feature.name, s.start, s.stop) for s in layout.viewer_dense] == [
        ("taste", 0, 3),
        ("age", 3, 4),
    ]
    assert layout.dense_widths == (4, 12)


def test_a_method_that_would_not_read_them_refuses_them_by_name() -> None:
    recipe = small_recipe("method.kind=probe")
    score = {"kind": "score", "name": "p", "behavior": recipe.behaviors[0].name}
    data = to_data(recipe)
    data["method"]["chances"] = ["p"]
    for feature, what in (
        ({"kind": "vector", "name": "v", "side": "candidate", "dim": 4}, "vectors"),
        ({"kind": "numeric", "name": "v", "side": "viewer", "standardized": True}, "numbers by quantiles or"),
    ):
        changed = {**data, "features": [*data["features"], score, feature]}
        with pytest.raises(
            SettingsError, match=f"features.v: the method probe with method.chances .* {what}"
        ):
            decode_recipe(changed, read_method)
