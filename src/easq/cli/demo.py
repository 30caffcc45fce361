"""The demo: one command from nothing to a verdict."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.table import Table

from easq.cli.shared import Json, app, console, notes, progress, show

REAL_ASK, REAL_ANSWER = 0.005, 0.02
"""Of a real feed (EASQ): the share of views asked about, and the most that is answered of it."""


@app.command
def demo(
    *,
    recipe: Path = Path("recipes/loop.toml"),
    out: Path = Path("runs/demo"),
    seed: Annotated[int, Parameter(validator=Number(gte=0))] = 1,
    fast: Annotated[bool, Parameter(negative="", help="Few viewers and days: does it work?")] = False,
    as_json: Json = False,
) -> None:
    """Run a live system, let simulated viewers live some weeks with it as an A/B test, and give the verdict.

    Real processes and real HTTP: they rank, watch, act, are asked, answer, come back or not. One arm learns
    from behaviour alone, the other is EASQ.

    Parameters
    ----------
    recipe
        The settings; the first experiment is run, and its clock is held.
    out
        Where the system's folder and the report go; a demo of before makes room.
    seed
        Of the simulated viewers and items.
    """
    from easq.demo.run import FAST, Size, live_together
    from easq.demo.verdict import judge
    from easq.settings import read_recipe

    size = FAST if fast else Size()
    with progress() as watch:
        advance = watch(f"{size.viewers:,} viewers live {size.days} days", 1000)
        lived = live_together(
            read_recipe(recipe),
            out,
            seed,
            size,
            lambda url: notes.print(f"live at {url}, dashboard at {url}/dashboard"),
            lambda days: advance(round(1000 * days / size.days), 1000),
        )
    result = judge(lived, out / "report.html")
    show(result, as_json, lambda: _print(result))


def _print(result: dict[str, Any]) -> None:
    console.print(
        f"{result['views']:,} views, {result['answers']:,} answers. {result['asked_per_view']:.1%} of views "
        f"were asked about and {result['answered_per_ask']:.0%} of asks answered. A real feed asks about "
        f"{REAL_ASK:.1%} and gets answers to less than {REAL_ANSWER:.0%} of that; a demo has minutes."
    )
    table = Table("metric", result["arms"][0], result["arms"][1], "change (95 %)")
    for name, found in result["metrics"].items():
        table.add_row(name, *(f"{found[arm]:.4g}" for arm in ("control", "treatment")), _change(found))
    found = result["true_satisfaction"]
    table.add_section()
    values = (f"{found[arm]:.4f}" for arm in ("control", "treatment"))
    table.add_row("true satisfaction (known here alone)", *values, _change(found))
    console.print(table)
    console.print(f"verdict: {result['verdict']}")
    for reason in result["reasons"]:
        console.print(f"  {reason}")
    _print_estimate(result["estimate"], result["metrics"].get("satisfaction"))
    console.print(f"report: {result['report']}  ({result['seconds']:.0f} s)")


def _print_estimate(estimate: dict[str, Any], found: dict[str, float] | None) -> None:
    """Print what was estimated before the days that count, and beside it what they brought."""
    if estimate["lift"] is None:
        console.print(f"estimated before the A/B: nothing, {estimate['why']}")
        return
    console.print(
        f"estimated before the A/B, from drawn rankings of the control ({estimate['from']} to "
        f"{estimate['to']}, {estimate['answers']:,} answers): satisfaction {_change(estimate)}"
    )
    if found is not None:
        overlap = "overlap" if estimate["overlaps"] else "do not overlap"
        console.print(f"  the A/B found {_change(found)}; the intervals {overlap}")
    true = estimate["true_satisfaction"]["lift"]
    console.print(
        f"  true satisfaction with the rankings that were estimated: {true:+.2%} (known here alone)"
    )
    for warning in estimate["warnings"]:
        console.print(f"  {warning}")


def _change(found: dict[str, float]) -> str:
    return f"{found['lift']:+.2%} ({found['low']:+.2%} to {found['high']:+.2%})"
