"""How hard L_dpo may pull: as hard as a stated loss of behaviour order allows.

The reference is a behaviour-only ranker that is trained beside EASQ and not served.
"""

import torch
from torch import Tensor, nn

_MEMORY = 0.98
_RATE = 0.02
_LEAST_SKILL = 0.02
_LEAST, _MOST = 1e-3, 1e3


class Price(nn.Module):
    """Holds what pair accuracy was lately, of the served scores and of the reference, and the factor.

    The price is the share of the reference's accuracy above chance that the served order lacks. While it is
    below `tolerance` the factor of lambda2 rises, while it is above it falls: by 2 % a step at most, over a
    memory of some 50 steps. Until the reference knows anything the factor stays. It never exceeds `most`.
    """

    def __init__(self, tolerance: float, most: float = _MOST) -> None:
        super().__init__()
        self._tolerance, self._most = tolerance, most
        self.register_buffer("factor", torch.ones(1))
        self.register_buffer("right", torch.zeros(2))
        self.register_buffer("pairs", torch.zeros(1))
        self.factor: Tensor
        self.right: Tensor
        self.pairs: Tensor

    @torch.no_grad()
    def observe(self, served_right: float, reference_right: float, pairs: float) -> None:
        """Hear how many of a step's pairs each had in the right order, before either learned them."""
        self.right.mul_(_MEMORY).add_(torch.tensor([served_right, reference_right]))
        self.pairs.mul_(_MEMORY).add_(pairs)
        served, reference = (self.right / self.pairs.clamp(min=1) - 0.5).tolist()
        if reference < _LEAST_SKILL:
            return
        price = (reference - served) / reference
        error = (self._tolerance - price) / max(self._tolerance, 0.01)
        self.factor.mul_(torch.tensor(_RATE * min(1.0, max(-1.0, error))).exp()).clamp_(_LEAST, self._most)
