"""Speed of profiles: gathering candidates, applying events, saving.

    python benchmarks/profiles.py [--items 100000] [--json]

30 features per candidate: 22 ids, 2 lists of up to 4 ids, and 6 numbers, 0 or 2 of which are rates.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

from common import show

from easq.features.profiles import Profiles
from easq.features.profiles.store import ProfileStore
from easq.log.events import EVENTS, PROFILES, Behavior, Event, ItemUpdate, Request
from easq.log.packing import pack_floats, pack_ids
from easq.recipe.features import BehaviorKind, Categorical, Feature, History, Multi, Numeric, RateOf

WINDOW_MS = 1_800_000
REQUESTS, VIEWS, LIKED = 20_000, 20, 0.2
SAVED = 1500  # requests between two saves: 30 s at 50 per second
CHUNK = 4096


def features(num_rates: int) -> list[Feature]:
    """Return the features, with `num_rates` rates among the numbers."""
    numbers: list[Feature] = [
        Numeric(name=f"number{n}", side="candidate", boundaries=(1.0,)) for n in range(6 - num_rates)
    ]
    rate = RateOf(behavior="like")
    rates: list[Feature] = [
        Numeric(name=f"rate{n}", side="candidate", boundaries=(0.5,), rate=rate) for n in range(num_rates)
    ]
    ids: list[Feature] = [Categorical(name=f"id{n}", side="candidate", rows=1000) for n in range(21)]
    return [
        Categorical(name="item_id", side="candidate", rows=100_000),
        *(*ids, *numbers, *rates),
        *(Multi(name=f"list{n}", side="candidate", rows=1000, length=4) for n in range(2)),
        Categorical(name="user_id", side="viewer", rows=100_000),
        History(name="recent", of="item_id", length=50),
        History(name="liked", of="item_id", length=50, where="like"),
    ]


def updates(items: list[str], declared: list[Feature]) -> list[Event]:
    """Return updates of all items."""
    values = {f.name: pack_ids([7]) for f in declared if f.name.startswith("id")}
    values |= {f.name: pack_floats([7]) for f in declared if f.name.startswith("number")}
    values |= {f.name: pack_ids([1, 2, 3]) for f in declared if f.name.startswith("list")}
    return [ItemUpdate(event_id=item, user_id="", ts=0, item_id=item, values=values) for item in items]


def happened(items: list[str], rng: random.Random) -> list[Event]:
    """Return requests, with one report on each."""
    events: list[Event] = []
    for n in range(REQUESTS):
        user, ts, shown = f"u{rng.randrange(5000)}", 20 * n, rng.sample(items, VIEWS)
        likes = pack_floats([float(rng.random() < LIKED) for _ in shown])
        events.append(Request(event_id=f"r{n}", user_id=user, ts=ts, items=shown, viewer={}, candidates={}))
        events.append(
            Behavior(
                event_id=f"b{n}", user_id=user, ts=ts, request_id=f"r{n}", items=shown, values={"like": likes}
            )
        )
    return events


def seconds(work: Callable[[], object]) -> float:
    """Return the duration of the work in seconds."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def apply(profiles: Profiles, topic: str, events: list[Event]) -> float:
    """Apply events and return the number per second."""
    chunks = [events[n : n + CHUNK] for n in range(0, len(events), CHUNK)]
    return len(events) / sum(seconds(partial(profiles.apply, topic, 0, chunk)) for chunk in chunks)


def measure(num_items: int, num_rates: int, folder: Path) -> dict[str, float]:
    """Return rates per second and durations in milliseconds, by operation."""
    rng = random.Random(1)
    items, declared = [f"item{n}" for n in range(num_items)], features(num_rates)
    profiles = Profiles(declared, WINDOW_MS, 1, [BehaviorKind(name="like")])
    events = happened(items, rng)
    with ProfileStore(folder / f"profiles{num_rates}.db") as store:
        store.load(profiles, [1 << 40] * 2)
        results = {
            "items_told_per_s": apply(profiles, PROFILES, updates(items, declared)),
            "views_per_s": VIEWS / 2 * apply(profiles, EVENTS, events[: -2 * SAVED]),
        }
        store.save(profiles)
        apply(profiles, EVENTS, events[-2 * SAVED :])
        snapshots = []
        results["snapshot_ms"] = 1e3 * seconds(lambda: snapshots.append(store.snapshot(profiles)))
        results["write_ms"] = 1e3 * seconds(lambda: store.write(snapshots[0]))
    ts = 20 * REQUESTS
    for num in (200, 2000):
        asked = [rng.sample(items, num) for _ in range(500)]
        times = [seconds(partial(profiles.candidates, some, ts)) for some in asked]
        results[f"candidates_{num}_ms"] = 1e3 * median(times)
    users = [f"u{n}" for n in range(500)]
    results["viewer_ms"] = 1e3 * median([seconds(partial(profiles.viewer, user, ts)) for user in users])
    return results


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = {f"rates_{n}": measure(options.items, n, Path(folder)) for n in (0, 2)}

    def table() -> str:
        lines = [f"{'':<20} {'no rates':>12} {'two rates':>12}"]
        for name, without in result["rates_0"].items():
            lines.append(f"{name:<20} {without:>12,.3f} {result['rates_2'][name]:>12,.3f}")
        return "\n".join(lines)

    show(result, options.json, table)


if __name__ == "__main__":
    main()
