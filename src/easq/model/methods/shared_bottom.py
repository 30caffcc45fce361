"""Shared bottom (Caruana 1997): both tasks read the same layers. Shapes: N rows, D hidden, W width."""

from torch import Tensor, nn

from easq.model.methods.multitask import Tasks


class SharedBottom(nn.Module):
    """Two layers that both tasks share, as wide as `num_experts` experts side by side."""

    def __init__(self, in_dim: int, width: int, num_experts: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(in_dim, num_experts * width), nn.ReLU(), nn.Linear(num_experts * width, width)
        )

    def forward(self, h_ND: Tensor) -> Tasks:
        """Return the same rows for both tasks."""
        shared_NW = self.layers(h_ND)
        return Tasks(shared_NW, shared_NW, h_ND.new_zeros(len(h_ND), 0))
