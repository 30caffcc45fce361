"""Calls of the questionnaire, for tests of the service."""

from itertools import count
from typing import Any

import httpx

from easq.log.events import Answered, Asked, Dismissed, Event, Ignored, Offered
from tests.support.http_service import Served

ALWAYS = ("ask.rate=1.0", "ask.cool_down_minutes=0.0", "ask.max_per_session=100", "ask.max_per_day=100")

_numbers = count()


def a_view(served: Served, user: str = "u1", **other: Any) -> dict[str, Any]:
    """Rank for a viewer and return a view of the ranking that is eligible at once."""
    items = [f"i{next(_numbers)}" for _ in range(2)]
    ranked = served.http.post("/v1/rank", json={"user_id": user, "candidates": items}).json()
    view = {"user_id": user, "request_id": ranked["request_id"], "item_id": items[0]}
    return view | {"play_ms": 400, "ratio": 0.6} | other


def offer(served: Served, view: dict[str, Any]) -> httpx.Response:
    """Offer a view."""
    return served.http.post("/v1/questionnaire/offer", json=view)


def a_token(served: Served, user: str = "u1", **other: Any) -> str:
    """Return the token of a new ask."""
    reply = offer(served, a_view(served, user, **other)).json()
    assert reply["show"], reply
    return str(reply["token"])


def report(served: Served, verb: str, token: str, **other: Any) -> tuple[int, str]:
    """Report on an ask; return the HTTP status and the reply's status or error code."""
    reply = served.http.post(f"/v1/questionnaire/{verb}", json={"token": token, **other})
    body = reply.json()
    return reply.status_code, body["status"] if "status" in body else body["error"]["code"]


def ask_events(served: Served) -> list[Event]:
    """Return all events of the questionnaire except offers that asked nothing."""
    kinds = (Offered, Asked, Answered, Dismissed, Ignored)
    return [e for e in served.logged() if isinstance(e, kinds) and not getattr(e, "gate", "")]
