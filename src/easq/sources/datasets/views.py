"""The result of reading a data set: all its views, and how to turn them into events."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import polars as pl


@dataclass(frozen=True)
class HistoryOf:
    """A viewer's last `length` ids of the candidate feature `of`, from views whose `where` is `at_least`.

    `before` holds what viewers consumed before the data begins, oldest first.
    """

    name: str
    of: str
    length: int
    where: str | None = None
    at_least: float = 1.0
    before: Iterable[tuple[str, Sequence[int]]] = ()


@dataclass(frozen=True)
class ViewRate:
    """The share of earlier views with the same id of the feature `of` on which `behavior` was `at_least`.

    `of` may be a viewer's or a candidate's feature. The rate is a number of the same side.
    """

    name: str
    of: str
    behavior: str
    at_least: float = 1.0
    half_life_days: float = 7.0
    prior_views: float = 10.0


@dataclass(frozen=True)
class Views:
    """All views of a data set, in the order of their requests.

    `features` returns the feature columns of some rows: int64 is an id, float32 a number, a list
    several ids. A request's viewer features are those of its first row. `name` is the start of every event
    id.
    """

    name: str
    rows: pl.DataFrame
    features: Callable[[pl.DataFrame], pl.DataFrame]
    viewer: Sequence[str]
    candidate: Sequence[str]
    behaviors: Sequence[str]
    histories: Sequence[HistoryOf] = field(default=())
    rates: Sequence[ViewRate] = field(default=())
    question: str = "satisfaction"
