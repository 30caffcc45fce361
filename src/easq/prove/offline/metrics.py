"""Ranking metrics as pure, vectorized functions; docs/evaluation.md is their protocol.

Shapes: R rows, U viewers in the order of their ids, G lists, E entries of lists. Ties count as random
order would: half a pair, an expected rank. `tests/prove` holds each against an independent implementation.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from easq.arrays import F64, I64, Bool


class Placements(NamedTuple):
    """Per row, the share of the other class that it beats; the mean of either class is the AUC."""

    positive_R: F64
    negative_R: F64


class ScoreOrder:
    """Rows sorted by score, shared by all labels of the same scores."""

    def __init__(self, score_R: NDArray[np.floating]) -> None:
        self._order = np.argsort(score_R, kind="stable")
        self._block, self._starts = _blocks(score_R[self._order])

    def placements(self, label_R: Bool) -> Placements | None:
        """Return placements for binary labels (DeLong et al. 1988), None when a class is absent."""
        positive = label_R[self._order].astype(np.float64)
        num_positive = positive.sum()
        num_negative = len(positive) - num_positive
        if not num_positive or not num_negative:
            return None
        # Of a block of equal scores, half counts as below.
        in_block = np.add.reduceat(positive, self._starts)
        size = np.diff(np.append(self._starts, len(positive)))
        below_positive = np.cumsum(in_block) - in_block / 2
        below_negative = np.cumsum(size - in_block) - (size - in_block) / 2
        positive_R, negative_R = np.empty_like(positive), np.empty_like(positive)
        positive_R[self._order] = (below_negative / num_negative)[self._block]
        negative_R[self._order] = (1 - below_positive / num_positive)[self._block]
        return Placements(positive_R, negative_R)


class ViewerOrder:
    """Rows sorted by viewer and score, for the AUC of each viewer."""

    def __init__(self, user_R: I64, score_R: NDArray[np.floating]) -> None:
        self._order = np.lexsort((score_R, user_R))
        user, score = user_R[self._order], score_R[self._order]
        self._viewer_starts = _blocks(user)[1]
        self.user_U = user[self._viewer_starts]
        self.num_U = np.diff(np.append(self._viewer_starts, len(user)))
        block, starts = _blocks(score, user)
        middle = starts + (np.diff(np.append(starts, len(user))) + 1) / 2
        self._rank = middle[block] - np.repeat(self._viewer_starts, self.num_U)

    def auc(self, label_R: Bool) -> F64:
        """Return each viewer's AUC, NaN where the viewer lacks a class."""
        positive = label_R[self._order].astype(np.float64)
        num_positive = np.add.reduceat(positive, self._viewer_starts)
        rank_sum = np.add.reduceat(positive * self._rank, self._viewer_starts)
        pairs = num_positive * (self.num_U - num_positive)
        wins = rank_sum - num_positive * (num_positive + 1) / 2
        auc_U: F64 = np.divide(wins, pairs, out=np.full_like(wins, np.nan), where=pairs > 0)
        return auc_U

    def others_mean(self, values_R: NDArray[np.generic]) -> F64:
        """Return per row the mean of its viewer's other values, NaN where there is no other."""
        values = values_R[self._order].astype(np.float64)
        sums = np.repeat(np.add.reduceat(values, self._viewer_starts), self.num_U)
        others = np.repeat(self.num_U - 1, self.num_U)
        mean_R = np.full(len(values_R), np.nan)
        mean_R[self._order] = np.divide(
            sums - values, others, out=np.full_like(values, np.nan), where=others > 0
        )
        return mean_R


def grouped_pairs(group_R: I64, level_R: I64, score_R: NDArray[np.floating]) -> tuple[I64, F64, F64]:
    """Return group, pairs in the right order (ties half) and pairs, for the groups that hold pairs.

    A pair is two rows of one group with different levels.
    """
    order = np.argsort(group_R, kind="stable")
    starts = _blocks(group_R[order])[1]
    groups, right, all_pairs = [], [], []
    for rows in np.split(order, starts[1:]):
        if len(rows) < 2:
            continue
        level, score = level_R[rows], score_R[rows]
        pair = level[:, None] > level[None, :]
        if not pair.any():
            continue
        margin = np.sign(score[:, None] - score[None, :])[pair]
        groups.append(int(group_R[rows[0]]))
        right.append(float((margin + 1).sum() / 2))
        all_pairs.append(float(len(margin)))
    return np.array(groups, np.int64), np.array(right), np.array(all_pairs)


class ListRanks(NamedTuple):
    """Where each list's relevant entry stands: `above_G` entries before it, `tied_G` with it (and itself)."""

    above_G: I64
    tied_G: I64

    def hit(self, k: int) -> F64:
        """Return the chance that the rank is at most k."""
        return np.clip((k - self.above_G) / self.tied_G, 0, 1)

    def ndcg(self, k: int) -> F64:
        """Return the expected 1 / log2(1 + rank) within the first k (one relevant entry: ideal is 1)."""
        gain = np.zeros(k + 1)
        gain[1:] = np.cumsum(1 / np.log2(np.arange(2, k + 2)))
        last, first = np.minimum(self.above_G + self.tied_G, k), np.minimum(self.above_G, k)
        expected: F64 = (gain[last] - gain[first]) / self.tied_G
        return expected

    def reciprocal(self) -> F64:
        """Return the expected 1 / rank."""
        if not len(self.above_G):
            return np.zeros(0)
        total = np.cumsum(1 / np.arange(1, (self.above_G + self.tied_G).max() + 1))
        total = np.concatenate([[0.0], total])
        expected: F64 = (total[self.above_G + self.tied_G] - total[self.above_G]) / self.tied_G
        return expected


def list_ranks(list_E: I64, score_E: NDArray[np.floating], relevant_E: Bool) -> ListRanks:
    """Rank the one relevant entry of each list.

    `list_E` numbers the lists 0, 1, ... in order; each holds exactly one relevant entry.
    """
    num_lists = int(list_E[-1]) + 1 if len(list_E) else 0
    target_E = score_E[relevant_E][list_E]
    above = np.bincount(list_E[score_E > target_E], minlength=num_lists)
    tied = np.bincount(list_E[score_E == target_E], minlength=num_lists)
    return ListRanks(above, tied)


def row_ranks(group_R: I64, score_R: NDArray[np.floating]) -> ListRanks:
    """Rank every row among the rows of its group, the largest score first."""
    order = np.lexsort((-score_R, group_R))
    group, starts_group = _blocks(group_R[order])
    block, starts = _blocks(group_R[order], score_R[order])
    above_R, tied_R = np.empty_like(order), np.empty_like(order)
    above_R[order] = (starts - starts_group[group[starts]])[block]
    tied_R[order] = np.diff(np.append(starts, len(order)))[block]
    return ListRanks(above_R, tied_R)


def _blocks(*keys: NDArray[np.generic]) -> tuple[I64, I64]:
    """Return for sorted rows the number of their run of equal keys, and where each run starts."""
    changed = np.zeros(len(keys[0]), np.bool_)
    changed[:1] = True
    for key in keys:
        changed[1:] |= key[1:] != key[:-1]
    return np.cumsum(changed) - 1, np.flatnonzero(changed)
