"""Ranking in the shadow: the platform shows an order of its own, and what is said about it teaches."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from easq.learn.trainer import Trainer
from easq.log.events import EVENTS, Request
from easq.service.client import Client
from tests.support.http_service import Served, serving
from tests.support.small_worlds import small_recipe

CANDIDATES = [f"i{n}" for n in range(200)]
TOP, SAMPLE = 20, 5


def shadowed(served: Served, user_id: str, shown: list[str]) -> dict[str, Any]:
    call = {"user_id": user_id, "candidates": CANDIDATES, "mode": "shadow", "shown": shown}
    reply = served.http.post("/v1/rank", json=call)
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


def told(request_id: str, user_id: str, items: list[str]) -> list[dict[str, Any]]:
    """Return the events of items that were seen, liked and answered."""
    head = {"user_id": user_id, "request_id": request_id}
    likes = {"long_view": [1.0] * len(items), "like": [1.0] * len(items)}
    seen = {**head, "event_id": f"seen {request_id}", "type": "behavior", "items": items, "values": likes}
    ask = {**head, "type": "answered", "question": "satisfaction", "option": "satisfied", "propensity": 0.5}
    return [seen, *({**ask, "event_id": f"{request_id} {item}", "item_id": item} for item in items)]


def test_every_answer_about_what_was_shown_is_learned(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        for user_id in ("u1", "u2", "u3"):
            whole = served.http.post("/v1/rank", json={"user_id": user_id, "candidates": CANDIDATES}).json()
            last = whole["items"][-10:]
            reply = shadowed(served, user_id, last)
            assert reply["items"] == whole["items"], "the proposal is the ranking that would be served"
            events = told(reply["request_id"], user_id, last)
            sent = served.http.post("/v1/events", json={"events": events})
            assert (sent.json()["accepted"], sent.json()["refused"]) == (11, 0), sent.text
        recipe = small_recipe()
        trainer = Trainer(recipe, served.log.partitions(EVENTS))
        for _ in trainer.read(served.log, served.log.end_offsets(EVENTS)):
            pass
        trainer.close_windows()
        learned = sum(len(step.batch.option_A) for step in trainer.train_steps(flush=True))
        assert learned == 30
        assert trainer.counts.answers == 30
        assert trainer.counts.refused == 0
        assert served.metric("easq_shadow_rankings_total") == 3
        status = served.http.get("/v1/status").json()
        assert (status["shadow_rankings"], status["rankings"]) == (3, 3)
        assert served.metric("easq_rankings_total") == 3


def test_what_is_logged_is_what_was_shown_and_then_the_ranking(tmp_path: Path) -> None:
    explored = ("explore.share=1.0", "explore.top=5", "explore.temperature=1.0")
    with serving(tmp_path, *explored) as served:
        shown = ["i7", "i150", "i3"]
        reply = shadowed(served, "u1", shown)
        (event,) = [e for e in served.logged() if isinstance(e, Request)]
    assert event.is_shadow
    assert (event.arm, reply["arm"]) == ("", "")
    assert event.returned == event.items[:3] == shown
    others = [item for item in reply["items"] if item not in shown]
    assert event.items[3:TOP] == others[: TOP - 3]
    assert len(event.items) == TOP + SAMPLE
    assert event.num_candidates == 200
    assert (event.propensities, event.top) == (b"", 0), "nothing was drawn"
    assert reply["scores"] == sorted(reply["scores"], reverse=True)
    by_item = dict(zip(reply["items"], reply["scores"], strict=True))
    assert np.frombuffer(event.scores, "<f4").tolist() == pytest.approx([by_item[i] for i in event.items])


def test_more_than_is_usually_logged_may_be_shown(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        shadowed(served, "u1", CANDIDATES[::-1])
        (event,) = [e for e in served.logged() if isinstance(e, Request)]
    assert event.items == event.returned == CANDIDATES[::-1]


def test_the_client_says_what_was_shown(tmp_path: Path) -> None:
    with serving(tmp_path) as served, Client(served.url) as client:
        ranking = client.rank("u1", CANDIDATES, shown=["i9", "i2"], limit=4)
        (event,) = [e for e in served.logged() if isinstance(e, Request)]
    assert len(ranking.items) == 4
    assert event.returned == ["i9", "i2"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mode": "shadow"}, 'shown: got none; allowed with mode = "shadow": what you show, in your order'),
        ({"shown": ["i1"]}, 'shown: got items; allowed: none, or mode = "shadow"'),
        ({"mode": "shade", "shown": ["i1"]}, "mode: invalid enum value 'shade'"),
        ({"mode": "shadow", "shown": []}, "shown: expected `array` of length >= 1"),
        ({"mode": "shadow", "shown": ["i1", "i1"]}, "shown: 'i1' stands there more than once"),
        ({"mode": "shadow", "shown": ["i1", "i999"]}, "shown: got 'i999', which is not a candidate"),
        ({"mode": "shadow", "shown": ["i1", "i\n"]}, "shown: holds a control character"),
        (
            {"mode": "shadow", "shown": [f"i{n}" for n in range(201)]},
            "shown: expected `array` of length <= 200",
        ),
        ({"mode": "shadow", "shown": "i1"}, "shown: expected `array"),
    ],
)
def test_what_cannot_have_been_shown_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with serving(tmp_path) as served:
        call = {"user_id": "u1", "candidates": CANDIDATES, **change}
        reply = served.http.post("/v1/rank", json=call)
        assert reply.status_code == 400
        assert message in reply.json()["error"]["message"]
        assert served.logged() == []
