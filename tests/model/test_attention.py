import torch

from easq.model.attention import CandidateTransformer, normalized_rank

ROWS = torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(1))
IS_ROW = torch.tensor([[True] * 4, [True, True, False, False]])


def transformer() -> CandidateTransformer:
    torch.manual_seed(1)
    return CandidateTransformer(8, 2, 2)


def test_order_of_the_candidates_does_not_matter() -> None:
    order = torch.tensor([2, 0, 3, 1])
    model = transformer()
    torch.testing.assert_close(model(ROWS[:, order], IS_ROW[:, order]), model(ROWS, IS_ROW)[:, order])


def test_places_without_a_row_change_nothing() -> None:
    model = transformer()
    alone = model(ROWS[1:, :2], IS_ROW[1:, :2])
    torch.testing.assert_close(model(ROWS, IS_ROW)[1:, :2], alone)


def test_candidates_see_each_other() -> None:
    model, other = transformer(), ROWS.clone()
    other[0, 3] *= -1
    assert (model(other, IS_ROW)[0, 0] - model(ROWS, IS_ROW)[0, 0]).abs().max() > 1e-4


def test_ranks_run_from_best_to_last_within_the_request() -> None:
    value = torch.tensor([[0.3, 0.9, 0.3, 0.1], [0.2, 0.5, 9.0, 9.0]]).unsqueeze(2)
    ranks = normalized_rank(value, IS_ROW)[:, :, 0]
    torch.testing.assert_close(ranks[0], torch.tensor([1 / 3, 0.0, 1 / 3, 1.0]))
    torch.testing.assert_close(ranks[1, :2], torch.tensor([1.0, 0.0]))
    assert normalized_rank(value[:, :1], IS_ROW[:, :1]).sum() == 0


def test_values_that_differ_by_rounding_share_a_rank() -> None:
    value = torch.tensor([0.3, 0.9, 0.3, 0.1])
    value[2] = torch.nextafter(value[2], torch.tensor(1.0))
    ranks = normalized_rank(value.view(1, 4, 1), IS_ROW[:1])[0, :, 0]
    torch.testing.assert_close(ranks, torch.tensor([1 / 3, 0.0, 1 / 3, 1.0]))
