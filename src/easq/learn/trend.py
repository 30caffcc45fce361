"""Losses and accuracy of a learner's steps, as a curve of few points over the life of this process."""

from collections.abc import Mapping
from typing import Any

import msgspec

from easq.learn.learner import StepResult

_MOST = 96


class TrendPoint(msgspec.Struct, frozen=True):
    """Means over a stretch of steps; a loss is None where no step of the stretch had a pair for it.

    at_ms, seq       when the last step ended (ms), and its number.
    steps            number of steps in the stretch.
    pair_accuracy    recent progressive pair accuracy after the last step.
    gradient         norm of the dense part's gradient before clipping.
    signals          whether a path that answers train is alive (model/answer_signals.py).
    """

    at_ms: int
    seq: int
    steps: int
    losses: dict[str, float | None]
    pair_accuracy: float
    active_experts: float | None
    active_satisfaction_experts: float | None
    gradient: float | None
    signals: dict[str, float | None] = {}


class Trend:
    """At most `_MOST` points: to stay below, stretches of steps double in length. `last` is the last step."""

    def __init__(self) -> None:
        self.points: list[TrendPoint] = []
        self.last: TrendPoint | None = None
        self._every = 1

    def add(self, ts: int, seq: int, step: StepResult, pair_accuracy: float) -> None:
        """Add a step."""
        self.last = TrendPoint(
            at_ms=ts,
            seq=seq,
            steps=1,
            losses=dict(step.losses),
            pair_accuracy=pair_accuracy,
            active_experts=step.active_experts,
            active_satisfaction_experts=step.active_satisfaction_experts,
            gradient=step.gradient,
            signals=dict(step.signals),
        )
        # A loss of exactly 0 is that of a step without pairs, which tells nothing.
        losses = {name: loss or None for name, loss in step.losses.items()}
        point = msgspec.structs.replace(self.last, losses=losses)
        if self.points and self.points[-1].steps < self._every:
            self.points[-1] = _merged(self.points[-1], point)
            return
        if len(self.points) == _MOST:
            self._every *= 2
            pairs = zip(self.points[::2], self.points[1::2], strict=True)
            self.points = [_merged(first, second) for first, second in pairs]
        self.points.append(point)

    def to_json(self) -> list[Mapping[str, Any]]:
        """Return the points as plain data for the status."""
        points: list[Mapping[str, Any]] = msgspec.to_builtins(self.points)
        return points


def _merged(first: TrendPoint, second: TrendPoint) -> TrendPoint:
    """Return two points as one: means weighted by steps, at the place of the second."""
    sizes = first.steps, second.steps

    def mean(a: float | None, b: float | None) -> float | None:
        known = [(v, size) for v, size in zip((a, b), sizes, strict=True) if v is not None]
        return sum(v * size for v, size in known) / sum(size for _, size in known) if known else None

    names, signals = {**first.losses, **second.losses}, {**first.signals, **second.signals}
    return TrendPoint(
        at_ms=second.at_ms,
        seq=second.seq,
        steps=sum(sizes),
        losses={name: mean(first.losses.get(name), second.losses.get(name)) for name in names},
        pair_accuracy=second.pair_accuracy,
        active_experts=mean(first.active_experts, second.active_experts),
        active_satisfaction_experts=mean(
            first.active_satisfaction_experts, second.active_satisfaction_experts
        ),
        gradient=mean(first.gradient, second.gradient),
        signals={name: mean(first.signals.get(name), second.signals.get(name)) for name in signals},
    )
