import pytest
import torch

from easq.model.moe import MixtureOfExperts, Routing

H = torch.randn(50, 8, generator=torch.Generator().manual_seed(1))


def mixture(routing: Routing, num_experts: int = 5) -> MixtureOfExperts:
    torch.manual_seed(1)
    return MixtureOfExperts(8, 4, num_experts, routing)


def test_relu_gates_are_zero_for_some_experts_and_differ_in_number_by_row() -> None:
    gates = mixture(Routing())(H)[1]
    assert gates.min() == 0
    assert len(set((gates > 0).sum(1).tolist())) > 1


@pytest.mark.parametrize("top_k", [1, 2, 9])
def test_softmax_top_k_opens_k_gates_that_add_up_to_one(top_k: int) -> None:
    gates = mixture(Routing("softmax_top_k", top_k))(H)[1]
    assert set((gates > 0).sum(1).tolist()) == {min(top_k, 5)}
    torch.testing.assert_close(gates.sum(1), torch.ones(len(H)))


def test_without_routing_the_experts_are_one_plain_network() -> None:
    plain = mixture(Routing("none"))
    out, gates = plain(H)
    by_hand = torch.relu(plain.inner(H)) @ plain.outer.weight.T + plain.outer_bias.sum(0)
    torch.testing.assert_close(out, by_hand)
    assert (gates == 1).all()
    assert not any("gate" in name for name in plain.state_dict())
