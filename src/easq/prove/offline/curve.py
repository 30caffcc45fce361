"""Sums along a run, in a bounded number of points, and the calibration of its pair probabilities.

A point holds the sums over the steps of its stretch. When there are too many points, neighbors are merged,
so a curve over a long log needs no more memory than one over a short log.
"""

from collections.abc import Mapping

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from easq.arrays import F64

_MOST = 256


class Curve:
    """Named sums per stretch of the run; `steps` steps make a point, and twice as many when it is full."""

    def __init__(self) -> None:
        self._points: list[dict[str, float]] = []
        self._steps_per_point, self._steps = 1, 0

    def add(self, sums: Mapping[str, float]) -> None:
        """Add one step's sums."""
        if self._steps % self._steps_per_point == 0:
            self._points.append({})
        _merge(self._points[-1], sums)
        self._steps += 1
        if len(self._points) > _MOST:
            for left, right in zip(self._points[::2], self._points[1::2], strict=False):
                _merge(left, right)
            self._points = self._points[::2]
            self._steps_per_point *= 2

    def points(self) -> list[dict[str, float]]:
        """Return the sums of each stretch, in order."""
        return self._points

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return the points as a table."""
        names = sorted({name for point in self._points for name in point})
        table = np.array([[point.get(name, np.nan) for name in names] for point in self._points], np.float64)
        text = np.frombuffer("\n".join(names).encode(), np.uint8)
        return {"names": text, "table": table, "steps": np.array([self._steps, self._steps_per_point])}

    def restore(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Become the curve whose `state` this is."""
        names = state["names"].tobytes().decode().split("\n")
        self._points = [
            {name: float(v) for name, v in zip(names, row, strict=True) if not np.isnan(v)}
            for row in state["table"].astype(np.float64)
        ]
        self._steps, self._steps_per_point = (int(n) for n in state["steps"])


def _merge(into: dict[str, float], sums: Mapping[str, float]) -> None:
    for name, value in sums.items():
        into[name] = into.get(name, 0.0) + value


class Calibration(Struct, frozen=True):
    """How often pairs were in the claimed order; one entry of each list for every filled bin.

    pairs     all pairs counted.
    claimed   mean probability claimed in a bin.
    right     share of the bin's pairs that were in the claimed order.
    count     pairs of the bin.
    """

    pairs: int
    expected_calibration_error: float | None
    claimed: list[float]
    right: list[float]
    count: list[int]


class Reliability:
    """Calibration of sigmoid(margin) as the probability that the pair is in that order.

    Pairs are counted by the probability of the order that the model prefers, 0.5 to 1.
    """

    bins = 10

    def __init__(self) -> None:
        self._sums = np.zeros((3, self.bins))

    def add(self, margin_P: NDArray[np.floating]) -> None:
        """Add the margins (better minus worse) of pairs whose order is known."""
        probability = 1 / (1 + np.exp(-np.abs(margin_P.astype(np.float64))))
        bin_P = np.minimum(((probability - 0.5) * 2 * self.bins).astype(np.int64), self.bins - 1)
        self._sums[0] += np.bincount(bin_P, minlength=self.bins)
        self._sums[1] += np.bincount(bin_P, probability, self.bins)
        self._sums[2] += np.bincount(bin_P, (np.sign(margin_P) + 1) / 2, self.bins)

    def report(self) -> Calibration:
        """Return the expected calibration error, and per filled bin the claimed and the true share."""
        pairs, claimed, right = self._sums[:, self._sums[0] > 0]
        total = pairs.sum()
        return Calibration(
            pairs=int(total),
            expected_calibration_error=float(np.abs(claimed - right).sum() / total) if total else None,
            claimed=(claimed / pairs).tolist(),
            right=(right / pairs).tolist(),
            count=pairs.astype(int).tolist(),
        )

    def state(self) -> F64:
        """Return the sums."""
        return self._sums

    def restore(self, state: NDArray[np.generic]) -> None:
        """Become the counts whose `state` this is."""
        self._sums = state.astype(np.float64)
