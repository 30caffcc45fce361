"""Impressions per second from the log through join, batch, score and train, and what each method costs.

    python benchmarks/replay.py [--views N] [--rounds N] [--methods NAME ...] [--json]

The rate is of complete replays, including evaluation and checkpoints. The steps of all methods are timed in
turn on the same batches, so that a busy machine slows all of them; so is `linear`, Vowpal Wabbit on the same
rows, where it is installed. So are their forwards of a request. A delta is what a step publishes; memory is
that of the parameters with the optimizer's. The stages are timed one after the other over the whole log.
docs/performance.md explains them.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from common import DEFAULT, RECIPE, make_world, show

from easq.errors import InputError
from easq.features.batch import Batch, Batcher, make_batch
from easq.features.encode import Rows
from easq.features.examples import Example
from easq.features.join import build_joiner, flush_all
from easq.learn.build import build_encoder, build_learner
from easq.learn.publish import make_delta
from easq.learn.recorded_steps import touched_by
from easq.log.events import EVENTS
from easq.log.merge import MergedReader
from easq.log.sqlite import SqliteLog
from easq.model.method import methods, read_method
from easq.prove.bench.linear import LinearReference, LinearSettings
from easq.prove.offline.progressive import Progressive
from easq.prove.offline.replay import replay
from easq.rank.parameters import Parameters
from easq.recipe.read import read_recipe
from easq.recipe.recipe import Recipe

LINEAR = "linear"
SWITCHES = (
    "method.teacher=true",
    "method.propensity_weights=true",
    "method.satisfaction_variance=true",
    "method.pair_accuracy_budget=0.01",
)
MOST_STEPS, IN_A_ROW = 100, 10
NUM_CANDIDATES, FORWARDS = 200, 20


_COLUMNS = {"step_ms": 2, "step_views_per_second": 0, "forward_ms": 2, "delta_kib": 0, "held_mib": 0}


class Costs(NamedTuple):
    """Seconds of each step and of each forward of a request, bytes of each delta, and of all parameters."""

    step: list[float]
    forward: list[float]
    delta: list[int]
    held: int


def timed_recipes() -> dict[str, Recipe]:
    """Return the recipes whose steps are timed: every method, and EASQ with each switch beyond the paper."""
    kinds = {kind: read_recipe(RECIPE, [f"method.kind={kind}"], methods=read_method) for kind in methods()}
    switched = {
        f"easq, {s}": read_recipe(RECIPE, ["method.kind=easq", s], methods=read_method) for s in SWITCHES
    }
    return kinds | switched


def time_replays(log: SqliteLog, folder: Path, rounds: int) -> list[float]:
    """Return views per second of complete replays of the default method."""
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


def costs_of(recipes: Mapping[str, Recipe], batches: list[Batch]) -> dict[str, Costs]:
    """Return what each method costs. Methods take turns every few batches."""
    encoder = build_encoder(DEFAULT)
    learners = {name: build_learner(recipe, encoder) for name, recipe in recipes.items()}
    served = {name: Parameters(recipe) for name, recipe in recipes.items()}
    costs = {name: Costs([], [], [], _num_bytes(learner.state())) for name, learner in learners.items()}
    request = _request(batches)
    # A few steps in a row: otherwise the caches would always hold other methods' parameters.
    for number, start in enumerate(range(0, min(len(batches), MOST_STEPS), IN_A_ROW)):
        order = list(learners) if number % 2 else list(learners)[::-1]
        for name in order:
            learner, cost = learners[name], costs[name]
            for batch in batches[start : start + IN_A_ROW]:
                started = time.perf_counter()
                step = learner.step(batch)
                cost.step.append(time.perf_counter() - started)
                delta = make_delta(learner, touched_by([step]), 1, 0, [], 0, 0)
                dense = sum(len(values) for values in delta.dense.values())
                parts = (delta.rows, delta.values, delta.crosses, delta.cross_values)
                cost.delta.append(dense + sum(map(len, parts)))
            served[name].replace(number, learner.state())
            for _ in range(FORWARDS):
                started = time.perf_counter()
                served[name].score(request)
                cost.forward.append(time.perf_counter() - started)
    return costs


def time_linear(batches: list[Batch]) -> list[float]:
    """Return the seconds of each step of the linear learner; empty where it is not installed."""
    try:
        linear = LinearReference(DEFAULT, LinearSettings())
    except InputError:
        return []
    seconds = []
    for batch in batches[:MOST_STEPS]:
        started = time.perf_counter()
        linear.step(batch)
        seconds.append(time.perf_counter() - started)
    return seconds


def _request(batches: list[Batch]) -> Rows:
    """Return one viewer's request with many candidates, which several requests had."""
    rows = batches[-1].rows
    taken = slice(0, NUM_CANDIDATES)
    return Rows(rows.viewer_BW[:1], rows.candidate_NV[taken], 0 * rows.request_N[taken], rows.score_NS[taken])


def _num_bytes(state: Any) -> int:
    if isinstance(state, Mapping):
        return sum(_num_bytes(part) for part in state.values())
    return int(getattr(state, "nbytes", 0))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--views", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=3, help="whole replays; the median counts")
    parser.add_argument("--methods", nargs="+", choices=timed_recipes(), help="those to time; all of them")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    options = parser.parse_args()
    timed = {n: r for n, r in timed_recipes().items() if not options.methods or n in options.methods}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_world(folder / "world.log", options.views)
        with SqliteLog(folder / "world.log") as log:
            rates = time_replays(log, folder, options.rounds)
            torch.set_num_threads(DEFAULT.training.threads)
            stages, batches = time_stages(log)
            costs = costs_of(timed, batches)
            linear = time_linear(batches)
    # The first steps warm up caches and allocate.
    medians = {name: statistics.median(cost.step[10:] or cost.step) for name, cost in costs.items()}
    if linear:
        medians[LINEAR] = statistics.median(linear[10:] or linear)
    views = sum(b.num_viewed for b in batches)
    step_views = statistics.median(b.num_viewed for b in batches[:MOST_STEPS])
    result: dict[str, Any] = {
        "views_per_second": statistics.median(rates),
        "views_per_second_rounds": rates,
        "step_ms": {name: 1000 * value for name, value in medians.items()},
        "step_views_per_second": {name: step_views / value for name, value in medians.items()},
        "forward_ms": {name: 1000 * statistics.median(cost.forward[20:]) for name, cost in costs.items()},
        "delta_kib": {name: statistics.median(cost.delta) / 1024 for name, cost in costs.items()},
        "held_mib": {name: cost.held / 2**20 for name, cost in costs.items()},
        "stage_us_per_view": {stage: 1e6 * value / views for stage, value in stages.items()},
        "views": views,
        "batch_rows": DEFAULT.training.batch_rows,
        "threads": DEFAULT.training.threads,
    }

    def table() -> str:
        lines = [
            f"whole replay: {result['views_per_second']:,.0f} views/s (rounds: {[round(r) for r in rates]})"
        ]
        heads = ("step ms", "views/s", "forward ms", "delta KiB", "held MiB")
        lines.append(f"{'':44}" + "".join(f"{head:>12}" for head in heads))
        for name in medians:
            values = [
                f"{result[key][name]:,.{digits}f}" if name in result[key] else ""
                for key, digits in _COLUMNS.items()
            ]
            lines.append(f"{name:44}" + "".join(f"{value:>12}" for value in values))
        lines += [f"{stage}: {1e6 * value / views:.2f} us per view" for stage, value in stages.items()]
        return "\n".join(lines)

    show(result, options.json, table)


if __name__ == "__main__":
    main()
