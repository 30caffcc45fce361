"""Metrics of a ranking of a world's requests, vectorized because all lists are equally long.

The definitions are those of docs/evaluation.md, with one difference: the scored answers are held back, so no
model learns them, and a request with an answer that some model learned is left out for all models. Where
answers are so many that few requests have none, some are drawn to have none, and only these are measured.
Shapes: B requests, C candidates of each, G held-back answers.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from easq.arrays import F32, F64, I64, Bool
from easq.prove.bench.world_feed import FedBatch
from easq.prove.offline.metrics import ListRanks, ScoreOrder
from easq.prove.offline.truth import TOPS
from easq.prove.offline.window import GAINS, HITS

Floats = F32 | F64

TOP = 3
"""Whose satisfaction and behavior are compared: the first so many of a request."""
_WINDOW_ANSWERS = 4096


class Lists:
    """Measured requests as a grid; the same for all scorers.

    level_BC      what was done.
    truth_BC      true satisfaction.
    held_BC       options of the answers that were held back, or -1.
    expected_BC   levels that were to be expected, where the pass asks for them.
    rows_BC       rows of their step; without it, rows are numbered through.
    """

    def __init__(
        self,
        level_BC: Floats,
        truth_BC: Floats,
        held_BC: NDArray[np.integer],
        expected_BC: Floats | None = None,
        rows_BC: I64 | None = None,
    ) -> None:
        self.level_BC, self.truth_BC = level_BC.astype(np.float64), truth_BC.astype(np.float64)
        self.held_BC = held_BC
        self.expected_BC = None if expected_BC is None else expected_BC.astype(np.float64)
        self.rows_BC = np.arange(held_BC.size).reshape(held_BC.shape) if rows_BC is None else rows_BC
        self.pair_BCC = self.level_BC[:, :, None] > self.level_BC[:, None, :]
        self.num_pairs = int(np.count_nonzero(self.pair_BCC))
        self.best_B = self.truth_BC.argmax(1)
        self.request_G, self.place_G = np.nonzero(self.held_BC >= 0)

    @classmethod
    def of(cls, fed: FedBatch, candidates: int) -> "Lists":
        """Return the requests of a step that are measured: those of which no answer was learned."""
        batch = fed.batch
        shape = (-1, candidates)
        clean_B = (batch.answer_M.reshape(shape) < 0).all(1)
        if fed.spared_B is not None:
            clean_B &= fed.spared_B
        return cls(
            batch.level_M.reshape(shape)[clean_B],
            fed.satisfaction_M.reshape(shape)[clean_B],
            fed.held_M.reshape(shape)[clean_B],
            None if fed.expected_M is None else fed.expected_M.reshape(shape)[clean_B],
            np.arange(batch.num_viewed).reshape(shape)[clean_B],
        )

    def __len__(self) -> int:
        return len(self.rows_BC)


class Measure:
    """Sums of one scorer over a run; `values` divides them."""

    def __init__(self, best_option: int) -> None:
        self._best = best_option
        self._sums: dict[str, F64] = {}
        self._relative: list[F64] = []
        self._satisfied: list[Bool] = []

    def add(self, lists: Lists, score_BC: F64) -> None:
        """Add a step's scores."""
        if not len(lists):
            return
        # Of all pairs of a request at once: lists are short, so this is cheaper than sorting.
        wins_BCC = score_BC[:, :, None] > score_BC[:, None, :]
        ties_BCC = score_BC[:, :, None] == score_BC[:, None, :]
        ranks = ListRanks(wins_BCC.sum(1), ties_BCC.sum(1))
        for k in TOPS:
            if k >= score_BC.shape[1]:
                continue
            in_top_BC = ranks.hit(k)
            self._add(f"true_sat@{k}", (in_top_BC * lists.truth_BC).sum(), len(lists) * k)
            self._add(f"behavior@{k}", (in_top_BC * lists.level_BC).sum(), len(lists) * k)
            if lists.expected_BC is not None:
                expected = (in_top_BC * lists.expected_BC).sum()
                self._add(f"expected_behavior@{k}", expected, len(lists) * k)
            said_sat = in_top_BC[lists.held_BC == self._best].sum()
            self._add(f"said_sat@{k}", said_sat, in_top_BC[lists.held_BC >= 0].sum())
        right = np.count_nonzero(wins_BCC & lists.pair_BCC) + np.count_nonzero(ties_BCC & lists.pair_BCC) / 2
        self._add("pair_accuracy", right, lists.num_pairs)
        best = np.arange(len(lists)), lists.best_B
        self._add_ranks("true", ListRanks(ranks.above_G[best], ranks.tied_G[best]))
        self._answers(lists, score_BC)

    def add_signals(self, signals: Mapping[str, float]) -> None:
        """Add a step's signals of the answer path; `values` has their means, named `signal/NAME`."""
        for name, value in signals.items():
            self._add(f"signal/{name}", value, 1.0)

    def _answers(self, lists: Lists, score_BC: F64) -> None:
        request_G, place_G = lists.request_G, lists.place_G
        score_G = score_BC[request_G, place_G]
        satisfied_G = lists.held_BC[request_G, place_G] == self._best
        self._relative.append(score_G - score_BC.mean(1)[request_G])
        self._satisfied.append(satisfied_G)
        # Another satisfied view of the request is no worse than this one, so it leaves the list.
        request_S, score_S = request_G[satisfied_G], score_G[satisfied_G]
        others_SC = lists.held_BC[request_S] != self._best
        list_SC = score_BC[request_S]
        above_S = ((list_SC > score_S[:, None]) & others_SC).sum(1)
        tied_S = ((list_SC == score_S[:, None]) & others_SC).sum(1) + 1
        self._add_ranks("sat", ListRanks(above_S, tied_S))

    def _add_ranks(self, family: str, ranks: ListRanks) -> None:
        num = len(ranks.above_G)
        for k in HITS:
            self._add(f"{family}/hr@{k}", ranks.hit(k).sum(), num)
        for k in GAINS:
            self._add(f"{family}/ndcg@{k}", ranks.ndcg(k).sum(), num)
        self._add(f"{family}/mrr", ranks.reciprocal().sum(), num)

    def _add(self, name: str, numerator: float, denominator: float) -> None:
        self._sums.setdefault(name, np.zeros(2))[:] += numerator, denominator

    def values(self) -> dict[str, float]:
        """Return every metric with at least one count."""
        values = {name: float(n / d) for name, (n, d) in sorted(self._sums.items()) if d}
        auc = self._auc()
        return values if auc is None else values | {"sat/auc": auc}

    def _auc(self) -> float | None:
        relative = np.concatenate([*self._relative, np.zeros(0)])
        satisfied = np.concatenate([*self._satisfied, np.zeros(0, np.bool_)])
        total = weight = 0.0
        for start in range(0, len(relative), _WINDOW_ANSWERS):
            label = satisfied[start : start + _WINDOW_ANSWERS]
            placed = ScoreOrder(relative[start : start + _WINDOW_ANSWERS]).placements(label)
            if placed is not None:
                total += float(placed.positive_R[label].sum())
                weight += int(np.count_nonzero(label))
        return total / weight if weight else None


def scores_of(served_N: F64, lists: Lists) -> F64:
    """Return a step's scores of the measured requests."""
    scores: F64 = served_N[lists.rows_BC]
    return scores
