"""What all commands share: the app, how results are printed, progress bars."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

app = App(
    name="easq",
    help="Ranking that aligns with what viewers say, not only with what they do. To see it work: easq demo.",
    version=version("easq"),
    suppress_keyboard_interrupt=False,
)

# What is printed is data, or holds some: a label, a path, a name. None of it is markup or an emoji's code.
notes = Console(stderr=True, markup=False, emoji=False)
console = Console(width=None if sys.stdout.isatty() else 130, markup=False, emoji=False)

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON object and nothing else.")]
HomeFolder = Annotated[Path, Parameter(help="The system's folder; it may run meanwhile.")]
Overrides = Annotated[
    list[str] | None,
    Parameter(name="--set", negative="", help="Change a setting: training.learning_rate=0.01. Repeatable."),
]


@contextmanager
def progress() -> Iterator[Callable[[str, int], Callable[[int, int], None]]]:
    """Show progress bars on standard error; yields a function that starts one."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=notes, transient=True) as bars:

        def watch(title: str, total: int) -> Callable[[int, int], None]:
            task = bars.add_task(title, total=total)
            return lambda done, whole: bars.update(task, completed=done, total=whole)

        yield watch


def show(result: dict[str, Any], as_json: bool, as_text: Callable[[], None]) -> None:
    """Print a result as JSON, or let `as_text` print it."""
    if as_json:
        sys.stdout.write(json.dumps(result) + "\n")
    else:
        as_text()


def change(value: float, low: float, high: float) -> str:
    """Return a relative change with its interval.

    >>> change(0.012, -0.001, 0.025)
    '+1.2% (-0.1% to +2.5%)'
    """
    return f"{value:+.1%} ({low:+.1%} to {high:+.1%})"


def signed(difference: dict[str, float | None]) -> str:
    """Return a difference with its interval."""
    value, low, high = (difference[name] for name in ("value", "low", "high"))
    if value is None or low is None or high is None:
        return ""
    return f"{value:+.4f} ({low:+.4f} to {high:+.4f})"


def decimal(value: float | None) -> str:
    """Return a number, nothing for None."""
    return "" if value is None else f"{value:.4f}"
