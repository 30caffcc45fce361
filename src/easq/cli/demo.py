"""The demo: one command from nothing to a verdict."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number
from rich.table import Table

from easq.cli.shared import Json, app, change, console, notes, progress, show

if TYPE_CHECKING:  # loaded when the command needs it
    from easq.prove.ab.effects import Effect
    from easq.prove.closed_loop.before import BeforeEstimate
    from easq.prove.closed_loop.outcome import DemoOutcome
    from easq.prove.closed_loop.true_sums import TrueLift

REAL_ASK, REAL_ANSWER = 0.005, 0.02
"""Of a real feed (EASQ): the share of views asked about, and the most that is answered of it."""


@app.command
def demo(
    *,
    recipe: Path = Path("loop"),
    out: Path = Path("runs/demo"),
    seed: Annotated[int, Parameter(validator=Number(gte=0))] = 1,
    fast: Annotated[
        bool, Parameter(negative="", help="Few viewers and days, under a minute: does it work?")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run a live system, let simulated viewers use it as an A/B test, and print the verdict.

    It uses real processes and real HTTP: viewers get rankings, watch, act, are asked, answer, and return or
    not. One arm learns from behavior alone, the other is EASQ.

    Parameters
    ----------
    recipe
        The settings, a file or the name of a packaged recipe; the first experiment is run, and its clock is
        held.
    out
        Where the system's folder and the report go. An earlier demo there is deleted.
    seed
        Seed of the simulated viewers and items.
    """
    from easq.model.method import read_method
    from easq.prove.closed_loop.demo_run import FAST, DemoSize, live_together
    from easq.prove.closed_loop.outcome import judge
    from easq.recipe.read import read_recipe

    size = FAST if fast else DemoSize()
    with progress() as watch:
        advance = watch(f"{size.viewers:,} viewers live, by days", size.days)
        run = live_together(
            read_recipe(recipe, methods=read_method),
            out,
            seed,
            size,
            lambda url: notes.print(f"live at {url}, dashboard at {url}/dashboard"),
            lambda days: advance(int(days), size.days),
        )
    result = judge(run, out / "report.html")
    show(msgspec.to_builtins(result), as_json, lambda: _print(result))


def _print(result: "DemoOutcome") -> None:
    console.print(
        f"{result.views:,} views, {result.answers:,} answers. {result.asked_per_view:.1%} of views "
        f"were asked about and {result.answered_per_ask:.0%} of asks answered. A real feed asks about "
        f"{REAL_ASK:.1%} and gets answers to less than {REAL_ANSWER:.0%} of that; a demo asks far more, to "
        "have enough answers within minutes."
    )
    table = Table("by viewer, in the days that count", *result.arms, "change (95 %, one look)", "which is")
    for spec in result.specs:
        row = _row(result.metrics.get(spec.name), spec.better * spec.is_goal)
        table.add_row(f"{spec.title} ({spec.unit})", *row)
    table.add_section()
    table.add_row("True satisfaction (only the simulation knows it)", *_row(result.true_satisfaction))
    console.print(table)
    console.print(
        "docs/ab.md defines each metric. Intervals in words are longer: they hold at every look, not at one."
    )
    for line in result.words:
        console.print(line)
    _print_estimate(result.estimate, result.metrics.get("satisfaction"))
    home = Path(result.report).parent / "home"
    # As it was called, since it may not be on PATH.
    easq = sys.argv[0] if Path(sys.argv[0]).name == "easq" else "easq"
    console.print(
        f"report: {result.report}\nIt took {result.seconds:.0f} s and the system has stopped. "
        f"To see its dashboard: {easq} serve --home {home}, then http://127.0.0.1:8377/dashboard",
        soft_wrap=True,
    )


def _print_estimate(estimate: "BeforeEstimate", effect: "Effect | None") -> None:
    """Print the estimate from before the days that count, next to the result of those days."""
    from easq.prove.closed_loop.before import LiftEstimate

    if not isinstance(estimate, LiftEstimate):
        console.print(f"estimated before the A/B: nothing, {estimate.why}")
        return
    console.print(
        f"estimated before the A/B, from drawn rankings of the control ({estimate.first_day} to "
        f"{estimate.last_day}, {estimate.answers:,} answers): satisfaction "
        f"{change(estimate.lift, estimate.low, estimate.high)}"
    )
    if effect is not None:
        overlap = "overlap" if estimate.overlaps else "do not overlap"
        change_text = change(effect.lift, effect.low, effect.high)
        console.print(f"  the A/B found {change_text}; the intervals {overlap}")
    true = estimate.true_satisfaction.lift
    console.print(
        f"  true satisfaction with the rankings that were estimated: {true:+.1%} "
        "(only the simulation knows it)"
    )
    for warning in estimate.warnings:
        console.print(f"  {warning}")


def _row(effect: "Effect | TrueLift | None", better: int = 1) -> tuple[str, ...]:
    """Return the values of the arms, the change, and whether it is better or worse.

    `better` is 1 if more is better, -1 if less is better, and 0 if neither is.

    >>> from easq.prove.closed_loop.true_sums import TrueLift
    >>> _row(TrueLift(control=0.2, treatment=0.1, lift=-0.5, low=-0.6, high=-0.3), better=-1)
    ('0.2', '0.1', '-50.0% (-60.0% to -30.0%)', 'better')
    """
    if effect is None:
        return "", "", "too little of it", ""
    which = "not clear"
    if effect.low > 0 or effect.high < 0:
        which = {better: "better", -better: "worse"}.get(1 if effect.low > 0 else -1, "neither")
    values = f"{effect.control:.4g}", f"{effect.treatment:.4g}"
    return (*values, change(effect.lift, effect.low, effect.high), which)
