"""Behavior after an answer against the viewer's own average: convergent validity.

Shapes: B requests, K behaviors, O options, U viewers.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np

from easq.arrays import I64
from easq.features.batch import reported
from easq.features.examples import Viewed
from easq.log.events import Answered
from easq.log.ids import stable_id
from easq.prove.answers.results import ViewsAfter
from easq.prove.answers.sampled import Sampled
from easq.prove.offline.tally import Tally
from easq.recipe.features import BehaviorKind

_TOGETHER = 256  # requests counted at once


class BehaviorAfter:
    """Counts views and behaviors by viewer: after an answer, by its option, and otherwise.

    A view is later than an answer if its request was made after the answer and at most `window_ms` after it;
    with several answers it belongs to the last one before the request. It is compared with the viewer's views
    that are later than no answer. Requests with an answer are in neither group, because an answered view is
    known to be watched. At most `most` viewers are counted.
    """

    def __init__(
        self,
        behaviors: Sequence[BehaviorKind],
        options: Sequence[str],
        window_ms: int,
        slack_ms: int,
        most: int,
    ) -> None:
        self._behaviors, self._options = list(behaviors), list(options)
        self._number = {option: n for n, option in enumerate(options)}
        self._window, self._slack = window_ms, slack_ms
        self._at_least_K = np.array([b.at_least for b in behaviors], np.float32)
        # By viewer: other views, then views after each option; number of views, then of each behavior.
        self.viewers = Sampled((1 + len(options), 1 + len(behaviors)), most)
        self._answers: dict[str, deque[tuple[int, int]]] = {}
        self._last_swept = 0
        self._waiting: list[Viewed] = []

    def add_answer(self, event: Answered) -> None:
        """Add an answer to the question."""
        option = self._number.get(event.option)
        if option is not None:
            self._answers.setdefault(event.user_id, deque()).append((event.ts, option))

    def add_view(self, view: Viewed) -> None:
        """Add a request whose window has closed; its viewer's answers until then have come before."""
        if view.reports and not view.answers:
            self._waiting.append(view)
        if len(self._waiting) >= _TOGETHER:
            self._count()

    def earlier_views(self, user_id: str) -> int:
        """Return how many views of a viewer were counted so far."""
        counts = self.viewers.row(stable_id(user_id))
        return 0 if counts is None else int(counts[:, 0].sum())

    def add_to(self, tally: Tally) -> dict[str, ViewsAfter]:
        """Add `later/OPTION/BEHAVIOR`, 1 being the viewer's average; return views and viewers by option.

        The expectation for a later view is the share of the viewer's other views with the behavior.
        """
        self._count()
        user_U, count_UOK = self.viewers.all()
        after = {}
        for number, option in enumerate(self._options):
            later_UK = count_UOK[:, 1 + number]
            other_UK = count_UOK[:, 0]
            both = (later_UK[:, 0] > 0) & (other_UK[:, 0] > 0)
            later_UK, other_UK, users = later_UK[both], other_UK[both], user_U[both]
            for k, behavior in enumerate(self._behaviors, 1):
                expected_U = later_UK[:, 0] * other_UK[:, k] / other_UK[:, 0]
                tally.add(f"later/{option}/{behavior.name}", users, later_UK[:, k], expected_U)
            after[option] = ViewsAfter(int(later_UK[:, 0].sum()), len(users))
        return after

    def _count(self) -> None:
        views, self._waiting = self._waiting, []
        if not views:
            return
        start_B = np.cumsum([0, *(len(v.request.items) for v in views)])
        value_NK, exposed_N = reported(views, start_B, self._behaviors)
        behavior_NK = (
            np.concatenate([exposed_N[:, None], value_NK >= self._at_least_K], 1) & exposed_N[:, None]
        )
        counts_BK: I64 = np.add.reduceat(behavior_NK.astype(np.int64), start_B[:-1])
        for view, counts in zip(views, counts_BK, strict=True):
            row = self.viewers.row(stable_id(view.request.user_id))
            if row is not None:
                row[1 + self._option_before(view.request.user_id, view.request.ts)] += counts
        self._sweep(views[-1].request.ts)

    def _option_before(self, user_id: str, ts: int) -> int:
        """Return the option of the last answer in the window before a request, -1 where there was none."""
        for answered_ms, option in reversed(self._answers.get(user_id, ())):
            if ts - self._window <= answered_ms < ts:
                return option
        return -1

    def _sweep(self, ts: int) -> None:
        """Forget answers too old for any view to follow."""
        if ts < self._last_swept + self._slack:
            return
        self._last_swept, horizon = ts, ts - self._window - self._slack
        for user_id, answers in list(self._answers.items()):
            while answers and answers[0][0] < horizon:
                answers.popleft()
            if not answers:
                del self._answers[user_id]
