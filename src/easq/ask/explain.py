"""Why a view would be asked about, or not: every gate with the numbers behind it."""

import msgspec

from easq.ask.adaptive import Teaching
from easq.ask.decisions import ASKED, UNDECIDED
from easq.ask.policy import Gate
from easq.ask.state import Asks
from easq.ask.view import View


class GateExplanation(msgspec.Struct, frozen=True):
    """One gate: whether it is open, and why."""

    name: str
    open: bool
    why: str


class Explanation(msgspec.Struct, frozen=True):
    """What would be decided on a view now.

    `reason` is `asked` or the first closed gate; `decided` is the same for an earlier decision, None if
    there was none. `propensity` is `rate` times `chance_open`. `teaching` is given by the adaptive policy.
    """

    request_id: str
    show: bool
    reason: str
    decided: str | None
    gates: list[GateExplanation]
    rate: float
    chance_open: float
    propensity: float
    teaching: Teaching | None


def explain(asks: Asks, view: View, now_ms: int) -> Explanation:
    """Return what would be decided on a view now. Changes nothing."""
    decision = asks.decided(view)
    decided = None if decision == UNDECIDED else "asked" if decision == ASKED else decision.gate
    first, why = asks.why_not(view, now_ms)
    chance = asks.gates(view, now_ms)
    gates = [
        Gate("eligible", first != "eligible", why if first == "eligible" else "enough was watched"),
        Gate("unknown_view", first != "unknown_view", why if first == "unknown_view" else "it was served"),
        Gate("play_time", first != "play_time", why if first == "play_time" else "there was time for that"),
        Gate("view", decided is None, f"decided before: {decided}" if decided else "not decided before"),
        *chance.gates,
    ]
    reason = next((gate.name for gate in gates if not gate.is_open), "asked")
    return Explanation(
        request_id=view.request_id,
        show=reason == "asked",
        reason=reason,
        decided=decided,
        gates=[GateExplanation(gate.name, gate.is_open, gate.why) for gate in gates],
        rate=chance.rate,
        chance_open=chance.chance,
        propensity=chance.rate * chance.chance,
        teaching=chance.teaching,
    )
