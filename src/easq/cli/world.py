"""Commands on simulated worlds: make one, and check one against real figures."""

import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App
from rich.table import Table

from easq.cli.shared import Json, app, console, progress, show
from easq.errors import InputError

if TYPE_CHECKING:  # loaded when the command needs it
    from easq.sources.world.realism import CheckRow

world_app = App(name="world", help="Simulated platforms whose viewers have a known satisfaction.")
app.command(world_app)


@world_app.command
def make(
    *,
    out: Path,
    views: int,
    seed: int = 1,
    ask: float = 0.005,
    answer: float = 0.02,
    scenario: str = "main",
    silence: float | None = None,
    as_json: Json = False,
) -> None:
    """Simulate a world and write its log, and its truth in a file of its own.

    Parameters
    ----------
    out
        The log file; the truth goes to the same name with .truth appended.
    views
        How many views at least (a request has ten).
    seed
        Equal seeds give equal worlds.
    ask
        Chance that an eligible view is asked about.
    answer
        Mean chance that an ask is answered; annoyed viewers answer more often.
    scenario
        main: a main feed; bait: one with more bait, shorter videos and less regard for taste; silent: a main
        feed whose viewers show little of what satisfies them in what they do.
    silence
        Of the scenario silent: 0 is main, 1 a world in which behavior tells nothing but bait (default 0.75).
    """
    from easq.log.sqlite import SqliteLog
    from easq.sources.world.recording import record
    from easq.sources.world.simulate import AskRates, World

    scenario = _scenario(scenario, silence)
    _check_views(views)
    if out.exists():
        raise InputError(f"--out: {out} exists already; choose another name or remove it")
    for name, value in (("ask", ask), ("answer", answer)):
        if not 0 <= value <= 1:
            raise InputError(f"--{name}: got {value}; allowed: 0 to 1")
    truth = out.with_name(out.name + ".truth")
    truth.unlink(missing_ok=True)
    started = time.monotonic()
    with progress() as watch, SqliteLog(out) as log:
        advance, done = watch("a world lives", views), 0

        def on_views(num: int) -> None:
            nonlocal done
            done += num
            advance(done, views)

        made = record(World(seed, AskRates(ask, answer), scenario=scenario), views, log, truth, on_views)
    result = {"views": made, "log": str(out), "truth": str(truth), "seconds": time.monotonic() - started}
    show(result, as_json, lambda: console.print(f"{made:,} views in {out}, their truth in {truth}"))


@world_app.command(name="check")
def check_world(
    *,
    seed: int = 1,
    views: int = 6_000_000,
    scenario: str = "main",
    silence: float | None = None,
    figure: Path | None = None,
    markdown: bool = False,
    as_json: Json = False,
) -> None:
    """Check a world against real figures; exit code 1 when one is outside its tolerance.

    Parameters
    ----------
    seed
        The world's seed.
    views
        How many views the world has; rare figures need a million or more.
    scenario
        main, bait or silent; real feeds' figures are held for main only.
    silence
        Of the scenario silent, from 0 to 1.
    figure
        Also write the table as a figure (SVG) there.
    markdown
        Print the table as Markdown.
    """
    from easq.sources.world import check_figure
    from easq.sources.world.realism import check

    _check_views(views)
    scenario = _scenario(scenario, silence)
    with progress() as watch:
        advance, done = watch("a world lives", views), 0

        def on_views(num: int) -> None:
            nonlocal done
            done += num
            advance(done, views)

        rows = check(seed, views, scenario, on_views)
    if figure:
        figure.write_text(check_figure.svg(rows, f"Scenario {scenario}: simulated against real figures"))
    outside = sum(row.held and not row.inside for row in rows)
    listed = [{**row._asdict(), "simulated": _known(row.simulated), "inside": row.inside} for row in rows]
    held = sum(row.held for row in rows)
    result = {"scenario": scenario, "views": views, "held": held, "outside": outside, "rows": listed}

    def as_text() -> None:
        if markdown:
            sys.stdout.write(check_figure.markdown(rows) + "\n")
            return
        console.print(_check_table(rows))
        console.print(f"{result['held']} figures held, {outside} outside")

    show(result, as_json, as_text)
    if outside:
        sys.exit(1)


def _check_table(rows: "Sequence[CheckRow]") -> Table:
    from easq.sources.world import check_figure

    table = Table("figure", "", "real", "simulated", "tolerance", "", "source")
    for row in rows:
        values = [check_figure.number(x) for x in (row.real, row.simulated, row.tolerance)]
        table.add_row(row.group, row.name, *values, check_figure.word(row), row.source)
    return table


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _check_views(views: int) -> None:
    if views < 1:
        raise InputError(f"--views: got {views}; allowed: 1 or more")


def _scenario(scenario: str, silence: float | None) -> str:
    """Return the scenario's name with its silence. Raises InputError naming the option that is wrong."""
    from easq.sources.world.population import SCENARIOS, read_scenario

    if scenario not in SCENARIOS:
        raise InputError(f"--scenario: got {scenario!r}; allowed: {', '.join(SCENARIOS)}")
    if silence is None:
        return scenario
    if scenario != "silent":
        raise InputError(f"--silence: got {silence} with --scenario {scenario}; allowed with silent only")
    if not 0 <= silence <= 1:
        raise InputError(f"--silence: got {silence}; allowed: 0 to 1")
    return read_scenario(f"silent={silence}").name
