"""Commands on a live system: its two roles, what an operator asks of them, and what they can prove."""

import gc
import math
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from easq.cli.shared import Json, Overrides, app, console, progress, show
from easq.errors import InputError

_PORT = 8377
_SILENT_S = 10.0  # a role that runs tells of itself every second

UntilStdinCloses = Annotated[bool, Parameter(name="--until-stdin-closes", negative="", show=False)]
Host = Annotated[str, Parameter(help="The address to listen on; one that others can reach needs keys.")]
Port = Annotated[
    int, Parameter(help="The port to listen on; 0 takes a free one.", validator=Number(gte=0, lte=65535))
]

Arm = Annotated[
    str | None,
    Parameter(help="The arm whose model is meant, as experiment/arm; not the running one."),
]


@app.command
def up(
    *,
    home: Path,
    recipe: Path | None = None,
    host: Host = "127.0.0.1",
    port: Port = _PORT,
    overrides: Overrides = None,
) -> None:
    """Start a live system in one folder: the service, the learner and their log, until Ctrl-C.

    The service has the dashboard, at /dashboard.

    Parameters
    ----------
    home
        The system's folder; made if it is not there.
    recipe
        The settings, a TOML file: needed for a new home; one that is there has its own.
    """
    from easq.service.supervisor import run_up

    made = _home(home, recipe, overrides)
    raise SystemExit(run_up(made, host, port, console))


@app.command
def serve(
    *,
    home: Path,
    recipe: Path | None = None,
    host: Host = "127.0.0.1",
    port: Port = _PORT,
    overrides: Overrides = None,
    until_stdin_closes: UntilStdinCloses = False,
) -> None:
    """Run the service of a live system alone.

    Parameters
    ----------
    home
        The system's folder.
    recipe
        Settings to change; only those of the service and of how the learner runs can be.
    """
    from easq.service.service_process import run_service

    run_service(_home(home, recipe, overrides), host, port, _stop_signal(until_stdin_closes))


@app.command
def learn(
    *,
    home: Path,
    recipe: Path | None = None,
    arm: Arm = None,
    overrides: Overrides = None,
    until_stdin_closes: UntilStdinCloses = False,
) -> None:
    """Run the learner of a live system alone; it goes on exactly where it was.

    Parameters
    ----------
    home
        The system's folder.
    recipe
        Settings to change; only those of the service and of how the learner runs can be.
    """
    from easq.home.arm_homes import arm_home, open_arms
    from easq.home.process_log import lines_to_stderr
    from easq.learn.learner import NonFiniteLossError
    from easq.learn.live_learner import LiveLearner

    lines_to_stderr()
    made, stop = _home(home, recipe, overrides), _stop_signal(until_stdin_closes)
    if arm is not None:
        open_arms(made)
        made = arm_home(made, arm)
    with made.alone("learner"), made.open_events() as events, made.open_updates() as updates:
        learner = LiveLearner(made, events, updates)
        gc.freeze()  # modules stay: looking through them for garbage would hold up learning for 150 ms
        try:
            learner.run(stop)
        except NonFiniteLossError as error:
            raise SystemExit(
                f"easq: the learner stops: {error}. The log and the last parameters stand"
            ) from None


@app.command
def rollback(version: str, *, home: Path, arm: Arm = None, as_json: Json = False) -> None:
    """Ask the learner to go back to the parameters of a version, and every ranker to follow.

    It is done at once if the learner runs, else when it starts. What was learned since is not learned
    again; the log keeps it.

    Parameters
    ----------
    version
        A kept version, as `easq status` lists them.
    home
        The system's folder.
    """
    from easq.log.events import COMMANDS, RollbackRequest
    from easq.log.ids import time_ordered_id

    made = _made(home, arm)
    if version not in made.versions.names():
        raise InputError(f"version: got {version!r}; kept are {', '.join(made.versions.names()) or 'none'}")
    now_ms = time.time_ns() // 1_000_000
    asked = RollbackRequest(event_id=time_ordered_id(now_ms), user_id="", ts=now_ms, name=version)
    with made.open_updates() as updates:
        updates.append(COMMANDS, [asked])
    show({"asked": version}, as_json, lambda: console.print(f"asked for {version}; `easq status` tells"))


@app.command
def status(*, home: Path, arm: Arm = None, as_json: Json = False) -> None:
    """Show where a live system stands, and the versions that a rollback can go to.

    Parameters
    ----------
    home
        The system's folder.
    """
    made = _made(home, arm)
    names = made.versions.names()
    kept = {name: made.versions.notes(name) for name in names}
    found = {"service": made.read_status("service"), "learner": made.read_status("learner"), "versions": kept}
    show(found, as_json, lambda: _print_status(found))


@app.command
def verify(*, home: Path, arm: Arm = None, as_json: Json = False) -> None:
    """Do everything that the learner ever did again from the log, and compare the parameters to the byte.

    Exit code 1 says that something came out otherwise.

    Parameters
    ----------
    home
        The system's folder.
    """
    from easq.learn.verify import verify as repeat

    made = _made(home, arm)
    with made.open_events() as events, made.open_updates() as updates, progress() as watch:
        verified = repeat(made, events, updates, watch("repeat", 1))

    def tell() -> None:
        console.print(
            f"{verified.steps:,} steps and {verified.answers:,} answers repeated; compared with "
            f"{verified.deltas:,} deltas, {verified.versions} versions and {verified.checkpoints} checkpoints"
        )
        if verified.since:
            console.print(
                f"steps 1 to {verified.since:,} are not comparable: events that they read were erased. "
                "Repeated is what came after, from where the erasure left the learner"
            )
        console.print(f"different: {', '.join(verified.different) or 'none'}")

    show(verified._asdict(), as_json, tell)
    if verified.different:
        raise SystemExit(1)


def _made(folder: Path, arm: str | None) -> Any:
    """Return the home of who only looks: the system's, or that of an arm's model."""
    from easq.home.arm_homes import arm_home
    from easq.home.home import open_home

    return open_home(folder) if arm is None else arm_home(open_home(folder), arm)


def _home(folder: Path, recipe: Path | None, overrides: list[str] | None) -> Any:
    """Return the home of who starts a role: made if need be, with its settings changed."""
    from easq.home.home import open_home
    from easq.model.method import read_method
    from easq.recipe.read import read_recipe

    if recipe is None and (folder / "settings.toml").exists():
        recipe = folder / "settings.toml"
    given = None if recipe is None else read_recipe(recipe, overrides or [], methods=read_method)
    return open_home(folder, given, read_method)


def _stop_signal(until_stdin_closes: bool) -> threading.Event:
    """Return an event that Ctrl-C and SIGTERM set, and the end of the process that started this one."""
    stop = threading.Event()
    heard, told = os.pipe()
    # Through a pipe: an event that is set where its own thread is about to wait for it would wait for itself.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os.write(told, b"\0"))

    def wait(source: int) -> None:
        # Past Python's own buffer: a thread that waits in there makes the interpreter abort as it ends.
        while os.read(source, 4096) and source != heard:
            pass
        stop.set()

    for source in (heard, sys.stdin.fileno()) if until_stdin_closes else (heard,):
        threading.Thread(target=wait, args=(source,), daemon=True).start()
    return stop


def _print_status(found: dict[str, Any]) -> None:
    now = time.time()
    for role in ("service", "learner"):
        told = found[role]
        age_s = now - told["at"] if told else math.inf
        state = "running" if age_s < _SILENT_S else "not running"
        console.print(f"{role} is {state}, told {f'{age_s:.0f} s ago' if told else 'never'}:")
        for key, value in told.items():
            if key not in ("at", "pid", "trend"):
                console.print(f"  {key}: {value}")
    console.print("versions kept:")
    for name, notes in found["versions"].items():
        made = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(notes["made_ms"] / 1000))
        console.print(f"  {name}  made {made} UTC, recent pair accuracy {notes['pair_accuracy']:.4f}")
