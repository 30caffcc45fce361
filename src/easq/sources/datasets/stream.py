"""Turn views into events: requests, behaviors, asks and answers, in the order of event time.

A request comes at the time of its first view, before the behavior of any of its views. A view is reported
when its behavior was known. Histories and rates are updated from these events, so the features of a request
hold only what was known strictly before it.
"""

from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from itertools import count

import polars as pl

from easq.features.profiles import Histories, Rates
from easq.log.events import Event
from easq.log.packing import Column, pack_floats, pack_ids
from easq.sources.datasets.block import Block, Report, starts
from easq.sources.datasets.views import HistoryOf, ViewRate, Views

CHUNK_EVENTS = 4096
BLOCK_ROWS = 8192
_DAY_MS = 86_400_000


def events_of(views: Views) -> Iterator[list[Event]]:
    """Yield the events of all views, a few thousand at a time."""
    chunk: list[Event] = []
    for events in _in_order(views):
        chunk += events
        if len(chunk) >= CHUNK_EVENTS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _in_order(views: Views) -> Iterator[list[Event]]:
    recent = _Recent(views.histories, views.rates)
    waiting: list[Report] = []
    order = count()
    for rows in _blocks(views.rows):
        block = Block(views, rows)
        for first, end in block.spans:
            ts, user = block.time_and_viewer(first)
            while waiting and waiting[0].ts < ts:
                yield recent.ingest(heappop(waiting))
            request = block.request(first, end, recent.columns(user), recent.rates(block, first, end))
            yield [request]
            for row in range(first, end):
                heappush(waiting, block.report(row, request.event_id, next(order)))
    while waiting:
        yield recent.ingest(heappop(waiting))


def _blocks(rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield blocks of complete requests, so that the features of only some rows are in memory."""
    begin, last = 0, 0
    for end in [*starts(rows)[1:], rows.height]:
        if end - begin > BLOCK_ROWS and last > begin:
            yield rows[begin:last]
            begin = last
        last = end
    if last > begin:
        yield rows[begin:last]


class _Recent:
    """The histories of all viewers and the rates of all ids, as of the reports so far."""

    def __init__(self, declared: Sequence[HistoryOf], rates: Sequence[ViewRate]) -> None:
        self._rates = {rate.name: Rates(rate.half_life_days * _DAY_MS, rate.prior_views) for rate in rates}
        self._histories: dict[str, Histories[int]] = {
            history.name: Histories(history.length) for history in declared
        }
        for history in declared:
            for user, ids in history.before:
                self._histories[history.name].observe(user, ids)

    def ingest(self, report: Report) -> list[Event]:
        for history, ids in zip(self._histories.values(), report.consumed, strict=True):
            if ids:
                history.observe(report.user_id, ids)
        for rates, (key, is_positive) in zip(self._rates.values(), report.rated, strict=True):
            rates.observe(key, report.ts, is_positive)
        return report.events

    def rates(self, block: Block, first: int, end: int) -> dict[str, Column]:
        ts, _ = block.time_and_viewer(first)
        return {
            name: pack_floats(rates.rates(block.rated(name, first, end), ts))
            for name, rates in self._rates.items()
        }

    def columns(self, user_id: str) -> dict[str, Column]:
        return {name: pack_ids(history.recent(user_id)) for name, history in self._histories.items()}
