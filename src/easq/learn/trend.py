"""What a learner's steps found, as a curve of few points over its whole life in this process."""

from typing import Any

from easq.learn.learner import StepResult

_MOST = 96


class Trend:
    """Means over stretches of steps: at most `_MOST` points, so stretches double when there are more.

    A point holds when it ended (ms), the step's `seq`, how many steps it is of, the losses, recent pair
    accuracy, the experts that fired, and the norm of the dense gradient.
    """

    def __init__(self) -> None:
        self.points: list[dict[str, Any]] = []
        self.last: dict[str, Any] = {}
        self._every = 1

    def add(self, ts: int, seq: int, step: StepResult, pair_accuracy: float) -> None:
        """Take a step."""
        self.last = {
            "at_ms": ts,
            "seq": seq,
            "steps": 1,
            "losses": dict(step.losses),
            "pair_accuracy": pair_accuracy,
            "active_experts": step.active_experts,
            "active_satisfaction_experts": step.active_satisfaction_experts,
            "gradient": step.gradient,
        }
        # A loss of nothing is 0: a step without pairs says nothing of it.
        point = {**self.last, "losses": {n: loss or None for n, loss in step.losses.items()}}
        if self.points and self.points[-1]["steps"] < self._every:
            self.points[-1] = _merged(self.points[-1], point)
            return
        if len(self.points) == _MOST:
            self._every *= 2
            pairs = zip(self.points[::2], self.points[1::2], strict=True)
            self.points = [_merged(first, second) for first, second in pairs]
        self.points.append(point)


def _merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Return two points as one: means weighted by steps, and the second's place."""
    sizes = first["steps"], second["steps"]
    total = sum(sizes)

    def mean(a: float | None, b: float | None) -> float | None:
        known = [(v, size) for v, size in zip((a, b), sizes, strict=True) if v is not None]
        return sum(v * size for v, size in known) / sum(size for _, size in known) if known else None

    names = {**first["losses"], **second["losses"]}
    merged = {
        key: mean(first[key], second[key])
        for key in ("active_experts", "active_satisfaction_experts", "gradient")
    }
    return {
        "at_ms": second["at_ms"],
        "seq": second["seq"],
        "steps": total,
        "losses": {name: mean(first["losses"].get(name), second["losses"].get(name)) for name in names},
        "pair_accuracy": second["pair_accuracy"],
        **merged,
    }
