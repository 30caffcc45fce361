"""Record a world: what a platform would log as events, and the truth in a separate file.

Readers of the log cannot reach the truth: it is in another file, by request, which only evaluation opens.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from easq.log.base import EventLog
from easq.log.events import EVENTS, Answered, Asked, Behavior, Event, Request
from easq.log.packing import pack_counts, pack_floats, pack_ids
from easq.sources.world.simulate import World, WorldChunk
from easq.sources.world.world_features import Column, candidate_columns, tags, viewer_columns

QUESTION = "satisfaction"
OPTIONS = ("dissatisfied", "uncertain", "satisfied")
VIEW_MS = 20_000
TO_ANSWER_MS = 3_000


def record(world: World, num_views: int, log: EventLog, truth: Path, on_views: Callable[[int], None]) -> int:
    """Record at least `num_views` views of a world, and return their number.

    `on_views` is called with the views of each chunk. The truth file must not exist yet.
    """
    num_requests = -(-num_views // world.candidates)
    with TruthWriter(truth) as writer:
        for chunk in world.chunks(num_requests):
            log.append(EVENTS, sorted(events(world, chunk), key=lambda event: event.ts))
            writer.write(request_ids(chunk), chunk.satisfaction_RC)
            on_views(chunk.item_RC.size)
    return num_requests * world.candidates


class TruthWriter:
    """Writes the true satisfaction of every candidate, by request."""

    def __init__(self, path: Path) -> None:
        if path.exists():
            raise FileExistsError(f"{path} exists already; remove it or choose another name")
        self._db = sqlite3.connect(path)
        self._db.execute("CREATE TABLE truth (request_id TEXT PRIMARY KEY, satisfaction BLOB) WITHOUT ROWID")

    def write(self, request_ids: Sequence[str], satisfaction_RC: np.ndarray) -> None:
        """Write one float32 per candidate of each request."""
        rows = zip(request_ids, (row.tobytes() for row in satisfaction_RC.astype("<f4")), strict=True)
        with self._db:
            self._db.executemany("INSERT INTO truth VALUES (?, ?)", rows)

    def __enter__(self) -> "TruthWriter":
        """Return the writer itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._db.close()


def events(world: World, chunk: WorldChunk) -> Iterator[Event]:
    """Yield a chunk's events, request by request."""
    items, catalogue = chunk.item_RC, world.catalogue
    single = viewer_columns(world.viewers, chunk.user_R, chunk.ts_R)
    candidates = candidate_columns(catalogue, items, chunk.age_days_RC)
    tags_RCG = tags(catalogue, items)
    tag_counts = pack_counts(np.full(items.shape[1], tags_RCG.shape[2]))
    for r, (event_id, user) in enumerate(zip(request_ids(chunk), chunk.user_R, strict=True)):
        request = Request(
            event_id=event_id,
            user_id=f"u{user}",
            ts=int(chunk.ts_R[r]),
            items=[f"i{item}" for item in items[r].tolist()],
            viewer={name: pack_ids(column[r]) for name, column in single.items()}
            | {"recent_items": pack_ids(chunk.history_RL[r, : chunk.history_size_R[r]])},
            candidates={name: _pack(column[r]) for name, column in candidates.items()}
            | {"tags": pack_ids(tags_RCG[r].ravel())},
            lengths={"tags": tag_counts},
        )
        yield request
        yield from _replies(chunk, r, request)


def _replies(chunk: WorldChunk, r: int, request: Request) -> Iterator[Event]:
    """Yield the viewer's behavior, in two reports as from an app, and the asks and answers."""
    half = len(request.items) // 2
    values = {name: value_RC[r] for name, value_RC in chunk.behaviors.items()}
    for part, place in enumerate((slice(0, half), slice(half, None))):
        ts = request.ts + VIEW_MS * (half if part == 0 else len(request.items))
        yield Behavior(
            event_id=f"{request.event_id}b{part}",
            user_id=request.user_id,
            ts=ts,
            request_id=request.event_id,
            items=request.items[place],
            values={name: pack_floats(column[place]) for name, column in values.items()},
        )
    for c in np.flatnonzero(chunk.asked_RC[r]).tolist():
        ts = request.ts + VIEW_MS * (c + 1)
        asked = Asked(
            event_id=f"{request.event_id}q{c}",
            user_id=request.user_id,
            ts=ts,
            request_id=request.event_id,
            item_id=request.items[c],
            question=QUESTION,
            propensity=chunk.propensity,
        )
        yield asked
        if chunk.option_RC[r, c] >= 0:
            yield Answered(
                event_id=f"{request.event_id}a{c}",
                user_id=request.user_id,
                ts=ts + TO_ANSWER_MS,
                request_id=request.event_id,
                item_id=asked.item_id,
                question=asked.question,
                option=OPTIONS[chunk.option_RC[r, c]],
                propensity=asked.propensity,
                ask_id=asked.event_id,
                took_ms=TO_ANSWER_MS,
            )


def _pack(column: Column) -> bytes:
    return pack_floats(column) if column.dtype.kind == "f" else pack_ids(column)


def request_ids(chunk: WorldChunk) -> list[str]:
    """Return the ids of a chunk's requests. They grow with time and contain the world's seed."""
    return [f"r{chunk.name}.{r}" for r in range(len(chunk.ts_R))]
