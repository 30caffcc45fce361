"""Weights of crosses: of a viewer's value together with a candidate's. The learner sets them, from answers.

What satisfies is often a matter of both: this viewer and that topic. A first-order weight of each cannot say
it, and the heads learn it from behavior alone. Shapes: N rows, W and V places of viewer and candidate,
C crosses.
"""

import numpy as np
import torch
from torch import Tensor

from easq.features.encode import Layout, Rows
from easq.log.ids import mix
from easq.recipe.features import History

NUM_CROSSES = 1 << 20
"""Weights in the table. With 2^18 a tenth of what crosses gain is lost to collisions, in worlds with 6,000
answers; with 2^16 most of it."""
_AT_ONCE = 1 << 21
_SALTS = np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0x9E3779B97F4A7C15)


class CrossTable:
    """A table of weights by the hash of two values.

    Every value has a random key, one for itself and one in a history, and the place of a cross is the
    exclusive or of both keys (simple tabulation hashing; Patrascu and Thorup 2012). Places are below C, and
    C is that of a cross with padding, whose weight stays zero.

    weight    float32, (C + 1,).
    per_row   how many crosses a row has, padding included: V * W.
    """

    def __init__(self, layout: Layout) -> None:
        self.weight = torch.zeros(NUM_CROSSES + 1)
        width, candidate_width = (side[-1].stop if side else 0 for side in (layout.viewer, layout.candidate))
        self.per_row = width * candidate_width
        self._past_W = torch.zeros(width, dtype=torch.int64)
        for slot in layout.viewer:
            if isinstance(slot.feature, History):
                self._past_W[slot.start : slot.stop] = layout.num_rows
        of_viewer, of_candidate = (mix(np.arange(2 * layout.num_rows), salt) for salt in _SALTS)
        self._viewer_key = _keys(of_viewer)
        self._candidate_key = _keys(of_candidate[: layout.num_rows])
        # Keys of padding lie above all places, and so does whatever they are crossed with.
        self._viewer_key[[0, layout.num_rows]] = NUM_CROSSES
        self._candidate_key[0] = 2 * NUM_CROSSES

    def places(self, viewer_BW: Tensor, request_N: Tensor, candidate_NV: Tensor) -> Tensor:
        """Return the place of every cross, int32, (N, V * W)."""
        key_NW = self._viewer_key[viewer_BW + self._past_W].index_select(0, request_N)
        crossed_NVW = self._candidate_key[candidate_NV].unsqueeze(2) ^ key_NW.unsqueeze(1)
        return crossed_NVW.clamp_(max=NUM_CROSSES).flatten(1)

    def sums(self, rows: Rows) -> Tensor:
        """Return the sum of each row's weights, (N,)."""
        request_N, candidate_NV = torch.from_numpy(rows.request_N), torch.from_numpy(rows.candidate_NV)
        viewer_BW = torch.from_numpy(rows.viewer_BW)
        size = max(1, _AT_ONCE // max(1, viewer_BW.shape[1] * candidate_NV.shape[1]))
        parts = [torch.zeros(0)]
        for start in range(0, len(request_N), size):
            part = slice(start, start + size)
            place = self.places(viewer_BW, request_N[part], candidate_NV[part])
            parts.append(self.weight.index_select(0, place.view(-1)).view(place.shape).sum(1))
        return torch.cat(parts)


def _keys(spread: np.ndarray) -> Tensor:
    return torch.from_numpy((spread % np.uint64(NUM_CROSSES)).astype(np.int32))
