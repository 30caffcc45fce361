"""The pairs of D+: which answered rows are compared, Satisfied > Uncertain > Dissatisfied.

Shapes: A answered rows, P pairs.
"""

from typing import Literal

import numpy as np

from easq.arrays import I64

Scope = Literal["user_first", "user", "batch"]


def answer_pairs(user_A: I64, option_A: I64, scope: Scope) -> tuple[I64, I64]:
    """Return row numbers (better_P, worse_P) of all pairs in which the first row has the greater option.

    user: pairs of one viewer; batch: any two rows; user_first: a better row is compared with worse rows of
    its own viewer if there are any, otherwise with those of all viewers in the step.
    """
    pair_AA = option_A[:, None] > option_A[None, :]
    if scope != "batch":
        own_AA = pair_AA & (user_A[:, None] == user_A[None, :])
        pair_AA = own_AA if scope == "user" else np.where(own_AA.any(1, keepdims=True), own_AA, pair_AA)
    better_P, worse_P = np.nonzero(pair_AA)
    return better_P, worse_P


def list_pairs(request_R: I64, answer_of_R: I64, best: int) -> tuple[I64, I64]:
    """Return pairs between answered and unasked rows of the same request, as places in `request_R`.

    `answer_of_R` is the option chosen for the row, or -1 without an answer: the best option ranks above
    unasked rows, the worst below.
    """
    same_RR = request_R[:, None] == request_R[None, :]
    unasked_R = answer_of_R < 0
    above_RR = (answer_of_R == best)[:, None] & unasked_R[None, :] & same_RR
    below_RR = unasked_R[:, None] & (answer_of_R == 0)[None, :] & same_RR
    better_P, worse_P = np.nonzero(above_RR | below_RR)
    return better_P, worse_P
