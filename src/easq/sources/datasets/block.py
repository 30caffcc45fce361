"""Some complete requests of a data set, with all events that refer to them."""

from typing import NamedTuple

import polars as pl

from easq.log.events import Answered, Asked, Behavior, Event, Request
from easq.log.packing import Column, pack_floats
from easq.sources.datasets.pack import PackedColumn
from easq.sources.datasets.rows import DID, key_of
from easq.sources.datasets.views import HistoryOf, Views

Consumed = tuple[tuple[int, ...], ...]


class Report(NamedTuple):
    """The events on one view, once its behavior is known.

    `consumed` holds the ids that each history gains, `rated` for each rate the id and whether the behavior
    occurred.
    """

    ts: int
    order: int
    user_id: str
    events: list[Event]
    consumed: Consumed
    rated: tuple[tuple[int, bool], ...]


class Block:
    """Requests from rows in the order of their requests. `spans` holds the first row and the end of each."""

    def __init__(self, views: Views, rows: pl.DataFrame) -> None:
        self._views = views
        features = views.features(rows)
        self._users = rows["user"].cast(pl.String).to_list()
        self._items = rows["item"].cast(pl.String).to_list()
        self._keys = rows.select(key_of(rows.columns)).to_series().to_list()
        self._again = rows["again"].to_list() if "again" in rows.columns else None
        self._times = rows["request_ts"].to_list()
        self._reported = rows["reported"].to_list()
        self._viewer = {name: PackedColumn(features[name]) for name in views.viewer}
        self._candidate = {name: PackedColumn(features[name]) for name in views.candidate}
        done = {name: rows[DID + name].fill_null(0.0) for name in views.behaviors}
        self._values = {name: pack_floats(values.to_numpy()) for name, values in done.items()}
        self._done = list(zip(*done.values(), strict=True)) or [()] * rows.height
        gained = [_gained(features[history.of], rows, history) for history in views.histories]
        self._consumed = list(zip(*gained, strict=True)) or [()] * rows.height
        self._rated = {rate.name: features[rate.of].to_list() for rate in views.rates}
        counted = [(rows[DID + rate.behavior] >= rate.at_least).fill_null(False) for rate in views.rates]
        positives = [
            zip(self._rated[r.name], c, strict=True) for r, c in zip(views.rates, counted, strict=True)
        ]
        self._positives = list(zip(*positives, strict=True)) or [()] * rows.height
        self._options = rows["option"].to_list()
        self._propensities = rows["propensity"].to_list()
        firsts = starts(rows)
        self.spans = list(zip(firsts, [*firsts[1:], rows.height], strict=True))

    def time_and_viewer(self, row: int) -> tuple[int, str]:
        """Return the time and the viewer of a row's request."""
        return self._times[row], self._users[row]

    def rated(self, name: str, first: int, end: int) -> list[int]:
        """Return the ids whose rate a request needs: one per row, or one in all for a viewer's feature."""
        is_viewer = next(rate.of for rate in self._views.rates if rate.name == name) in self._viewer
        return self._rated[name][first : first + 1 if is_viewer else end]

    def request(
        self, first: int, end: int, histories: dict[str, Column], rates: dict[str, Column]
    ) -> Request:
        """Return the request of some rows, with the histories and rates as of its time."""
        viewer = {name: column.rows(first, first + 1) for name, column in self._viewer.items()}
        viewer |= {rate.name: rates[rate.name] for rate in self._views.rates if rate.of in self._viewer}
        candidates = {name: column.rows(first, end) for name, column in self._candidate.items()}
        candidates |= {rate.name: rates[rate.name] for rate in self._views.rates if rate.name not in viewer}
        return Request(
            event_id=self._id("request", first) + (self._again[first] if self._again else ""),
            user_id=self._users[first],
            ts=self._times[first],
            items=self._items[first:end],
            viewer=viewer | histories,
            candidates=candidates,
            lengths={
                n: column.counts(first, end) for n, column in self._candidate.items() if column.is_multi
            },
        )

    def report(self, row: int, request_id: str, order: int) -> Report:
        """Return the report on the view in one row. `order` breaks ties between reports of the same time."""
        user, item, ts, question = (
            self._users[row],
            self._items[row],
            self._reported[row],
            self._views.question,
        )
        done = zip(self._views.behaviors, self._done[row], strict=True)
        events: list[Event] = [
            Behavior(
                event_id=self._id("behavior", row),
                user_id=user,
                ts=ts,
                request_id=request_id,
                items=[item],
                values={name: self._values[name][4 * row : 4 * row + 4] for name, value in done if value},
            )
        ]
        option, propensity = self._options[row], self._propensities[row]
        if propensity is not None:
            events.append(
                Asked(
                    event_id=self._id("asked", row),
                    user_id=user,
                    ts=ts,
                    request_id=request_id,
                    item_id=item,
                    question=question,
                    propensity=propensity,
                )
            )
        if option is not None:
            events.append(
                Answered(
                    event_id=self._id("answered", row),
                    user_id=user,
                    ts=ts,
                    request_id=request_id,
                    item_id=item,
                    question=question,
                    option=option,
                    propensity=1.0 if propensity is None else propensity,
                )
            )
        return Report(ts, order, user, events, self._consumed[row], self._positives[row])

    def _id(self, kind: str, row: int) -> str:
        return f"{self._views.name}:{self._keys[row]}:{kind}"


def starts(rows: pl.DataFrame) -> list[int]:
    """Return the rows at which requests begin."""
    is_first = pl.col("start").ne_missing(pl.col("start").shift())
    return rows.select(pl.arg_where(is_first)).to_series().to_list()


def _gained(ids: pl.Series, rows: pl.DataFrame, history: HistoryOf) -> list[tuple[int, ...]]:
    gained: list[tuple[int, ...]] = [(value,) for value in ids.to_list()]
    if history.where is None:
        return gained
    counts = (rows[DID + history.where] >= history.at_least).fill_null(False)
    return [values if is_counted else () for values, is_counted in zip(gained, counts, strict=True)]
