"""The demo from its first process to its verdict."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

import httpx
import uvloop
from msgspec.structs import replace

from easq import AsyncClient
from easq.errors import InputError
from easq.home.arm_homes import open_arms
from easq.home.clock import HeldClock
from easq.home.home import Home, open_home
from easq.prove.ab.viewer_days import day_date
from easq.prove.closed_loop.before import BeforeEstimate, MissingEstimate, TrueRankings, estimate_before
from easq.prove.closed_loop.life import Life
from easq.prove.closed_loop.true_sums import TrueLift, TrueSums
from easq.prove.offpolicy.arm_estimates import freeze_arms
from easq.recipe.experiments import Explore
from easq.recipe.recipe import Recipe
from easq.sources.world.simulate import DAY_MS, START_MS, AskRates
from easq.sources.world.society import Society

READY_S, STOP_S, LEARNED_S = 90.0, 60.0, 30.0
_POLL_S = 0.1
_NUM_ITEMS = 3000


class DemoSize(NamedTuple):
    """The size of the simulation. Before day `since` no viewer is in an arm; all see the running model.

    On the morning of day `frozen` the models are frozen, and the days until `since` are used to estimate
    their effect before the test. From `since` on, or if there is no day `frozen`, no ranking is drawn.
    """

    viewers: int = 3600
    days: int = 16
    since: int = 5
    visits_per_day: float = 2.0
    answer_rate: float = 0.6
    frozen: int = 2


FAST = DemoSize(viewers=640, days=5, since=2, frozen=1)


class DemoResult(NamedTuple):
    """The result of the simulated weeks; `estimate` was made before the days that count."""

    home: Home
    truth: TrueLift
    estimate: BeforeEstimate
    views: int
    offers: int
    asks: int
    answers: int
    seconds: float


def live_together(
    recipe: Recipe,
    out: Path,
    seed: int,
    size: DemoSize,
    announce: Callable[[str], None],
    on_progress: Callable[[float], None],
) -> DemoResult:
    """Run a live system in `out` with a simulated society as its viewers; return the result.

    It runs the recipe's first experiment with a simulated clock, from day `since` on; until then all models
    learn from what everybody sees.
    `announce` is called with the URL. Raises InputError for a folder that is in use.
    """
    began = time.monotonic()
    folder = out / "home"
    if HeldClock.is_in(folder):
        shutil.rmtree(folder)  # an earlier demo's
    if folder.exists():
        raise InputError(f"--out: {folder} is not of a demo; choose another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    (out / "up.txt").unlink(missing_ok=True)
    experiment = recipe.experiments[0]
    began_ms = START_MS - START_MS % DAY_MS
    start = day_date(began_ms // DAY_MS) + timedelta(days=size.since)
    begun = replace(experiment, start=start)
    # A drawn ranking is not the best one: while days count, drawing would cost both arms.
    testing = replace(recipe, explore=Explore(), experiments=(begun, *recipe.experiments[1:]))
    is_judged = recipe.explore.share > 0 and size.frozen < size.since
    waiting = (replace(begun, enabled=False), *recipe.experiments[1:])
    learning = replace(recipe if is_judged else testing, experiments=waiting)
    control, treatment, *_ = (arm.name for arm in experiment.arms)
    truth = TrueSums(size.viewers, experiment.name, (control, treatment), size.since)
    society = Society(seed, AskRates(answer=size.answer_rate), size.viewers, _NUM_ITEMS)
    ahead = TrueRankings()
    port = _free_port()
    announce(f"http://127.0.0.1:{port}")
    estimate: BeforeEstimate = MissingEstimate("no ranking was drawn before it, see [explore]")
    home = open_home(folder, learning)
    with HeldClock(folder, began_ms) as clock:
        life = Life(society, clock, truth, size.visits_per_day, began_ms, ahead.add_visits)
        live = partial(_live, life, on_progress, port)
        with _up(home, out, port):
            live(range(size.frozen))
            if is_judged:
                _check_learners(home, life.answers)
                freeze_arms(home, home.recipe.experiments[0])
            live(range(size.frozen, size.since))
            _check_learners(home, life.answers)
        ahead.records = False
        if is_judged:
            estimate = estimate_before(home, ahead)
        home = open_home(folder, testing)
        with _up(home, out, port):
            live(range(size.since, size.days))
            _check_learners(home, life.answers)
    seconds = time.monotonic() - began
    lift = truth.lift(experiment.confidence)
    return DemoResult(home, lift, estimate, life.views, life.offers, life.asks, life.answers, seconds)


def _live(life: Life, on_progress: Callable[[float], None], port: int, days: range) -> None:
    async def live() -> None:
        async with AsyncClient(f"http://127.0.0.1:{port}") as client:
            await life.live(client, days, on_progress)

    uvloop.run(live())


def _check_learners(home: Home, answers: int) -> None:
    """Wait until every learner has learned all answers; raises RuntimeError for one that does not."""
    for name, home_of in {"the running model": home, **open_arms(home)}.items():
        deadline = time.monotonic() + LEARNED_S
        while (status := home_of.read_status("learner")).get("answers") != answers:
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"the learner of {name} has learned {status.get('answers', 0):,} of {answers:,} answers; "
                    "its output is in up.txt"
                )
            time.sleep(_POLL_S)


@contextmanager
def _up(home: Home, out: Path, port: int) -> Iterator[None]:
    """Run `easq up` meanwhile; raises RuntimeError, with its last output, if it does not run."""
    output = out / "up.txt"
    words = ["up", "--home", str(home.folder), "--port", str(port)]
    with output.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "easq.cli", *words], stdout=file, stderr=file, env=dict(os.environ)
        )
    try:
        deadline = time.monotonic() + READY_S
        while not _is_ready(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the live system did not become ready: {output.read_text()[-2000:]}")
            time.sleep(_POLL_S)
        yield
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise RuntimeError(f"the live system did not stop: {output.read_text()[-2000:]}") from None


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/ready", timeout=5).status_code == 200
    except httpx.TransportError:
        return False
