"""Commands on viewers' data: export it, erase it, let it expire."""

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import App, Parameter

from easq.cli.shared import Json, app, console, show
from easq.errors import InputError

if TYPE_CHECKING:
    from easq.log.sqlite import SqliteLog
    from easq.recipe.recipe import Recipe

privacy = App(name="privacy", help="Viewers' data: export it, erase it, let it expire.")
app.command(privacy)

Users = Annotated[list[str], Parameter(name="--user", negative="", help="A viewer's id. Repeatable.")]


@privacy.command
def export(*, user: str, home: Path | None = None, log: Path | None = None, out: Path | None = None) -> None:
    """Write all data of a viewer as JSON, one line for each event and one for the profile.

    Parameters
    ----------
    user
        The viewer's id.
    home
        The folder of a live system, which may be running.
    log
        A log file, instead of a home. Feature columns are then base64, and there is no profile.
    out
        The file to write. Default: standard output.
    """
    from easq.learn.privacy import export as lines_of

    with _opened(home, log) as (events, recipe):
        lines = (msgspec.json.encode(_finite(line)) + b"\n" for line in lines_of(events, user, recipe))
        if out is None:
            for line in lines:
                sys.stdout.buffer.write(line)
        else:
            with out.open("wb") as file:
                file.writelines(lines)


@privacy.command
def erase(*, users: Users, home: Path | None = None, log: Path | None = None, as_json: Json = False) -> None:
    """Erase viewers from the log, the profiles, the checkpoints and the replay buffer.

    The rows that imports could not use (`<log>.rejects.jsonl`) are removed. A live system must be stopped.
    What was learned from viewers stays in the parameters; docs/privacy.md says how to train without it.

    Parameters
    ----------
    home
        The folder of a live system.
    log
        A log file that belongs to no home.
    """
    from easq.home.home import home_of, open_home
    from easq.learn import privacy as viewers
    from easq.log.rejects import remove_rejects
    from easq.log.sqlite import SqliteLog
    from easq.model.method import read_method

    _one_of(home, log)
    if home is not None:
        result = viewers.erase_home(open_home(home, methods=read_method), users)
    else:
        assert log is not None
        if folder := home_of(_file(log)):
            # The profiles, the checkpoints and the versions hold the viewers too.
            raise InputError(
                f"--log: {log} belongs to the live system in {folder}; stop it, then `easq privacy erase "
                f"--home {folder} {' '.join(f'--user {user}' for user in users)}`"
            )
        with SqliteLog(log) as events:
            result = {"erased": viewers.erase(events, users)}
        result["removed"] = remove_rejects(log)
    _show_erased(result, as_json)


@privacy.command
def expire(*, home: Path, as_json: Json = False) -> None:
    """Erase the events of a stopped live system that are older than its `retention.keep_days`.

    Parameters
    ----------
    home
        The folder of the live system.
    """
    from easq.home.clock import clock_of
    from easq.home.home import open_home
    from easq.learn.privacy import expire_home
    from easq.model.method import read_method

    system = open_home(home, methods=read_method)
    _show_erased(expire_home(system, clock_of(system)()), as_json)


def _show_erased(result: dict[str, Any], as_json: bool) -> None:
    words = ", ".join(f"{number:,} of topic {topic}" for topic, number in result["erased"].items())

    def as_text() -> None:
        console.print(f"events erased: {words}")
        for path in result["removed"]:
            console.print(f"removed, with the rows that imports could not use: {path}")

    show(result, as_json, as_text)


@contextmanager
def _opened(home: Path | None, log: Path | None) -> Iterator[tuple["SqliteLog", "Recipe | None"]]:
    from easq.home.home import open_home
    from easq.log.sqlite import SqliteLog

    _one_of(home, log)
    system = open_home(home) if home is not None else None
    path = system.folder / "events.log" if system else log
    assert path is not None
    with SqliteLog(_file(path), read_only=True) as events:
        yield events, system.recipe if system else None


def _one_of(home: Path | None, log: Path | None) -> None:
    if (home is None) == (log is None):
        raise InputError("give either --home or --log")


def _file(path: Path) -> Path:
    if not path.is_file():
        raise InputError(f"--log: there is no file {path}")
    return path


def _finite(value: Any) -> Any:
    """Return plain data with None in the place of numbers that JSON cannot hold."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
