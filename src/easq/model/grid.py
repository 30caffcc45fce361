"""Rows of requests laid out as a grid of requests by candidates, and back.

Shapes: N rows, B requests, C candidates.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Grid:
    """Rows of ragged requests laid out as B x C, C the largest request."""

    place_N: Tensor | None
    num_requests: int
    width: int

    @staticmethod
    def of(request_N: Tensor, num_requests: int) -> "Grid":
        """Lay out rows whose requests stand in order."""
        if num_requests == 1:  # known without reading a value, so that a scorer can be exported
            return Grid(None, 1, request_N.shape[0])
        sizes_B = torch.bincount(request_N, minlength=num_requests)
        width = int(sizes_B.max()) if len(request_N) else 1
        if width * num_requests == len(request_N):
            return Grid(None, num_requests, width)
        start_B = sizes_B.cumsum(0) - sizes_B
        position_N = torch.arange(len(request_N)) - start_B[request_N]
        return Grid(request_N * width + position_N, num_requests, width)

    def spread(self, x_N: Tensor, fill: float = 0.0) -> Tensor:
        """Return x as (B, C, ...), `fill` where a request has fewer than C rows."""
        shape = (self.num_requests, self.width, *x_N.shape[1:])
        if self.place_N is None:
            return x_N.view(shape)
        flat = x_N.new_full((self.num_requests * self.width, *x_N.shape[1:]), fill)
        return flat.index_copy(0, self.place_N, x_N).view(shape)

    def gather(self, x_BC: Tensor) -> Tensor:
        """Return the rows that `spread` placed."""
        flat = x_BC.flatten(0, 1)
        return flat if self.place_N is None else flat.index_select(0, self.place_N)
