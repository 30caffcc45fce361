"""Where labels stand, so that none covers another."""

from collections.abc import Sequence
from math import inf


def spread(positions: Sequence[float], gap: float) -> list[float]:
    """Move positions apart, keeping their order, until neighbors are at least `gap` apart.

    >>> spread([10.0, 10.0, 50.0], 4.0)
    [8.0, 12.0, 50.0]
    """
    order = sorted(range(len(positions)), key=positions.__getitem__)
    blocks: list[tuple[float, int]] = []
    for index in order:
        center, size = positions[index], 1
        while (
            blocks and center - (size - 1) * gap / 2 - (blocks[-1][0] + (blocks[-1][1] - 1) * gap / 2) < gap
        ):
            other, count = blocks.pop()
            center, size = (center * size + other * count) / (size + count), size + count
        blocks.append((center, size))
    moved = [-inf] * len(positions)
    places = (center + (i - (size - 1) / 2) * gap for center, size in blocks for i in range(size))
    for index, place in zip(order, places, strict=True):
        moved[index] = place
    return moved
