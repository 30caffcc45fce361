"""Detects that a live model has gone bad: its progressive validation fell far below its long-term level.

A model whose scores have all become one never falls: half of its pairs count as right, as by chance. So the
share of lists that are tied is watched by itself, and raises an alarm.
"""

from dataclasses import dataclass

import numpy as np

from easq.learn.learner import StepResult
from easq.model.pairwise_accuracy import pairs_right, tied_lists

_CHANCE = 0.5
_TIED_HALF_LIFE, _TIED_LEAST, _TIED_MOST = 200, 100, 0.5
"""Lists in which a tie counts half, lists before the first alarm, and the share that raises it."""
_LEAST_EXCESS = 0.02  # below this a model is hardly above chance, and there is no level to fall from


@dataclass
class DecayedShare:
    """A share in which older trials decay by half every `half_life` trials, and the decayed trials."""

    half_life: float
    right: float = 0.0
    trials: float = 0.0
    seen: float = 0.0

    def add(self, right: float, trials: float) -> None:
        """Count trials and how many of them were right."""
        fade = 0.5 ** (trials / self.half_life)
        self.right, self.trials = self.right * fade + right, self.trials * fade + trials
        self.seen += trials

    @property
    def value(self) -> float:
        """Return the share, or the chance level before anything was counted."""
        return self.right / self.trials if self.trials else _CHANCE


class RollbackGuard:
    """Compares recent pair accuracy with its long-term level; a view's score is from before it was learned.

    A request that was answered before its views were learned has already trained the model once. Such
    requests are few, and their share is the same in recent accuracy and level.

    The accuracy has fallen if its recent excess over chance is below `share` of the level's. A `share` of 0
    switches the guard off.
    """

    def __init__(self, share: float, recent_pairs: int, level_pairs: int) -> None:
        self._share, self._recent_pairs, self._level_pairs = share, recent_pairs, level_pairs
        self.recent = DecayedShare(recent_pairs)
        self.level = DecayedShare(level_pairs)
        self._tied = DecayedShare(_TIED_HALF_LIFE)

    def observe(self, step: StepResult) -> None:
        """Add the pair accuracy of a step's scores, which are from before its update."""
        batch = step.batch
        right_B, pairs_B = pairs_right(batch.rows.request_N[: batch.num_viewed], batch.level_M, step.served_N)
        self.recent.add(float(right_B.sum()), float(pairs_B.sum()))
        self.level.add(float(right_B.sum()), float(pairs_B.sum()))
        self._tied.add(*map(float, tied_lists(batch.rows.request_N[: batch.num_viewed], step.served_N)))

    @property
    def tied_share(self) -> float:
        """Return the share of recent lists whose candidates all had one score."""
        return self._tied.value if self._tied.trials else 0.0

    def alarms(self) -> list[str]:
        """Return what is wrong with the scores, a sentence each; empty without anything."""
        if self._tied.seen < _TIED_LEAST or self.tied_share <= _TIED_MOST:
            return []
        return [
            f"In {self.tied_share:.0%} of the recent lists all candidates have one score: their order is not "
            "the model's. Scores that have collapsed do not come back by themselves; roll back."
        ]

    def fallen(self) -> str:
        """Return what has fallen how far, or nothing while all is well or too little was seen."""
        if self.recent.seen < 2 * self._recent_pairs or self.level.seen < self._level_pairs / 4:
            return ""
        recent, level = self.recent.value - _CHANCE, self.level.value - _CHANCE
        if level < _LEAST_EXCESS or recent >= self._share * level:
            return ""
        return (
            f"recent pair accuracy is {_CHANCE + recent:.4f}, its level {_CHANCE + level:.4f}; "
            f"live.guard_share is {self._share}"
        )

    def rearm(self) -> None:
        """Start over after a rollback: the level stays, the recent accuracy is measured anew."""
        self.recent = DecayedShare(self._recent_pairs)
        self._tied = DecayedShare(_TIED_HALF_LIFE)

    def state(self) -> np.ndarray:
        """Return both shares as one array."""
        return np.array([[s.right, s.trials, s.seen] for s in (self.recent, self.level, self._tied)])

    def restore(self, state: np.ndarray) -> None:
        """Continue from what `state` returned."""
        # A guard of before did not watch ties.
        shares = (self.recent, self.level, self._tied)
        for share, (right, trials, seen) in zip(shares, state.tolist(), strict=False):
            share.right, share.trials, share.seen = right, trials, seen
