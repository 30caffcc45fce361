"""All commands, and what becomes of their errors."""

import sys
import warnings
from typing import TextIO

from cyclopts import CycloptsError

from easq.cli import (
    ab,
    ask,
    bench,
    demo,
    estimate,
    export,
    keys,
    live,
    privacy,
    recipe,
    replay,
    score,
    shadow,
    validity,
    world,
)
from easq.cli.shared import app
from easq.errors import InputError
from easq.log.base import LogError
from easq.recipe.read import SettingsWarning

__all__ = [
    "ab",
    "app",
    "ask",
    "bench",
    "demo",
    "estimate",
    "export",
    "keys",
    "live",
    "privacy",
    "recipe",
    "replay",
    "run",
    "score",
    "shadow",
    "validity",
    "world",
]


def run() -> None:
    """Run the command that the arguments name; its exit code is the process's."""
    warnings.showwarning = _show_warning
    try:
        app(exit_on_error=False, print_error=False, help_on_error=False)
    except (InputError, CycloptsError) as error:
        sys.stderr.write(f"easq: {error}\n")
        sys.exit(2)
    except LogError as error:
        sys.stderr.write(f"easq: {error}\n")
        sys.exit(3)
    except MemoryError as error:
        sys.stderr.write(f"easq: not enough memory for these settings or this data: {error}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("easq: stopped; `easq replay --resume` goes on where a replay was\n")
        sys.exit(130)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning about settings as words to the user; any other with its kind."""
    del filename, lineno, file, line
    about = "" if issubclass(category, SettingsWarning) else f" ({category.__name__})"
    sys.stderr.write(f"easq: warning{about}: {message}\n")
