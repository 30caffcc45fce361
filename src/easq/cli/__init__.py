"""The command line: one command per verb. Results go to standard output, everything else to error.

Exit codes: 0 done, 2 the user's fault (a message, no traceback), 3 a log that cannot be read or written
now (a message too; the same command may work later), 1 ours.
"""

import sys


def main() -> None:
    """Run the command line; without the engine, say what to install."""
    try:
        from easq.cli.commands import run
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "easq"):
            raise
        sys.stderr.write(
            f"easq: {missing} is not installed, and commands need it: pip install 'easq[engine]' "
            "(`pip install easq` is Client and AsyncClient alone)\n"
        )
        sys.exit(2)
    run()
