"""Commands on the questionnaire: why a view is asked or not."""

from pathlib import Path
from typing import Any

from cyclopts import App
from rich.table import Table

from easq.cli.shared import Json, app, console, show
from easq.errors import InputError

ask = App(name="ask", help="The questionnaire of a live system.")
app.command(ask)


@ask.command
def explain(
    *,
    home: Path,
    user: str,
    item: str,
    request: str = "",
    play_ms: float | None = None,
    ratio: float = 0.0,
    session: str = "",
    as_json: Json = False,
) -> None:
    """Say why a view would be asked about now, or why not, gate by gate; changes nothing.

    Parameters
    ----------
    home
        The folder of the live system, running or not.
    user
        The viewer.
    item
        The item that is watched.
    request
        The ranking that it was in; if not given, the viewer's newest with this item.
    play_ms
        Milliseconds played; if not given, just enough.
    ratio
        The part of the item that was played.
    session
        The session's id, if the app gives one.
    """
    from functools import partial

    from easq.ask.checkpoint import AsksFile
    from easq.ask.rebuild import catch_up
    from easq.ask.state import Asks, View
    from easq.ask.token import read_secret
    from easq.features.profiles import Profiles
    from easq.features.profiles.rebuild import catch_up as know
    from easq.home.clock import clock_of
    from easq.home.home import open_home
    from easq.log.events import EVENTS, PROFILES
    from easq.log.sqlite import SqliteLog

    made = open_home(home)
    if not (home / "events.log").exists():
        raise InputError(f"--home: nothing was ranked in {home} yet")
    now_ms = clock_of(made)()
    with SqliteLog(home / "events.log", read_only=True) as log:
        items = Profiles.of(made.recipe, log.partitions(EVENTS))
        if made.recipe.ask.policy == "adaptive":
            # What was told alone: it holds the authors.
            know(items, log, [0] * log.partitions(EVENTS) + log.end_offsets(PROFILES))
        author_of = partial(items.author_of, made.recipe.quality.author)
        asks = Asks(made.recipe, read_secret(made.secret_path), author_of)
        AsksFile(made.asks_path, made.recipe).read(asks, log.end_offsets(EVENTS))
        catch_up(asks, log, now_ms)
    played = made.recipe.ask.min_play_ms if play_ms is None else play_ms
    view = View(user, request or asks.served.latest(user, item), item, played, ratio, session)
    found = asks.explain(view, now_ms)
    show(found, as_json, lambda: _print(found))


def _print(found: dict[str, Any]) -> None:
    table = Table("gate", "", "why")
    for gate in found["gates"]:
        table.add_row(gate["name"], "open" if gate["open"] else "closed", gate["why"])
    console.print(table)
    verdict = "it would be asked" if found["show"] else f"it would not be asked: {found['reason']}"
    console.print(f"request {found['request_id'] or 'unknown'}: {verdict}")
    console.print(
        f"the probability of this ask is {found['propensity']:.6g}: the rate {found['rate']:.6g} times "
        f"{found['chance_open']:.6g}, the chance that the viewer's gates are open"
    )
    if teaching := found["teaching"]:
        good, bad = teaching["belief"]
        console.print(
            f"adaptive: of {teaching['group']} {good + bad:.3g} answers of others are remembered, {good:.3g} "
            f"of them good; at the drawn share of {teaching['drawn']:.3f} one more would teach "
            f"{teaching['gain']:.3f} of the most it can"
        )
