"""The metrics' columns in plain loops, as docs/ab.md words them, to hold the columnar reader against."""

import itertools
from collections import defaultdict

import numpy as np

from easq.log.events import Answered, Asked, Behavior, Event, Request
from easq.log.packing import unpack_floats
from easq.recipe.recipe import Recipe

DAY_MS = 86_400_000
Row = dict[str, float]


def plain(recipe: Recipe, events: list[Event], behaviors: dict[str, float]) -> dict[tuple[str, int], Row]:
    """Return sums by viewer and day; `behaviors` holds the least value that counts, by name."""
    rows: dict[tuple[str, int], Row] = defaultdict(lambda: defaultdict(float))
    requests = {e.event_id: e for e in events if isinstance(e, Request)}
    views: dict[tuple[str, str], dict[str, float]] = {}
    asked: set[tuple[str, str]] = set()
    options: dict[tuple[str, str], str] = {}
    for request in requests.values():
        rows[request.user_id, request.ts // DAY_MS]["requests"] += 1
        rows[request.user_id, request.ts // DAY_MS]["days"] = 1
    for event in events:
        if not isinstance(event, Behavior | Asked | Answered):
            continue
        request = requests.get(event.request_id)
        minutes = recipe.join.behavior_window if isinstance(event, Behavior) else recipe.join.answer_window
        if not request or request.user_id != event.user_id or event.ts > request.ts + minutes * 60_000:
            continue
        if isinstance(event, Behavior):
            for place, item in enumerate(event.items):
                view = views.setdefault((event.request_id, item), {})
                for name, column in event.values.items():
                    view[name] = max(view.get(name, 0.0), float(unpack_floats(column)[place]))
        elif event.question == recipe.question.name:
            asked.add((event.request_id, event.item_id))
            if isinstance(event, Answered):
                options.setdefault((event.request_id, event.item_id), event.option)
    for (request_id, _), view in views.items():
        row = rows[requests[request_id].user_id, requests[request_id].ts // DAY_MS]
        row["views"] += 1
        row["sum play_ms"] += view.get("play_ms", 0.0)
        for name, least in behaviors.items():
            row[f"count {name} {least:g}"] += view.get(name, 0.0) >= least
    for key in asked:
        row = rows[requests[key[0]].user_id, requests[key[0]].ts // DAY_MS]
        row["asked"] += 1
        row["answered"] += key in options
        row["satisfied"] += options.get(key) == recipe.question.options[-1]
        row["dissatisfied"] += options.get(key) == recipe.question.options[0]
    heard = defaultdict(list)
    for event in events:
        if isinstance(event, Request | Behavior):
            heard[event.user_id].append(event.ts)
    gap = recipe.metrics.session_gap_minutes * 60_000
    for user, times in heard.items():
        ordered = sorted(times)
        for before, after in itertools.pairwise(ordered):
            if after - before <= gap:
                rows[user, after // DAY_MS]["stay_ms"] += after - before
    return rows


def same(result: Row, expected: Row, columns: list[str]) -> bool:
    """Return whether two rows agree in some columns."""
    pairs = [[result.get(c, 0.0) for c in columns], [expected.get(c, 0.0) for c in columns]]
    return bool(np.allclose(*pairs, rtol=1e-6))
