"""The command line: one command per verb. Results go to standard output, everything else to error.

Exit codes: 0 done, 2 the user's fault (a message, no traceback), 3 a log that cannot be read or written
now (a message too; the same command may work later), 1 ours.
"""

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
    "main",
    "privacy",
    "replay",
    "score",
    "shadow",
    "validity",
    "world",
]


def main() -> None:
    """Run the command line."""
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
