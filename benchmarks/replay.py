"""Impressions per second from the log through join, batch, score and train, and the cost of EASQ per step.

    python benchmarks/replay.py [--views N] [--rounds N] [--json]

The rate is of complete replays, including evaluation and checkpoints. The steps of all methods are timed in
turn on the same batches, so that a busy machine slows all of them. The stages are timed one after the other
over the whole log. docs/performance.md explains them.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from common import DEFAULT, RECIPE, make_world, show

from easq.features.batch import Batch, Batcher, make_batch
from easq.features.examples import Example
from easq.features.join import build_joiner, flush_all
from easq.learn.build import build_encoder, build_learner
from easq.log.events import EVENTS
from easq.log.merge import MergedReader
from easq.log.sqlite import SqliteLog
from easq.model.method import methods, read_method
from easq.prove.offline.progressive import Progressive
from easq.prove.offline.replay import replay
from easq.recipe.read import read_recipe
from easq.recipe.recipe import Recipe

SWITCHES = (
    "method.teacher=true",
    "method.propensity_weights=true",
    "method.satisfaction_variance=true",
    "method.pair_accuracy_budget=0.01",
)
MOST_STEPS, IN_A_ROW = 100, 10


def timed_recipes() -> dict[str, Recipe]:
    """Return the recipes whose steps are timed: every method, and EASQ with each switch beyond the paper."""
    kinds = {kind: read_recipe(RECIPE, [f"method.kind={kind}"], methods=read_method) for kind in methods()}
    switched = {f"easq, {s}": read_recipe(RECIPE, [s], methods=read_method) for s in SWITCHES}
    return kinds | switched


def time_replays(log: SqliteLog, folder: Path, rounds: int) -> list[float]:
    """Return views per second of complete EASQ replays."""
    return [replay(DEFAULT, log, folder / f"run{n}").times.views_per_second for n in range(rounds)]


def time_stages(log: SqliteLog) -> tuple[dict[str, float], list[Batch]]:
    """Return seconds per stage over the whole log, and the batches."""
    seconds: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        result = work()
        seconds[name] = time.perf_counter() - started
        return result

    reader = MergedReader(log, EVENTS, log.end_offsets(EVENTS))
    events = timed("read", lambda: [pair for chunk in reader for pair in chunk])
    joiners = [build_joiner(DEFAULT) for _ in range(log.partitions(EVENTS))]

    def join() -> list[Example]:
        return [x for p, event in events for x in joiners[p].push(event)] + flush_all(joiners)

    examples = timed("join", join)
    encoder, batcher = (
        build_encoder(DEFAULT),
        Batcher(DEFAULT.training.batch_rows, DEFAULT.training.batch_answers),
    )
    batcher.add(examples)

    def batch() -> list[Batch]:
        batches = []
        while cut := batcher.cut() or batcher.cut(final=True):
            batches.append(make_batch(encoder, DEFAULT.behaviors, DEFAULT.order.cap, cut))
        return batches

    batches: list[Batch] = timed("batch", batch)
    learner = build_learner(DEFAULT, encoder)
    steps = timed("score and train", lambda: [learner.step(b) for b in batches])
    progressive = Progressive(DEFAULT)

    def measure() -> None:
        for step in steps:
            progressive.observe(step)
        progressive.result()

    timed("measure", measure)
    return seconds, batches


def time_steps(batches: list[Batch]) -> dict[str, list[float]]:
    """Return the seconds of each step by method. Methods take turns every few batches."""
    encoder = build_encoder(DEFAULT)
    learners = {name: build_learner(recipe, encoder) for name, recipe in timed_recipes().items()}
    seconds: dict[str, list[float]] = {method: [] for method in learners}
    # A few steps in a row: otherwise the caches would always hold other methods' parameters.
    for number, start in enumerate(range(0, min(len(batches), MOST_STEPS), IN_A_ROW)):
        order = list(learners) if number % 2 else list(learners)[::-1]
        for method in order:
            for batch in batches[start : start + IN_A_ROW]:
                started = time.perf_counter()
                learners[method].step(batch)
                seconds[method].append(time.perf_counter() - started)
    return seconds


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--views", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=3, help="whole replays; the median counts")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_world(folder / "world.log", options.views)
        with SqliteLog(folder / "world.log") as log:
            rates = time_replays(log, folder, options.rounds)
            torch.set_num_threads(DEFAULT.training.threads)
            stages, batches = time_stages(log)
            steps = time_steps(batches)
    # The first steps warm up caches and allocate.
    medians = {method: statistics.median(times[10:] or times) for method, times in steps.items()}
    views = sum(b.num_viewed for b in batches)
    result = {
        "views_per_second": statistics.median(rates),
        "views_per_second_rounds": rates,
        "easq_over_behavior_step": medians["easq"] / medians["behavior"],
        "step_ms": {method: 1000 * value for method, value in medians.items()},
        "stage_us_per_view": {stage: 1e6 * value / views for stage, value in stages.items()},
        "views": views,
        "batch_rows": DEFAULT.training.batch_rows,
        "threads": DEFAULT.training.threads,
    }

    def table() -> str:
        lines = [
            f"whole replay: {result['views_per_second']:,.0f} views/s (rounds: {[round(r) for r in rates]})"
        ]
        lines += [f"step, {method}: {1000 * value:.2f} ms" for method, value in medians.items()]
        lines += [f"EASQ step over behavior-only step: {result['easq_over_behavior_step']:.2f}"]
        lines += [f"{stage}: {1e6 * value / views:.2f} us per view" for stage, value in stages.items()]
        return "\n".join(lines)

    show(result, options.json, table)


if __name__ == "__main__":
    main()
