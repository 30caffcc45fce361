"""Find where an increasing function crosses zero: the only solver that the calibration needs."""

from collections.abc import Callable


def bisect(f: Callable[[float], float], low: float, high: float, steps: int = 12) -> float:
    """Return the crossing, to (high - low) / 2 ** steps, or an end of the range if there is none.

    >>> bisect(lambda x: x - 0.3, 0.0, 1.0, 20)
    0.3
    """
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (low, middle) if f(middle) > 0 else (middle, high)
    return round((low + high) / 2, 6)
