"""Commands on what is held of viewers: give it out, erase it, let it expire."""

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from easq.cli.shared import Json, app, console, show
from easq.errors import InputError

privacy = App(name="privacy", help="What is held of viewers: export it, erase it, let it expire.")
app.command(privacy)

Users = Annotated[list[str], Parameter(name="--user", negative="", help="A viewer's id. Repeatable.")]


@privacy.command
def export(*, user: str, home: Path | None = None, log: Path | None = None, out: Path | None = None) -> None:
    """Write everything that is held of a viewer as JSON, one line for each event and one for the profile.

    Parameters
    ----------
    user
        The viewer's id.
    home
        The folder of a live system; it may run.
    log
        A log file, instead of a home; feature columns are then base64, and there is no profile.
    out
        The file to write; standard output if it is left out.
    """
    from easq.learn import privacy as room

    with _opened(home, log) as (events, recipe):
        lines = (msgspec.json.encode(_finite(line)) + b"\n" for line in room.export(events, user, recipe))
        if out is None:
            for line in lines:
                sys.stdout.buffer.write(line)
        else:
            with out.open("wb") as file:
                file.writelines(lines)


@privacy.command
def erase(*, users: Users, home: Path | None = None, log: Path | None = None, as_json: Json = False) -> None:
    """Erase viewers: tombstones in the log, nothing in profiles, checkpoints and the replay buffer.

    A live system must be stopped. What was learned of them stays in the parameters; docs/privacy.md says
    how to train without.

    Parameters
    ----------
    home
        The folder of a live system.
    log
        A log file, instead of a home.
    """
    from easq.learn import privacy as room
    from easq.log.sqlite import SqliteLog

    _one_of(home, log)
    if home is not None:
        found = room.erase_home(_home(home), users)
    else:
        assert log is not None
        with SqliteLog(_file(log)) as events:
            found = {"erased": room.erase(events, users)}
    _tell(found, as_json)


@privacy.command
def expire(*, home: Path, as_json: Json = False) -> None:
    """Erase the events of a stopped live system that are older than its `retention.keep_days`.

    Parameters
    ----------
    home
        The folder of the live system.
    """
    from easq.home.clock import clock_of
    from easq.learn import privacy as room

    made = _home(home)
    _tell(room.expire_home(made, clock_of(made)()), as_json)


def _tell(found: dict[str, Any], as_json: bool) -> None:
    words = ", ".join(f"{number:,} of topic {topic}" for topic, number in found["erased"].items())
    show(found, as_json, lambda: console.print(f"events erased: {words}"))


@contextmanager
def _opened(home: Path | None, log: Path | None) -> Iterator[tuple[Any, Any]]:
    from easq.log.sqlite import SqliteLog

    _one_of(home, log)
    made = _home(home) if home is not None else None
    path = made.folder / "events.log" if made else log
    assert path is not None
    with SqliteLog(_file(path), read_only=True) as events:
        yield events, made.recipe if made else None


def _home(folder: Path) -> Any:
    from easq.home.home import open_home

    return open_home(folder)


def _one_of(home: Path | None, log: Path | None) -> None:
    if (home is None) == (log is None):
        raise InputError("give either --home or --log")


def _file(path: Path) -> Path:
    if not path.is_file():
        raise InputError(f"--log: there is no file {path}")
    return path


def _finite(value: Any) -> Any:
    """Return plain data with None for numbers that JSON cannot say."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
