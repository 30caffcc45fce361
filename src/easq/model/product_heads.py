"""The chance of every behavior, from products, a hidden layer and first-order weights.

Shapes: N rows, M viewed rows, K behaviors, W width, F columns of first-order weights.
Source: products of viewer and candidate as in factorization machines (Rendle 2010), of learned combinations;
first-order weights beside them as in wide and deep learning (Cheng et al. 2016).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from easq.model.lora import Projection
from easq.model.pooling import Inputs, SummedPooling


class ProductHeads(nn.Module):
    """logit_k = log odds so far + head_k((V viewer) * (C candidate), softplus(H x)) + first-order weights.

    V and C start `product_scale` times as large as usual: a product of small numbers has small gradients. The
    heads start at zero, so a rare behavior begins at its log odds, without noise. The first-order weights are
    the first K columns of `x.sum_NF`.
    """

    def __init__(
        self, pooling: SummedPooling, num_behaviors: int, *, width: int, product_scale: float
    ) -> None:
        super().__init__()
        self.viewer = nn.Linear(pooling.viewer_dim, width, bias=False)
        self.candidate = nn.Linear(pooling.candidate_dim, width, bias=False)
        self.hidden = Projection(pooling.viewer_dim, pooling.candidate_dim, width)
        self.bias_W = nn.Parameter(torch.zeros(width))
        self.heads = nn.Linear(2 * width, num_behaviors)
        with torch.no_grad():
            self.viewer.weight *= product_scale
            self.candidate.weight *= product_scale
        nn.init.zeros_(self.heads.weight)
        nn.init.zeros_(self.heads.bias)
        self.register_buffer("offset_K", torch.zeros(num_behaviors))
        self.offset_K: Tensor
        self._num_behaviors = num_behaviors

    def forward(self, x: Inputs) -> Tensor:
        """Return the logits (N x K)."""
        assert x.sum_NF is not None
        product_NW = self.viewer(x.viewer_BV).index_select(0, x.request_N) * self.candidate(x.candidate_NC)
        hidden_NW = functional.softplus(self.hidden(x) + self.bias_W)
        deep_NK: Tensor = self.heads(torch.cat([product_NW, hidden_NW], 1))
        return self.offset_K + deep_NK + x.sum_NF[:, : self._num_behaviors]
