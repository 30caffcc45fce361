"""Commands on a live system: run its roles, roll back, show its status, verify it."""

import gc
import math
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from easq.cli import shared
from easq.cli.shared import Json, Overrides, app, console, progress, show
from easq.errors import InputError

if TYPE_CHECKING:
    from easq.home.home import Home
    from easq.recipe.recipe import Recipe

_PORT = 8377
_SILENT_S = 10.0  # a running role writes its status every second

UntilStdinCloses = Annotated[bool, Parameter(name="--until-stdin-closes", negative="", show=False)]
Host = Annotated[str, Parameter(help="The address to listen on. One that others can reach needs keys.")]
Port = Annotated[
    int, Parameter(help="The port to listen on. 0 takes a free one.", validator=Number(gte=0, lte=65535))
]

Open = Annotated[
    bool,
    Parameter(name="--open", negative="", help="Serve without keys again, although there have been keys."),
]

Arm = Annotated[
    str | None,
    Parameter(help="An arm with its own model, as experiment/arm, instead of the system's model."),
]


@app.command
def up(
    *,
    home: Path,
    recipe: Path | None = None,
    history: Annotated[Path | None, Parameter(name="--from")] = None,
    mapping: Path | None = None,
    host: Host = "127.0.0.1",
    port: Port = _PORT,
    overrides: Overrides = None,
    is_open: Open = False,
) -> None:
    """Start a live system in one folder: the service, the learner and their log, until Ctrl-C.

    The service has the dashboard at /dashboard.

    Parameters
    ----------
    home
        The system's folder. It is made if it does not exist.
    recipe
        The settings, a TOML file, or the name of a packaged recipe, such as recommended. A new home needs
        them; an existing one has its own.
    history
        A table of views (CSV, Parquet or JSON lines) with which the log of a new home begins. It is learned
        before the service starts.
    mapping
        Which column of that table is what, a TOML file; the recipe's if not given.
    """
    from easq.cli.first_history import begin_with_table, declared_mapping
    from easq.home.renewal import home_to_start
    from easq.service.supervisor import run_up

    settings = _settings(home, recipe, overrides)
    declared = declared_mapping(settings, recipe, history, mapping)
    system = _home(home, recipe, overrides) if settings is None else home_to_start(home, settings)
    if history is not None and declared is not None:
        begin_with_table(system, history, declared)
    if is_open:
        _open_again(system)
    _tell_of_digit_ids(system)
    raise SystemExit(run_up(system, host, port, console, learns_first=history is not None))


@app.command
def serve(
    *,
    home: Path,
    recipe: Path | None = None,
    host: Host = "127.0.0.1",
    port: Port = _PORT,
    overrides: Overrides = None,
    is_open: Open = False,
    until_stdin_closes: UntilStdinCloses = False,
) -> None:
    """Run only the service of a live system.

    Parameters
    ----------
    home
        The system's folder.
    recipe
        Changed settings. Only those that do not change what is computed may differ.
    """
    from easq.service.service_process import run_service

    system = _home(home, recipe, overrides)
    if is_open:
        _open_again(system)
    run_service(system, host, port, _stop_signal(until_stdin_closes))


@app.command
def learn(
    *,
    home: Path,
    recipe: Path | None = None,
    arm: Arm = None,
    overrides: Overrides = None,
    until_stdin_closes: UntilStdinCloses = False,
) -> None:
    """Run only the learner of a live system. It continues exactly where it stopped.

    Parameters
    ----------
    home
        The system's folder.
    recipe
        Changed settings. Only those that do not change what is computed may differ.
    """
    from easq.home.arm_homes import arm_home, open_arms
    from easq.home.process_log import lines_to_stderr
    from easq.learn.learner import NonFiniteLossError
    from easq.learn.live_learner import LiveLearner

    lines_to_stderr()
    system, stop = _home(home, recipe, overrides), _stop_signal(until_stdin_closes)
    if arm is not None:
        open_arms(system)
        system = arm_home(system, arm)
    with system.lock("learner"), system.open_events() as events, system.open_updates() as updates:
        learner = LiveLearner(system, events, updates)
        gc.freeze()  # modules stay: collecting garbage among them would delay learning by 150 ms
        try:
            learner.run(stop)
        except NonFiniteLossError as error:
            raise SystemExit(
                f"easq: the learner stops: {error}. The log and the last parameters stand"
            ) from None


@app.command
def rollback(version: str, *, home: Path, arm: Arm = None, as_json: Json = False) -> None:
    """Ask the learner to go back to the parameters of a version. Every ranker follows.

    This happens at once if the learner runs, otherwise when it starts. What was learned since is not learned
    again; the log keeps it.

    Parameters
    ----------
    version
        A stored version, as listed by `easq status`.
    home
        The system's folder.
    """
    from easq.log.events import COMMANDS, RollbackRequest
    from easq.log.ids import time_ordered_id

    system = _existing_home(home, arm)
    if version not in system.versions.names():
        stored = ", ".join(system.versions.names()) or "none"
        raise InputError(f"version: got {version!r}; kept are {stored}")
    if damage := system.versions.damage(version):
        raise InputError(f"version: got {version!r}, and {damage}; choose another that `easq status` lists")
    now_ms = time.time_ns() // 1_000_000
    request = RollbackRequest(event_id=time_ordered_id(now_ms), user_id="", ts=now_ms, name=version)
    with system.open_updates() as updates:
        updates.append(COMMANDS, [request])
    text = f"asked for {version}; `easq status` shows when it is done"
    show({"asked": version}, as_json, lambda: console.print(text))


@app.command
def status(*, home: Path, arm: Arm = None, as_json: Json = False) -> None:
    """Show the status of a live system, and the versions that a rollback can go to.

    Parameters
    ----------
    home
        The system's folder.
    """
    system = _existing_home(home, arm)
    versions = system.versions.readable_notes()
    roles = {role: system.read_status(role) for role in ("service", "learner")}
    show({**roles, "versions": versions}, as_json, lambda: _print_status(roles, versions))


@app.command
def verify(*, home: Path, arm: Arm = None, as_json: Json = False) -> None:
    """Repeat every step of the learner from the log, and compare the parameters byte by byte.

    The exit code is 1 if anything differs.

    Parameters
    ----------
    home
        The system's folder.
    """
    from easq.learn.verify import verify as repeat

    system = _existing_home(home, arm)
    with system.open_events() as events, system.open_updates() as updates, progress() as watch:
        verified = repeat(system, events, updates, watch("repeat", 1))

    def print_result() -> None:
        console.print(
            f"{verified.steps:,} steps and {verified.answers:,} answers repeated; compared with "
            f"{verified.deltas:,} deltas, {verified.versions} versions and {verified.checkpoints} checkpoints"
        )
        if verified.since:
            console.print(
                f"steps 1 to {verified.since:,} are not comparable: events that they read were erased. "
                "Later steps were repeated from the state after the erasure"
            )
        console.print(f"different: {', '.join(verified.different) or 'none'}")

    show(verified._asdict(), as_json, print_result)
    if verified.different:
        raise SystemExit(1)


@app.command
def renew(*, home: Path, recipe: Path, overrides: Overrides = None, as_json: Json = False) -> None:
    """Give a stopped live system other settings, such as one more feature, and keep its log.

    Everything is learned anew from the log at the next start. In old requests a new feature is unknown. What
    was computed before is set aside in the home's folder `past`.

    Parameters
    ----------
    home
        The system's folder.
    recipe
        The new settings, a TOML file or the name of a packaged recipe.
    """
    from easq.home.home import with_salt
    from easq.home.renewal import renew_home
    from easq.model.method import read_method
    from easq.recipe.read import read_recipe

    settings = read_recipe(recipe, overrides or [], methods=read_method)
    renewed, past = renew_home(home, with_salt(settings))
    text = f"{renewed.folder} has the new settings, {past} the old state. `easq up` learns anew from the log"
    show({"home": str(renewed.folder), "past": str(past)}, as_json, lambda: console.print(text, markup=False))


@app.command
def repair(*, home: Path, dry_run: bool = False, even_most: bool = False, as_json: Json = False) -> None:
    """Give events that a wrong clock stamped with the future the time of the event before them.

    The system must be stopped, and this machine's clock right. What was left out as late meanwhile stays out.

    Parameters
    ----------
    home
        The system's folder.
    dry_run
        Only count the events that would get another time.
    even_most
        Also where these are most of the log. Without it that is refused, since the clock may be behind.
    """
    from easq.home.clock import clock_of
    from easq.learn.repair import repair_home

    system = _existing_home(home, None)
    skew_ms = round(system.recipe.service.clock_skew_seconds * 1000)
    latest_ms = clock_of(system)() + skew_ms
    result = repair_home(system, latest_ms, even_most=even_most, dry_run=dry_run)
    words = ", ".join(f"{number:,} of topic {topic}" for topic, number in result.restamped.items())
    verb = "would get" if dry_run else "got"
    show(result._asdict(), as_json, lambda: console.print(f"events that {verb} another time: {words}"))


def _existing_home(folder: Path, arm: str | None) -> "Home":
    """Return an existing home: the system's, or that of an arm's model."""
    from easq.home.arm_homes import arm_home
    from easq.home.home import open_home
    from easq.model.method import read_method

    home = open_home(folder, methods=read_method)
    return home if arm is None else arm_home(home, arm)


def _open_again(system: "Home") -> None:
    """Forget, once, that there have been keys: a role that `up` starts again is not told to."""
    from easq.service.http.keys import open_again

    with system.lock("service"):
        open_again(system.keys_path)


def _tell_of_digit_ids(system: "Home") -> None:
    """Say what begins anew in a home of an earlier version. A log that does not open is told by the roles."""
    from easq.home.digit_ids import advice, hashed_names
    from easq.log.base import LogError

    try:
        with system.open_events(locked_s=1.0) as events:
            names = hashed_names(events)
    except (LogError, OSError):
        return
    if names:
        shared.notes.print(f"easq: {advice(names)}")


def _home(folder: Path, recipe: Path | None, overrides: list[str] | None) -> "Home":
    """Return the home in which to start a role: made if necessary, with its settings changed."""
    from easq.home.home import open_home
    from easq.model.method import read_method

    return open_home(folder, _settings(folder, recipe, overrides), read_method, draws_salt=True)


def _settings(folder: Path, recipe: Path | None, overrides: list[str] | None) -> "Recipe | None":
    """Return the settings with which to start: the recipe's, or else those that the home has."""
    from easq.model.method import read_method
    from easq.recipe.read import read_recipe

    kept = recipe is None and (folder / "settings.toml").exists()
    if kept:
        recipe = folder / "settings.toml"
    return None if recipe is None else read_recipe(recipe, overrides or [], methods=read_method, kept=kept)


def _stop_signal(until_stdin_closes: bool) -> threading.Event:
    """Return an event that is set by Ctrl-C, SIGTERM or, if asked for, the end of standard input."""
    stop = threading.Event()
    reader, writer = os.pipe()
    # Through a pipe: a signal handler that sets the event while its thread is about to wait could deadlock.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os.write(writer, b"\0"))

    def wait(source: int) -> None:
        # Not through Python's buffer: a thread that waits in it makes the interpreter abort at exit.
        while os.read(source, 4096) and source != reader:
            pass
        stop.set()

    for source in (reader, sys.stdin.fileno()) if until_stdin_closes else (reader,):
        threading.Thread(target=wait, args=(source,), daemon=True).start()
    return stop


def _print_status(roles: dict[str, dict[str, Any]], versions: dict[str, dict[str, Any]]) -> None:
    now = time.time()
    for role, status in roles.items():
        age_s = now - status["at"] if status else math.inf
        state = "running" if age_s < _SILENT_S else "not running"
        console.print(f"{role} is {state}, last status {f'{age_s:.0f} s ago' if status else 'never'}:")
        for key, value in status.items():
            if key not in ("at", "pid", "trend"):
                console.print(f"  {key}: {value}")
    console.print("versions kept:")
    for name, notes in versions.items():
        made = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(notes["made_ms"] / 1000))
        console.print(f"  {name}  made {made} UTC, recent pair accuracy {notes['pair_accuracy']:.4f}")
