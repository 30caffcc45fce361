"""Whether what viewers do contradicts the order of the options: a scale read upside down shows here.

The best option should go with more likes and long views and with fewer hates than the worst one. What goes
the other way by more than chance is told, and decides nothing: viewers may also regret what they do.
"""

from collections.abc import Iterable, Iterator

import polars as pl
from msgspec import Struct

from easq.recipe.likely_direction import likely_direction
from easq.recipe.questionnaire import BUILT_IN
from easq.sources.datasets.rows import DID

LEAST_ANSWERS = 50
"""Answers of the best and of the worst option, each."""

LEAST_VIEWERS = 20
"""Viewers behind them, since those of one viewer are not independent."""

LEAST_Z = 3.29
"""Standard errors: a two-sided test at .001, because several behaviors are tested."""


class OrderDoubt(Struct, frozen=True):
    """A behavior that contradicts the order of the options.

    best, worst        options.
    with_best, with_worst    mean of the behavior on views with that answer; in a replay as a multiple of the
                       viewer's own average.
    best_answers, worst_answers    numbers of answers.
    z                  standard errors between the two, below 0 where the best option has less of it.
    """

    behavior: str
    best: str
    worst: str
    with_best: float
    with_worst: float
    best_answers: int
    worst_answers: int
    z: float

    def __str__(self) -> str:
        """Return the words for a user."""
        more = "more" if self.z > 0 else "less"
        best = f"{self.best!r} ({self.with_best:.3g}, {self.best_answers:,} answers)"
        worst = f"{self.worst!r} ({self.with_worst:.3g}, {self.worst_answers:,} answers)"
        return (
            f"there is {more} {self.behavior} with {best} than with {worst}, by "
            f"{abs(self.z):.1f} standard errors. Either the options' order is wrong, or viewers regret it"
        )


def contradicts(direction: int, z: float, answers: Iterable[int], num_viewers: int) -> bool:
    """Return whether a difference of `z` standard errors goes against a direction, beyond chance."""
    enough = min(answers) >= LEAST_ANSWERS and num_viewers >= LEAST_VIEWERS
    return enough and direction * z <= -LEAST_Z


def ends_of(question: str, options: Iterable[str]) -> tuple[str, str] | None:
    """Return the worst and the best of the options of a table, None where nobody said their order.

    A mapping has no order; the built-in questions have one.
    """
    known = BUILT_IN.get(question, ())
    held = [option for option in known if option in set(options)]
    if len(held) < 2 or not set(options) <= set(known):
        return None
    return held[0], held[-1]


def order_doubts(views: pl.DataFrame, behaviors: Iterable[str], worst: str, best: str) -> list[OrderDoubt]:
    """Return the behaviors of a table's views (columns `user`, `option` and DID ones) that contradict."""
    answered = views.filter(pl.col("option").is_in([worst, best]))
    return list(_found(answered, behaviors, worst, best)) if answered.height else []


def _found(answered: pl.DataFrame, behaviors: Iterable[str], worst: str, best: str) -> Iterator[OrderDoubt]:
    is_best = pl.col("option") == best
    for behavior in behaviors:
        direction = likely_direction(behavior)
        if not direction:
            continue
        did = pl.col(DID + behavior).fill_null(0.0).cast(pl.Float64)
        # Ranks, so that a few large numbers are not all that counts; of 0 and 1 they say the same.
        rows = answered.select("user", is_best.alias("is_best"), did.alias("did"), did.rank().alias("rank"))
        ends = rows.group_by("is_best").agg(pl.len(), pl.col("did", "rank").mean()).rows_by_key("is_best")
        if len(ends) < 2:
            continue
        (num_b, did_b, rank_b), (num_w, did_w, rank_w) = ends[True][0], ends[False][0]
        # What each viewer adds to the difference of the two means if there is none: viewers, not answers, are
        # independent.
        apart = pl.col("rank") - pl.col("rank").mean()
        own = pl.when("is_best").then(apart / num_b).otherwise(-apart / num_w)
        part_U = rows.select("user", own.alias("own")).group_by("user").agg(pl.col("own").sum())["own"]
        num_viewers = len(part_U)
        error = (float((part_U**2).sum()) * num_viewers / max(1, num_viewers - 1)) ** 0.5
        z = (rank_b - rank_w) / error if error else 0.0
        if contradicts(direction, z, (num_b, num_w), num_viewers):
            yield OrderDoubt(behavior, best, worst, did_b, did_w, num_b, num_w, z)
