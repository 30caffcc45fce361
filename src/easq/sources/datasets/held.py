"""What a log holds already of a table, so that exports that grow or overlap add what is new.

A view is in the log once, in the request in which it came first. A later export may show the views of that
request among others. Its new views then make requests of their own, and an answer that is new refers to the
request of its view.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import polars as pl

from easq.errors import InputError
from easq.log.base import EventLog, partition_of
from easq.log.event_time import EventTime
from easq.log.events import EVENTS, Answered, Asked, Behavior, Event, Request
from easq.sources.datasets.request_cutter import into_requests
from easq.sources.datasets.rows import key_of

_READ = 4096
_WHOLE_FLOAT = re.compile(r"(:(?:0|-?[1-9][0-9]{0,18}))\.0+(?=:)")


@dataclass
class Held:
    """The views of one table (by key) with their requests, its asks and answers, and how far the log goes.

    `newest` is the time of each partition in ms, as a replay of the log takes it: one wrong clock is no time.
    """

    name: str = ""
    views: dict[str, str] = field(default_factory=dict)
    items: dict[str, list[str]] = field(default_factory=dict)
    replies: set[str] = field(default_factory=set)
    newest: list[int] = field(default_factory=list)


@dataclass
class New:
    """What an import adds: rows in requests, and rows of views that the log holds, in their requests.

    `older` is the number of rows with something new that lie before the newest event of their partition.
    """

    rows: pl.DataFrame
    held: pl.DataFrame
    late_answers: list[Event]
    older: int


def held_by(log: EventLog, name: str) -> Held:
    """Return what a log holds of the table `name`. Its ids may be of a version that kept `1003.0` apart."""
    held = Held(name)
    start = name + ":"
    for partition, first in enumerate(log.start_offsets(EVENTS)):
        offset, time = first, EventTime()
        while events := log.read(EVENTS, partition, offset, _READ):
            offset += len(events)
            for event in events:
                time.move(event.ts)
                if event.event_id.startswith(start):
                    _note(held, event, len(start))
        held.newest.append(time.newest)
    return held


def _note(held: Held, event: Event, start: int) -> None:
    match event:
        case Request():
            held.items[event.event_id] = event.items
        case Behavior():
            held.views[_key(event.event_id[start:].removesuffix(":behavior"))] = event.request_id
        case Asked() | Answered():
            held.replies.add(_key(event.event_id[start:]))


def _key(text: str) -> str:
    return _WHOLE_FLOAT.sub(r"\1", text) if ".0" in text else text


def new_of(rows: pl.DataFrame, held: Held, question: str, is_bounded: bool) -> New:
    """Return what of a table's rows, cut into requests, a log does not hold.

    Requests that the log holds with the same items stay: an interrupted import goes on with them. Of other
    requests with views in the log, the rest is cut anew. Raises InputError if all that is new lies before
    the newest events of its partitions, where a replay would leave it out as late.
    """
    if not held.newest or not rows.height:
        return New(rows, rows.clear(), [], 0)
    views = pl.DataFrame(
        {"key": list(held.views), "in_request": list(held.views.values())},
        schema={"key": pl.String, "in_request": pl.String},
    )
    marked = rows.with_columns(key_of(rows.columns).alias("key"))
    marked = marked.join(views, on="key", how="left", maintain_order="left")
    marked = marked.with_columns(
        pl.format("{}:{}:request", pl.lit(held.name), pl.col("key").first().over("start")).alias("id"),
    )
    is_changed = _changed(marked, held)
    is_held = pl.col("in_request").is_not_null()
    seen = marked.filter(is_changed & marked["in_request"].is_not_null())
    rest = marked.filter(is_changed & marked["in_request"].is_null()).select(rows.columns)
    parts = [marked.filter(~is_changed).select(rows.columns).with_columns(pl.lit("").alias("again"))]
    if rest.height:
        rest = into_requests(rest.drop("start", "request_ts"), is_bounded)
        again = pl.format("+{}", pl.len().over("start")).alias("again")
        # Numbers of requests must differ from those that stay.
        rest = rest.with_columns(again, pl.col("start") + rows.height).select(parts[0].columns)
        parts.append(rest)
    kept = pl.concat(parts).sort("request_ts", "start", maintain_order=True)
    answers = list(_late_answers(seen, held, question))
    added = marked.filter(~is_held).select("user", "ts")
    late = pl.DataFrame(
        {"user": [event.user_id for event in answers], "ts": [event.ts for event in answers]},
        schema={"user": pl.String, "ts": pl.Int64},
    )
    older = _older(pl.concat([added.cast({"user": pl.String}), late]), held)
    return New(kept, seen, answers, older)


def _changed(marked: pl.DataFrame, held: Held) -> pl.Series:
    """Return the rows of requests that the log holds otherwise: with other items, or within others."""
    ids = marked["id"].unique(maintain_order=True).to_list()
    of_log = pl.DataFrame(
        {"id": ids, "held_items": [held.items.get(i) for i in ids]},
        schema={"id": pl.String, "held_items": pl.List(pl.String)},
    )
    found = marked.group_by("start", "id", maintain_order=True).agg(
        pl.col("item").cast(pl.String), (pl.col("in_request") != pl.col("id")).any().alias("elsewhere")
    )
    found = found.join(of_log, on="id", how="left").with_columns(
        (
            pl.col("elsewhere").fill_null(False)
            | (pl.col("held_items").is_not_null() & (pl.col("held_items") != pl.col("item")))
        ).alias("changed")
    )
    joined = marked.select("start").join(
        found.select("start", "changed"), on="start", how="left", maintain_order="left"
    )
    return joined["changed"]


def _late_answers(seen: pl.DataFrame, held: Held, question: str) -> Iterator[Event]:
    """Yield the asks and answers of views that the log holds without them, in the order of time."""
    told = seen.filter(pl.col("option").is_not_null() | pl.col("propensity").is_not_null()).sort("reported")
    for row in told.iter_rows(named=True):
        common = {
            "user_id": str(row["user"]),
            "ts": row["reported"],
            "request_id": row["in_request"],
            "item_id": str(row["item"]),
            "question": question,
            "propensity": 1.0 if row["propensity"] is None else row["propensity"],
        }
        asked, answered = f"{row['key']}:asked", f"{row['key']}:answered"
        if row["propensity"] is not None and asked not in held.replies:
            yield Asked(event_id=f"{held.name}:{asked}", **common)
        if row["option"] is not None and answered not in held.replies:
            yield Answered(event_id=f"{held.name}:{answered}", option=row["option"], **common)


def _older(added: pl.DataFrame, held: Held) -> int:
    users = added["user"].unique().to_list()
    newest = [held.newest[partition_of(user, len(held.newest))] for user in users]
    bounds = pl.DataFrame({"user": users, "newest": newest}, schema={"user": pl.String, "newest": pl.Int64})
    joined = added.join(bounds, on="user", how="left")
    older = joined.filter(pl.col("ts") < pl.col("newest")).height
    if older and older == added.height:
        until = f"{datetime.fromtimestamp(max(held.newest) / 1000, UTC):%Y-%m-%d %H:%M}"
        raise InputError(
            f"all {older:,} new rows lie before what the log holds of their partitions (up to {until} UTC). "
            "A replay would leave them out as late, so nothing was written. Import all files at once "
            "into a new log: name their folder or a glob"
        )
    return older
