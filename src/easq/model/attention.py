"""Transformer over the candidates of one request, without their order.

Shapes: B requests, C candidates of the largest request, D hidden, H heads.
"""

from torch import Tensor, nn

_ROUNDING = 1e-6
"""Relative difference below which two values of 32 bits are one: some eight times their precision."""


class CandidateLayer(nn.Module):
    """One pre-norm layer: candidates attend to each other, then each is transformed on its own.

    Source: Vaswani et al. 2017 without positional encoding; pre-norm as in Xiong et al. 2020.
    """

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self._num_heads = num_heads
        self.attention_norm, self.feed_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.query_key_value = nn.Linear(dim, 3 * dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)
        self.feed = nn.Sequential(nn.Linear(dim, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, dim))

    def forward(self, h_BCD: Tensor, is_row_BC: Tensor) -> Tensor:
        """Return the rows after the layer; places that are not rows are never attended to."""
        num_requests, width, dim = h_BCD.shape
        shape = (num_requests, width, 3, self._num_heads, dim // self._num_heads)
        query, key, value = (
            self.query_key_value(self.attention_norm(h_BCD)).view(shape).permute(2, 0, 3, 1, 4).unbind(0)
        )
        # In a request without rows every place is attended to, or the softmax would divide by zero.
        seen_BC = is_row_BC | ~is_row_BC.any(1, keepdim=True)
        logits_BHCC = query @ key.transpose(2, 3) * (dim // self._num_heads) ** -0.5
        logits_BHCC = logits_BHCC.masked_fill(~seen_BC[:, None, None, :], float("-inf"))
        attended = (logits_BHCC.softmax(3) @ value).transpose(1, 2).reshape(num_requests, width, dim)
        h_BCD = h_BCD + self.out(attended)
        update: Tensor = self.feed(self.feed_norm(h_BCD))
        return h_BCD + update


class CandidateTransformer(nn.Module):
    """A stack of `CandidateLayer` with a final norm."""

    def __init__(self, dim: int, num_heads: int, num_layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([CandidateLayer(dim, num_heads) for _ in range(num_layers)])
        self.norm = nn.LayerNorm(dim)

    def forward(self, h_BCD: Tensor, is_row_BC: Tensor) -> Tensor:
        """Return the rows of each request after attending to each other."""
        for layer in self.layers:
            h_BCD = layer(h_BCD, is_row_BC)
        normed: Tensor = self.norm(h_BCD)
        return normed


def normalized_rank(value_BCK: Tensor, is_row_BC: Tensor) -> Tensor:
    """Return each value's rank in its request, 0 the best and 1 the last; equal values share one.

    Values above 0 that are equal up to rounding are equal: where a row stands in a batch, and on what machine
    it is scored, decides their last bit.
    """
    more_BCK = (value_BCK * (1 + _ROUNDING)).unsqueeze(2)
    above = (value_BCK.unsqueeze(1) > more_BCK) & is_row_BC[:, None, :, None]
    num_B = is_row_BC.sum(1).clamp(min=2).view(-1, 1, 1)
    return above.sum(2) / (num_B - 1)
