"""Settings of what the model reads and learns: features, behaviors and their order."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, TypeGuard

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
    """One id per viewer or candidate.

    name   of the feature, in events, tables and calls.
    side   whose it is.
    rows   how many embedding rows ids are hashed into [rows].
    """

    name: Name
    side: Side
    rows: Rows


class Multi(Strict, frozen=True, tag="multi", tag_field="kind"):
    """Several ids per viewer or candidate, whose embeddings are averaged.

    name     of the feature, in events, tables and calls.
    side     whose it is.
    rows     how many embedding rows ids are hashed into [rows].
    length   how many of the ids, the first ones, are read [ids].
    """

    name: Name
    side: Side
    rows: Rows
    length: Width


class RateOf(Strict, frozen=True):
    """A rate that the live service computes from events: how often a view brings `behavior`.

    behavior          whose rate it is.
    half_life_hours   the weight of past views halves in this time.
    prior_views       with few views the rate is shrunk towards the global rate, by so many views of it.
    """

    behavior: Name
    half_life_hours: Rate = 72.0
    prior_views: Rate = 20.0


class Numeric(Strict, frozen=True, tag="numeric", tag_field="kind"):
    """A number; each interval between `boundaries` has an embedding, and so has an unknown value.

    name           of the feature, in events, tables and calls.
    side           whose it is.
    boundaries     numbers that rise; or "quantiles": the learner takes them from the first values that it
                   sees, and they are part of the parameters.
    standardized   instead of boundaries: the number itself, less its running mean and over its spread.
    rate           the live service computes it from events, per item or per viewer as `side` says. Not given:
                   the platform sends it.
    """

    name: Name
    side: Side
    boundaries: tuple[float, ...] | Literal["quantiles"] = ()
    rate: RateOf | None = None
    standardized: bool = False

    @property
    def fixed(self) -> tuple[float, ...]:
        """The boundaries that the recipe states, none where the learner finds them or needs none."""
        return () if isinstance(self.boundaries, str) else self.boundaries


class Vector(Strict, frozen=True, tag="vector", tag_field="kind"):
    """`dim` numbers that another model computed, such as an embedding of the content or of a two-tower model.

    The model reads its direction through a learned map, and not its length.

    name   of the feature, in events, tables and calls.
    side   whose it is.
    dim    how many numbers it has [numbers].
    """

    name: Name
    side: Side
    dim: Annotated[int, Meta(ge=1, le=1024)]


class Score(Strict, frozen=True, tag="score", tag_field="kind"):
    """A number per candidate that another model computed, kept as it is: for `[reference]` and as a chance.

    name       of the feature, in events, tables and calls.
    behavior   whose chance it is, if it is one.
    side       always that of the candidate.
    """

    rate: ClassVar[None] = None
    """The platform sends it; the service computes none."""

    name: Name
    behavior: Name | None = None
    side: Literal["candidate"] = "candidate"


class History(Strict, frozen=True, tag="history", tag_field="kind"):
    """The viewer's recent ids of a candidate feature, to which the model attends. The live service keeps it.

    name       of the feature, in events and tables.
    of         the candidate feature whose ids it holds.
    length     how many of the ids, the last ones, are read [ids].
    where      only items whose behavior of this name reached `at_least`; none: all exposed items.
    at_least   of the behavior `where`.
    """

    name: Name
    of: Name
    length: Width
    where: Name | None = None
    at_least: float = 1.0


Feature = Categorical | Multi | Numeric | Score | Vector | History

Number = Numeric | Score
"""Features that are logged as 32-bit floats, NaN where they are unknown."""


Dense = Vector | Numeric
"""Features that are no row of the embedding table: a learned map of their own makes them an embedding."""


def is_dense(feature: Feature) -> TypeGuard[Dense]:
    """Return whether a feature is a vector, or a number without boundaries of the recipe."""
    return isinstance(feature, Vector) or (isinstance(feature, Numeric) and not feature.fixed)


def score_names(features: Sequence[Feature]) -> list[str]:
    """Return the names of the scores, in the order in which a layout holds them."""
    return [feature.name for feature in features if isinstance(feature, Score)]


class Reference(Strict, frozen=True):
    """The ranker that the platform has. Its score is the behavior score; satisfaction is served beside it.

    feature           a feature of kind "score", higher for what stands higher.
    half_life_views   the scale of the score, in levels of behavior, forgets half of what it saw in so many
                      views. It follows a ranker that is trained anew [views].
    """

    feature: Name
    half_life_views: Rate = 1_000_000.0


class BehaviorKind(Strict, frozen=True):
    """A behavior of viewers.

    name       in events and tables.
    at_least   a view brought the behavior if its value is so much or more.
    weight     its share in the order of a request's items. 0: it has none, and is measured only.
    valence    what it says of satisfaction before anybody was asked: above 0 for a like, below for a hate,
               0 where nothing is assumed. The probe uses it as far as the answers bear it out.
    """

    name: Name
    at_least: float = 1.0
    weight: float = 1.0
    valence: Annotated[float, Meta(ge=-10, le=10)] = 0.0


class OrderSettings(Strict, frozen=True):
    """The pairs B+ of the behavior order.

    cap     an item's level is the summed weight of its behaviors, at most this (many > one > none).
    scope   which rows are compared. request: those of one request (EASQ); viewer: those of one viewer in the
             step; batch: any two of the step, for logs whose requests hold too few items.
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
