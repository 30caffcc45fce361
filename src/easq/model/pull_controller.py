"""Controller for the weight of the satisfaction loss under a budget of lost behavior.

The reference is a behavior-only ranker that is trained beside the served one and never served.
"""

import torch
from torch import Tensor, nn

_MEMORY = 0.98
_RATE = 0.02
_LEAST_SKILL = 0.02
_LEAST, _MOST = 1e-3, 1e3


class PullController(nn.Module):
    """A factor, and a recent behavior measure of the served scores and of the reference scores.

    The measure is a mean; `floor` is its value for an uninformed ranking, or 0. The price is the share of
    the reference's measure above the floor that the served order loses. The factor rises while the price is
    below `tolerance` and falls while it is above: by at most 2 % a step, over a memory of about 50 steps.
    It stays at `start` until the reference is better than the floor, and never exceeds `most`.
    """

    def __init__(self, tolerance: float, most: float = _MOST, floor: float = 0.5, start: float = 1.0) -> None:
        super().__init__()
        self._tolerance, self._most, self._floor = tolerance, most, floor
        self.register_buffer("factor", torch.full((1,), start))
        self.register_buffer("sums", torch.zeros(2))
        self.register_buffer("count", torch.zeros(1))
        self.factor: Tensor
        self.sums: Tensor
        self.count: Tensor

    @torch.no_grad()
    def observe(self, served: float, reference: float, count: float) -> None:
        """Update from one step's sums of the measure, taken before the update, and their number of terms."""
        self.sums.mul_(_MEMORY).add_(torch.tensor([served, reference]))
        self.count.mul_(_MEMORY).add_(count)
        ours, theirs = (self.sums / self.count.clamp(min=1) - self._floor).tolist()
        if theirs < _LEAST_SKILL:
            return
        price = (theirs - ours) / theirs
        error = (self._tolerance - price) / max(self._tolerance, 0.01)
        self.factor.mul_(torch.tensor(_RATE * min(1.0, max(-1.0, error))).exp()).clamp_(_LEAST, self._most)
