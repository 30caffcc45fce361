"""The scored rows of one stretch of the log, stored until they are measured together.

Shapes: R rows of viewed requests, G answers (one list each), E entries of those lists.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from easq.arrays import F64, I64
from easq.learn.learner import StepResult
from easq.log.ids import stable_id
from easq.prove.offline.metrics import ScoreOrder, ViewerOrder, grouped_pairs, list_ranks
from easq.prove.offline.tally import Tally

HITS, GAINS = (1, 5, 10), (5, 10, 20)
State = dict[str, NDArray[np.generic]]


class GrowingColumns:
    """Arrays that grow together by appending, by name."""

    def __init__(self) -> None:
        self._parts: dict[str, list[NDArray[np.generic]]] = {}

    def add(self, **columns: NDArray[np.generic]) -> None:
        """Append to each named column."""
        for name, values in columns.items():
            self._parts.setdefault(name, []).append(values)

    def take(self) -> State:
        """Return the columns whole and become empty."""
        columns = self.peek()
        self._parts.clear()
        return columns

    def peek(self) -> State:
        """Return the columns whole."""
        return {name: np.concatenate(parts) for name, parts in self._parts.items()}

    def restore(self, columns: State) -> None:
        """Hold the given columns."""
        self._parts = {name: [values] for name, values in columns.items()}


class Window:
    """Collects steps; `measure` adds their metrics to a tally and empties the window.

    Answers are compared by their score relative to the mean of their list. Raw scores of two requests come
    from different parameters: learning one answer shifts all later scores of the viewer, so comparisons of
    raw scores within a viewer can fall below chance however well lists are ranked.
    """

    def __init__(self, behaviors: Sequence[str], options: Sequence[str], scorers: Sequence[str]) -> None:
        self._behaviors, self._options, self._scorers = list(behaviors), list(options), list(scorers)
        self._views, self._answers, self._entries = GrowingColumns(), GrowingColumns(), GrowingColumns()
        self.num_rows = self.num_answers = 0

    def add(self, step: StepResult, scores: dict[str, F64]) -> None:
        """Add a step's viewed rows, its fresh answers, and the list of each of these answers."""
        batch, num = step.batch, step.batch.num_viewed
        user_N = batch.user_B[batch.rows.request_N]
        self._views.add(
            user=user_N[:num],
            shown=batch.behavior_MK,
            said=batch.answer_M,
            **{f"score.{name}": values[:num] for name, values in scores.items()},
        )
        self.num_rows += num
        row_G = batch.answer_row_A[batch.fresh_A]
        if not len(row_G):
            return
        # A list is the answer's whole request: the run of rows, after the viewed ones, with its number.
        request_G = batch.rows.request_N[row_G]
        first_G = np.searchsorted(batch.rows.request_N, request_G, side="left")
        size_G = np.searchsorted(batch.rows.request_N, request_G, side="right") - first_G
        row_E = np.repeat(first_G - np.cumsum(size_G) + size_G, size_G) + np.arange(size_G.sum())
        # By its id: a viewer may have made two requests at the same time.
        key_B = np.zeros(len(batch.request_ids), np.int64)
        for request in np.unique(request_G).tolist():
            key_B[request] = stable_id(batch.request_ids[request])
        self._answers.add(
            user=user_N[row_G],
            option=batch.option_A[batch.fresh_A],
            key=_view_key(key_B[request_G], batch.position_N[row_G]),
        )
        if step.satisfaction_L is not None:
            self._entries.add(**{"score.expert": step.satisfaction_L[row_E - num].astype(np.float64)})
        self._entries.add(
            list=self.num_answers + np.repeat(np.arange(len(row_G)), size_G),
            key=_view_key(key_B[batch.rows.request_N[row_E]], batch.position_N[row_E]),
            **{f"score.{name}": values[row_E] for name, values in scores.items()},
        )
        self.num_answers += len(row_G)

    def measure(self, tally: Tally) -> None:
        """Add all metrics of views and answers to the tally and forget them."""
        self.measure_views(tally)
        self.measure_answers(tally)

    def measure_views(self, tally: Tally) -> None:
        """Add the metrics of the views and forget them."""
        if not self.num_rows:
            return
        views, self.num_rows = self._views.take(), 0
        user_R: I64 = views["user"].astype(np.int64, copy=False)
        behavior_RK = views["shown"].astype(np.bool_, copy=False)
        for scorer in self._scorers:
            score_R = views[f"score.{scorer}"].astype(np.float64)
            order, by_viewer = ScoreOrder(score_R), ViewerOrder(user_R, score_R)
            for k, behavior in enumerate(self._behaviors):
                tally.add_auc(_name(scorer, f"auc/{behavior}"), user_R, order, behavior_RK[:, k])
                auc_U = by_viewer.auc(behavior_RK[:, k])
                known = np.isfinite(auc_U)
                num_U = by_viewer.num_U[known]
                name = _name(scorer, f"gauc/{behavior}")
                tally.add(name, by_viewer.user_U[known], auc_U[known] * num_U, num_U)
        answer_R = views["said"]
        for k, behavior in enumerate(self._behaviors):
            expected_R = by_viewer.others_mean(behavior_RK[:, k])
            for number, option in enumerate(self._options):
                rows = (answer_R == number) & np.isfinite(expected_R)
                name = f"validity/{option}/{behavior}"
                tally.add(name, user_R[rows], behavior_RK[rows, k], expected_R[rows])

    def measure_answers(self, tally: Tally) -> None:
        """Add the metrics of the answers and forget them."""
        if not self.num_answers:
            return
        answers, entries, self.num_answers = self._answers.take(), self._entries.take(), 0
        user_G: I64 = answers["user"].astype(np.int64, copy=False)
        option_G: I64 = answers["option"].astype(np.int64, copy=False)
        list_E: I64 = entries["list"].astype(np.int64, copy=False)
        own_E = entries["key"] == answers["key"][list_E]
        satisfied_G = option_G == len(self._options) - 1
        # Another satisfied view of the request is no worse than this one, so it leaves the list.
        other_E = np.isin(entries["key"], answers["key"][satisfied_G]) & ~own_E
        ranked_E = satisfied_G[list_E] & ~other_E
        # A list of one entry ranks nothing.
        listed_G = np.bincount(list_E) > 1
        ranked_G = np.bincount(list_E[ranked_E], minlength=len(user_G)) > 1
        ranked_E &= ranked_G[list_E]
        for scorer in [*self._scorers, "expert"]:
            column = entries.get(f"score.{scorer}")
            if column is None:
                continue
            score_E = column.astype(np.float64)
            score_G = score_E[own_E]
            # A mean of differences: exactly 0 where all scores are equal, which a difference of means is not.
            relative_G = np.bincount(list_E, score_G[list_E] - score_E) / np.bincount(list_E)
            tally.add_auc(_name(scorer, "sat/raw_auc"), user_G, ScoreOrder(score_G), satisfied_G)
            user, option, relative = user_G[listed_G], option_G[listed_G], relative_G[listed_G]
            tally.add_auc(_name(scorer, "sat/auc"), user, ScoreOrder(relative), satisfied_G[listed_G])
            tally.add(_name(scorer, "sat/pair_accuracy"), *grouped_pairs(user, option, relative))
            ranks = list_ranks(
                np.unique(list_E[ranked_E], return_inverse=True)[1], score_E[ranked_E], own_E[ranked_E]
            )
            values = {f"sat/hr@{k}": ranks.hit(k) for k in HITS}
            values |= {f"sat/ndcg@{k}": ranks.ndcg(k) for k in GAINS}
            values["sat/mrr"] = ranks.reciprocal()
            for metric, value_G in values.items():
                tally.add(_name(scorer, metric), user_G[ranked_G], value_G)

    def state(self) -> State:
        """Return the stored rows."""
        parts = {"views": self._views, "answers": self._answers, "entries": self._entries}
        columns_by_name = {
            f"{part}.{n}": v for part, columns in parts.items() for n, v in columns.peek().items()
        }
        return {**columns_by_name, "size": np.array([self.num_rows, self.num_answers])}

    def restore(self, state: State) -> None:
        """Become the window whose `state` this is."""
        for part, columns in (("views", self._views), ("answers", self._answers), ("entries", self._entries)):
            head = f"{part}."
            columns.restore({n[len(head) :]: v for n, v in state.items() if n.startswith(head)})
        self.num_rows, self.num_answers = (int(n) for n in state["size"])


def _name(scorer: str, metric: str) -> str:
    return metric if scorer == "model" else f"{scorer}/{metric}"


def _view_key(request: I64, position: I64) -> I64:
    return request * 8191 + position
