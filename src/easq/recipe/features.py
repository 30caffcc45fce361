"""Settings of what the model reads and learns: features, behaviors and their order."""

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta

from easq.recipe.values import (
    Name,
    Rate,
    Rows,
    Side,
    Strict,
    Width,
)


class Categorical(Strict, frozen=True, tag="categorical", tag_field="kind"):
    """One id per row, hashed into `rows` embedding rows."""

    name: Name
    side: Side
    rows: Rows


class Multi(Strict, frozen=True, tag="multi", tag_field="kind"):
    """Several ids per row, of which the first `length` are averaged."""

    name: Name
    side: Side
    rows: Rows
    length: Width


class RateOf(Strict, frozen=True):
    """A rate that the live service keeps from events: how often `behavior` was shown per view.

    The past fades by half every `half_life_hours`; with few views the rate is drawn to that of all, as
    if there had been `prior_views` of those.
    """

    behavior: Name
    half_life_hours: Rate = 72.0
    prior_views: Rate = 20.0


class Numeric(Strict, frozen=True, tag="numeric", tag_field="kind"):
    """A number, embedded by the interval of `boundaries` that holds it; unknown has its own.

    With `rate` the live service keeps it from events, of the item or of the viewer by `side`.
    """

    name: Name
    side: Side
    boundaries: Annotated[tuple[float, ...], Meta(min_length=1)]
    rate: RateOf | None = None


class History(Strict, frozen=True, tag="history", tag_field="kind"):
    """The viewer's recent ids of the candidate feature `of`; the last `length` are attended to.

    The live service keeps it from events: items whose behaviour `where` reached `at_least`, or all that
    were exposed.
    """

    name: Name
    of: Name
    length: Width
    where: Name | None = None
    at_least: float = 1.0


Feature = Categorical | Multi | Numeric | History


class BehaviorKind(Strict, frozen=True):
    """A behaviour counts as shown when its value is at least `at_least`.

    `weight` is its part in the order of a request's items; 0 measures it without training on it.
    """

    name: Name
    at_least: float = 1.0
    weight: float = 1.0


class OrderSettings(Strict, frozen=True):
    """Which rows B+ orders, and how.

    cap      an item's level is the weight of the behaviours it got, at most this (many > one > none).
    scope    request: pairs of one request (EASQ); viewer: of one viewer's rows in the step; batch:
             any two rows of the step, for logs whose requests have too few items to be ranked.
    """

    cap: Rate = 2.0
    scope: Literal["request", "viewer", "batch"] = "request"


def platform_features(features: Sequence[Feature], side: Side) -> dict[str, Feature]:
    """Return by name the features of a side that the platform sends: those not computed from events."""
    return {
        f.name: f
        for f in features
        if not isinstance(f, History) and not (isinstance(f, Numeric) and f.rate) and f.side == side
    }
