"""Commands on the questionnaire: explain why a view is asked or not."""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from cyclopts import App
from rich.table import Table

from easq.cli.shared import Json, app, console, show
from easq.errors import InputError

if TYPE_CHECKING:
    from easq.ask.explain import Explanation
    from easq.ask.state import Asks
    from easq.home.home import Home

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
    """Explain why a view would be asked about now or not, gate by gate. Changes nothing.

    Parameters
    ----------
    home
        The folder of the live system, running or not.
    user
        The viewer.
    item
        The item that is watched.
    request
        The ranking that it was in. If not given, the viewer's newest with this item.
    play_ms
        Milliseconds played. If not given, just enough.
    ratio
        The share of the item that was played.
    session
        The session's id, if the app gives one.
    """
    from easq.ask.explain import explain as explain_view
    from easq.ask.view import View
    from easq.home.clock import clock_of
    from easq.home.home import open_home

    system = open_home(home)
    if not (home / "events.log").exists():
        raise InputError(f"--home: nothing was ranked in {home} yet")
    now_ms = clock_of(system)()
    asks = _read_asks(system, now_ms)
    played = system.recipe.ask.min_play_ms if play_ms is None else play_ms
    view = View(user, request or asks.served.latest(user, item), item, played, ratio, session)
    explanation = explain_view(asks, view, now_ms)
    show(msgspec.to_builtins(explanation), as_json, lambda: _print(explanation))


def _read_asks(home: "Home", now_ms: int) -> "Asks":
    """Return the state of asking as of now, from its file and from the log after it."""
    from functools import partial

    from easq.ask.checkpoint import AsksFile
    from easq.ask.rebuild import catch_up
    from easq.ask.state import Asks
    from easq.ask.token import read_secret
    from easq.features.profiles import Profiles
    from easq.features.profiles.rebuild import catch_up as catch_up_profiles
    from easq.log.events import EVENTS, PROFILES
    from easq.log.sqlite import SqliteLog

    recipe = home.recipe
    with SqliteLog(home.folder / "events.log", read_only=True) as log:
        profiles = Profiles.of(recipe, log.partitions(EVENTS))
        if recipe.ask.policy == "adaptive":
            # Only what was put: it holds the authors.
            starts = [0] * log.partitions(EVENTS) + log.end_offsets(PROFILES)
            catch_up_profiles(profiles, log, starts)
        asks = Asks(recipe, read_secret(home.secret_path), partial(profiles.author_of, recipe.quality.author))
        AsksFile(home.asks_path, recipe).read(asks, log.end_offsets(EVENTS))
        catch_up(asks, log, now_ms)
    return asks


def _print(explanation: "Explanation") -> None:
    table = Table("gate", "", "why")
    for gate in explanation.gates:
        table.add_row(gate.name, "open" if gate.open else "closed", gate.why)
    console.print(table)
    reason = explanation.reason
    verdict = "it would be asked" if explanation.show else f"it would not be asked: {reason}"
    console.print(f"request {explanation.request_id or 'unknown'}: {verdict}")
    console.print(
        f"the probability of this ask is {explanation.propensity:.6g}: the rate {explanation.rate:.6g} times "
        f"{explanation.chance_open:.6g}, the chance that the viewer's gates are open"
    )
    if teaching := explanation.teaching:
        good, bad = teaching.belief
        console.print(
            f"adaptive: of {teaching.group} {good + bad:.3g} answers of others are remembered, {good:.3g} "
            f"of them good; at the drawn share of {teaching.drawn:.3f} one more would teach "
            f"{teaching.gain:.3f} of the most it can"
        )
