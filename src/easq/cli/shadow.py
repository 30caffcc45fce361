"""The command that compares our order with the one that viewers saw, from rankings made in the shadow."""

from typing import TYPE_CHECKING

import msgspec
from rich.table import Table

from easq.cli.shared import HomeFolder, Json, app, console, show
from easq.errors import InputError

if TYPE_CHECKING:  # loaded when the command needs it
    from easq.prove.offpolicy.estimators import ValueEstimate
    from easq.prove.offpolicy.shadow_orders import ShadowEstimate


@app.command
def shadow(*, home: HomeFolder, as_json: Json = False) -> None:
    """Compare the order that viewers saw with ours, from rankings that were made in the shadow.

    Nothing of ours was shown: what viewers would say of our order is read from what they said of theirs.
    """
    from easq.home.home import open_home
    from easq.log.sqlite import SqliteLog
    from easq.model.method import read_method
    from easq.prove.offpolicy.shadow_orders import compare_orders

    opened = open_home(home, methods=read_method)
    with SqliteLog(opened.folder / "events.log", read_only=True) as log:
        result = compare_orders(opened.recipe, log)
    if result is None:
        raise InputError(
            f'{home}: no ranking of its log was made in the shadow: see POST /v1/rank with mode = "shadow"'
        )
    show(msgspec.to_builtins(result), as_json, lambda: _print(result))


def _print(result: "ShadowEstimate") -> None:
    console.print(
        f"{result.requests:,} rankings in the shadow for {result.viewers:,} viewers, {result.first_day} to "
        f"{result.last_day}, with {result.evidence.answers:,} answers about what was shown."
    )
    table = Table(f"expected to satisfy, of the first {result.top}", "")
    table.add_row("as shown", _level(result.shown))
    table.add_row("as we order them", _level(result.proposed))
    table.add_row("change", _level(result.change, "+.3f"))
    console.print(table)
    better, worse = (
        "no answer" if half is None else _level(half) for half in (result.said.better, result.said.worse)
    )
    console.print(
        f"Satisfied answers: {better} about what we score above the mean of what was shown with it, {worse} "
        "about the rest."
    )
    console.print(
        f"{result.not_shown:.0%} of our first {result.top} were not shown: for these the score alone speaks."
    )
    for warning in result.warnings:
        console.print(f"warning: {warning}")
    if not result.supported:
        console.print("The log does not carry a comparison yet: do not go by these numbers.")


def _level(value: "ValueEstimate", digits: str = ".3f") -> str:
    return f"{value.value:{digits}} ({value.low:{digits}} to {value.high:{digits}})"
