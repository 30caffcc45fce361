"""Write a world down: what a platform would log as events, and the truth in a file of its own.

Nothing that reads the log can reach the truth: it is keyed by request in another file, which only
the measuring side opens.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from easq.events import (
    EVENTS,
    Answered,
    Asked,
    Behavior,
    Event,
    Request,
    pack_counts,
    pack_floats,
    pack_ids,
)
from easq.log.base import EventLog
from easq.world.simulate import Chunk, World

OPTIONS = ("dissatisfied", "uncertain", "satisfied")
_VIEW_MS = 20_000
_TO_ANSWER_MS = 3_000


def record(world: World, num_views: int, log: EventLog, truth: Path, on_views: Callable[[int], None]) -> int:
    """Let the world live for at least `num_views` views; return how many there were.

    `on_views` hears of progress. The truth file must not exist yet.
    """
    num_requests = -(-num_views // world.candidates)
    with TruthWriter(truth) as writer:
        for chunk in world.chunks(num_requests):
            log.append(EVENTS, sorted(events(world, chunk), key=lambda event: event.ts))
            writer.write([_request_id(chunk, r) for r in range(len(chunk.ts_R))], chunk.satisfaction_RC)
            on_views(chunk.item_RC.size)
    return num_requests * world.candidates


class TruthWriter:
    """The true satisfaction of every candidate, by request."""

    def __init__(self, path: Path) -> None:
        if path.exists():
            raise FileExistsError(f"{path} exists already; remove it or choose another name")
        self._db = sqlite3.connect(path)
        self._db.execute("CREATE TABLE truth (request_id TEXT PRIMARY KEY, satisfaction BLOB) WITHOUT ROWID")

    def write(self, request_ids: Sequence[str], satisfaction_RC: np.ndarray) -> None:
        """Keep one float32 per candidate of each request."""
        rows = zip(request_ids, (row.tobytes() for row in satisfaction_RC.astype("<f4")), strict=True)
        with self._db:
            self._db.executemany("INSERT INTO truth VALUES (?, ?)", rows)

    def __enter__(self) -> "TruthWriter":
        """Return the writer itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._db.close()


def events(world: World, chunk: Chunk) -> Iterator[Event]:
    """Yield a chunk's events, request by request."""
    items = chunk.item_RC
    catalogue, viewers = world.catalogue, world.viewers
    candidates = {
        "item_id": items,
        "author_id": catalogue.author_I[items],
        "topic": catalogue.topic_I[items],
        "style": catalogue.style_I[items],
    }
    numbers = {"duration_s": catalogue.duration_s_I[items], "age_days": catalogue.age_days_I[items]}
    tags = catalogue.tags_I[items].reshape(len(items), -1)
    tag_counts = pack_counts(np.full(items.shape[1], catalogue.tags_I.shape[1]))
    single = {
        "user_id": chunk.user_R,
        "segment": viewers.segment_U[chunk.user_R],
        "device": viewers.device_U[chunk.user_R],
        "hour": chunk.ts_R // 3_600_000 % 24,
    }
    for r, user in enumerate(chunk.user_R):
        request = Request(
            event_id=_request_id(chunk, r),
            user_id=f"u{user}",
            ts=int(chunk.ts_R[r]),
            items=[f"i{item}" for item in items[r].tolist()],
            viewer={name: pack_ids(column[r]) for name, column in single.items()}
            | {"recent_items": pack_ids(chunk.history_RL[r, : chunk.history_size_R[r]])},
            candidates={name: pack_ids(column[r]) for name, column in candidates.items()}
            | {name: pack_floats(column[r]) for name, column in numbers.items()}
            | {"tags": pack_ids(tags[r])},
            lengths={"tags": tag_counts},
        )
        yield request
        yield from _replies(chunk, r, request)


def _replies(chunk: Chunk, r: int, request: Request) -> Iterator[Event]:
    """Yield what the viewer did, reported in two halves as an app does, and said."""
    half = len(request.items) // 2
    values = {
        "play_ms": chunk.play_s_RC[r] * 1000,
        "long_view": chunk.long_view_RC[r],
        "like": chunk.like_RC[r],
        "comment": chunk.comment_RC[r],
        "forward": chunk.forward_RC[r],
    }
    for part, place in enumerate((slice(0, half), slice(half, None))):
        ts = request.ts + _VIEW_MS * (half if part == 0 else len(request.items))
        yield Behavior(
            event_id=f"{request.event_id}b{part}",
            user_id=request.user_id,
            ts=ts,
            request_id=request.event_id,
            items=request.items[place],
            values={name: pack_floats(column[place]) for name, column in values.items()},
        )
    for c in np.flatnonzero(chunk.asked_RC[r]).tolist():
        ts = request.ts + _VIEW_MS * (c + 1)
        asked = Asked(
            event_id=f"{request.event_id}q{c}",
            user_id=request.user_id,
            ts=ts,
            request_id=request.event_id,
            item_id=request.items[c],
            question="satisfaction",
            propensity=chunk.propensity,
        )
        yield asked
        if chunk.option_RC[r, c] >= 0:
            yield Answered(
                event_id=f"{request.event_id}a{c}",
                user_id=request.user_id,
                ts=ts + _TO_ANSWER_MS,
                request_id=request.event_id,
                item_id=asked.item_id,
                question=asked.question,
                option=OPTIONS[chunk.option_RC[r, c]],
                propensity=asked.propensity,
                ask_id=asked.event_id,
                took_ms=_TO_ANSWER_MS,
            )


def _request_id(chunk: Chunk, r: int) -> str:
    return f"r{chunk.name}.{r}"
