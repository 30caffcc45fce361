"""One simulated world, replayed by a behaviour-only model and by EASQ, side by side."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from easq.log.sqlite import SqliteLog
from easq.prove.offline.replay import replay
from easq.prove.offline.tally import Tally
from easq.prove.report.write import write_report
from easq.recipe.recipe import Recipe
from easq.sources.world.record import record
from easq.sources.world.simulate import AskRates, World

RATES = AskRates(ask=0.2, answer=0.1)
METHODS = ("behavior", "easq")
SHOWN = ("true_sat@1", "true_sat@3", "behavior@1", "behavior@3", "pair_accuracy")
REFERENCES = ("random", "popularity", "oracle")

Watch = Callable[[str, int], Callable[[int, int], None]]
"""Starts a progress display for a title and a total; the result hears of done and total."""


def compare(recipe: Recipe, out: Path, views: int, seed: int, watch: Watch) -> dict[str, Any]:
    """Make a world in `out`, replay it with both methods, write a report; return what to show.

    `rows` holds a line for each metric: the value of each method and reference, and EASQ's
    difference to the behaviour-only model with its paired interval.
    """
    started = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    log_path, truth_path = out / "world.log", out / "world.truth"
    for old in out.glob("world.*"):
        old.unlink()
    results, tallies = {}, {}
    with SqliteLog(log_path) as log:
        advance, done = watch("a world lives", views), 0

        def on_views(num: int) -> None:
            nonlocal done
            done += num
            advance(done, views)

        views = record(World(seed, RATES), views, log, truth_path, on_views)
        for method in METHODS:
            run = msgspec.structs.replace(recipe, model=msgspec.structs.replace(recipe.model, method=method))
            on_progress = watch(f"replay with {method}", 1)
            results[method], tallies[method] = replay(
                run, log, out / method, truth=truth_path, on_progress=on_progress
            )
    write_report([results[method] for method in METHODS], out / "report.html")
    return {
        "views": views,
        "answers": results["easq"]["answers"],
        "asked_per_eligible_view": RATES.ask,
        "answered_per_ask": RATES.answer,
        "seconds": time.monotonic() - started,
        "rows": [_row(name, results, tallies) for name in SHOWN],
        "report": str(out / "report.html"),
    }


def _row(name: str, results: dict[str, dict[str, Any]], tallies: dict[str, Tally]) -> dict[str, Any]:
    metrics = results["easq"]["metrics"]
    values = {method: results[method]["metrics"][name]["value"] for method in METHODS}
    values |= {r: metrics[f"{r}/{name}"]["value"] for r in REFERENCES if f"{r}/{name}" in metrics}
    gain = tallies["easq"].difference(tallies["behavior"], name)
    return {"metric": name, **values, "difference": gain._asdict()}
