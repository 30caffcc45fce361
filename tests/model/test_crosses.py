"""Crosses: where each stands, and that training and serving sum the same ones."""

import numpy as np
import pytest
import torch

from easq.features.encode import Rows
from easq.features.layout import Layout
from easq.model.crosses import NUM_CROSSES, CrossTable
from easq.recipe.features import Categorical, History

LAYOUT = Layout.of(
    [
        Categorical(name="viewer", side="viewer", rows=20),
        Categorical(name="item", side="candidate", rows=30),
        Categorical(name="author", side="candidate", rows=10),
        History(name="past", of="item", length=2),
    ],
    row_salt=0,
)


def rows(viewer_BW: list[list[int]], candidate_NV: list[list[int]], request_N: list[int]) -> Rows:
    return Rows(
        np.array(viewer_BW, np.int64),
        np.array(candidate_NV, np.int64),
        np.array(request_N, np.int64),
        np.zeros((len(request_N), 0), np.float32),
    )


def test_the_sum_is_that_of_every_pair_of_values() -> None:
    table = CrossTable(LAYOUT)
    table.weight[:-1] = torch.rand(NUM_CROSSES, generator=torch.Generator().manual_seed(0))
    places = table.places(
        torch.tensor([[3, 25, 0], [3, 0, 0]]), torch.arange(2), torch.tensor([[26, 52], [26, 0]])
    )
    assert (places == NUM_CROSSES).tolist() == [[False, False, True] * 2, [False] + [True] * 5]
    both = rows([[3, 25, 0], [3, 0, 0]], [[26, 52], [26, 0]], [0, 1])
    expected = [float(table.weight[places[0]].sum()), float(table.weight[places[1, 0]])]
    np.testing.assert_allclose(table.sums(both).numpy(), expected, rtol=1e-6)


def test_a_value_in_a_history_is_another_value() -> None:
    table = CrossTable(LAYOUT)
    now, past = table.places(torch.tensor([[25, 25, 0]]), torch.arange(1), torch.tensor([[26, 0]]))[0, [0, 1]]
    assert now != past


def test_no_two_of_many_crosses_share_more_than_by_chance() -> None:
    table = CrossTable(LAYOUT)
    viewer_NW = torch.tensor([[v, 0, 0] for v in range(1, 21) for _ in range(30)])
    candidate_NV = torch.tensor([[c, 0] for _ in range(20) for c in range(21, 51)])
    places = table.places(viewer_NW, torch.arange(600), candidate_NV)[:, 0]
    assert len(places.unique()) >= len(places) - 4


def test_long_requests_are_summed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    table = CrossTable(LAYOUT)
    table.weight[:-1] = torch.rand(NUM_CROSSES, generator=torch.Generator().manual_seed(1))
    many = rows([[3, 25, 26], [4, 0, 0]], [[21 + n % 30, 51 + n % 9] for n in range(40)], [0] * 15 + [1] * 25)
    whole = table.sums(many)
    monkeypatch.setattr("easq.model.crosses._AT_ONCE", 30)
    assert torch.equal(table.sums(many), whole)
