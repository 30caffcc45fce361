"""Points along a run: sums of neighboring stretches, pooled until they hold enough."""

from collections.abc import Sequence

Point = dict[str, float]


def pooled(points: Sequence[Point], name: str, least: float = 0, most: int = 64) -> list[Point]:
    """Add up neighboring points until each holds `least` of a sum, and there are at most `most`.

    What is left at the end joins the last point. Each point gains `until`, the views up to its end.
    """
    enough = max(least, sum(point.get(name, 0.0) for point in points) / most) * (1 - 1e-9)
    pools: list[Point] = []
    filled, views = True, 0.0
    for point in points:
        views += point.get("views", 0.0)
        if filled:
            pools.append({})
        for part, value in point.items():
            pools[-1][part] = pools[-1].get(part, 0.0) + value
        pools[-1]["until"] = views
        filled = 0 < pools[-1].get(name, 0.0) >= enough
    if not filled:
        rest = pools.pop()
        if not pools:
            return []
        pools[-1] = {part: pools[-1].get(part, 0.0) + rest.get(part, 0.0) for part in pools[-1] | rest}
        pools[-1]["until"] = views
    return pools


def ratio(point: Point, part: str, whole: str) -> float | None:
    """Return one sum of a point divided by another, None when it lacks either.

    >>> ratio({"pairs_right": 3.0, "pairs": 4.0}, "pairs_right", "pairs")
    0.75
    """
    return point[part] / point[whole] if part in point and point.get(whole) else None


def middle(point: Point) -> float:
    """Return the views replayed when half of a pooled point was done."""
    return point["until"] - point.get("views", 0.0) / 2
