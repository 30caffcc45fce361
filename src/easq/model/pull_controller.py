"""How hard answers may pull: as hard as a stated loss of behavior allows.

The reference is a behavior-only ranker that is trained beside what is served, and not served itself.
"""

import torch
from torch import Tensor, nn

_MEMORY = 0.98
_RATE = 0.02
_LEAST_SKILL = 0.02
_LEAST, _MOST = 1e-3, 1e3


class PullController(nn.Module):
    """Holds a recent measure of behavior, of the served scores and of the reference, and the factor.

    The measure is a mean; `floor` is what it is for a ranking that knows nothing, or 0. The price is the
    share of the reference's measure above the floor that the served order lacks. While it is below
    `tolerance` the factor of the pull rises, while it is above it falls: by 2 % a step at most, over a memory
    of some 50 steps. Until the reference knows anything the factor stays where it `start`s. It never exceeds
    `most`.
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
        """Hear a step's sums of the measure, from before either learned the step, and over how many."""
        self.sums.mul_(_MEMORY).add_(torch.tensor([served, reference]))
        self.count.mul_(_MEMORY).add_(count)
        ours, theirs = (self.sums / self.count.clamp(min=1) - self._floor).tolist()
        if theirs < _LEAST_SKILL:
            return
        price = (theirs - ours) / theirs
        error = (self._tolerance - price) / max(self._tolerance, 0.01)
        self.factor.mul_(torch.tensor(_RATE * min(1.0, max(-1.0, error))).exp()).clamp_(_LEAST, self._most)
