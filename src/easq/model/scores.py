"""Output of every network in training. Shapes: N rows, A answered rows, K1 and K2 experts, K behaviors."""

from typing import NamedTuple

from torch import Tensor


class Scores(NamedTuple):
    """Served scores of all rows, satisfaction scores of the answered ones, and intermediate outputs.

    served_N, gate_NK                      the served score and the gates of its K1 experts (K1 may be 0).
    satisfaction_A, satisfaction_gate_AK   the satisfaction score and the gates of its K2 experts.
    behavior_N                             the score that behavior trains, if it is not the served one.
    variance_A                             variance of the satisfaction scores, if the network predicts it.
    behavior_logit_NK                      logits of the chance of each behavior.
    low_rank_size                          norm of the low-rank increment over that of what it is added to.
    """

    served_N: Tensor
    satisfaction_A: Tensor | None
    gate_NK: Tensor
    satisfaction_gate_AK: Tensor | None
    behavior_N: Tensor | None = None
    variance_A: Tensor | None = None
    behavior_logit_NK: Tensor | None = None
    low_rank_size: Tensor | None = None
