"""From the offer to the tap: what is shown, what is logged, what is refused."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import httpx
import msgspec
import pytest

from easq.ask.token import Ticket, Tokens, read_secret
from easq.home.clock import real_ms
from easq.log.events import Answered, Asked, Dismissed, Ignored, Offered
from easq.service.http.keys import create_key
from tests.support.http_service import serving, until
from tests.support.questionnaire_calls import ALWAYS, a_token, a_view, ask_events, offer, report


@dataclass
class OwnClock:
    """The service's clock, moved ahead by a test."""

    ahead_ms: int = 0

    def __call__(self) -> int:
        return real_ms() + self.ahead_ms


def test_an_answer_travels_from_the_offer_to_the_log(tmp_path: Path) -> None:
    clock = OwnClock()
    with serving(tmp_path, *ALWAYS, now_ms=clock) as served:
        view = a_view(served, locale="zh-CN", session_id="s")
        reply = offer(served, view).json()
        assert (reply["show"], reply["reason"], reply["locale"], reply["fade_ms"]) == (
            True,
            "asked",
            "zh",
            6000,
        )
        question = reply["question"]
        assert (question["name"], question["version"], question["text"]) == (
            "satisfaction",
            "1",
            "你对这个视频满意吗\uff1f",
        )
        assert question["options"][2] == {"value": "satisfied", "label": "满意"}
        assert report(served, "shown", reply["token"]) == (200, "accepted")
        clock.ahead_ms += 2000  # the question was read
        assert report(served, "answer", reply["token"], option="satisfied", took_ms=1500) == (200, "accepted")
        offered, asked, answered = ask_events(served)
    assert isinstance(offered, Offered)
    assert isinstance(asked, Asked)
    assert isinstance(answered, Answered)
    for event in (offered, asked, answered):
        assert (event.user_id, event.request_id, event.item_id) == ("u1", view["request_id"], view["item_id"])
        assert (event.question, event.propensity) == ("satisfaction", 1.0)
    assert (asked.version, asked.locale, asked.policy, asked.place) == ("1", "zh", "uniform", 0)
    assert asked.order == ["dissatisfied", "uncertain", "satisfied"]
    assert (answered.ask_id, answered.option, answered.took_ms) == (asked.event_id, "satisfied", 1500)
    assert (answered.weight, answered.flags) == (1.0, [])


def test_a_view_is_decided_once(tmp_path: Path) -> None:
    with serving(tmp_path, "ask.rate=0.5", *ALWAYS[1:]) as served:
        views = [a_view(served, f"u{n}") for n in range(12)]
        first = [offer(served, view).json() for view in views]
        assert [offer(served, view).json() for view in views] == first
        assert {reply["reason"] for reply in first} == {"asked", "sampling"}
        until(lambda: len([e for e in served.logged() if isinstance(e, Offered)]) >= 12)
        assert len({e.event_id for e in served.logged() if isinstance(e, Offered)}) == 12


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"play_ms": 10, "ratio": 0.1}, "eligible"),
        ({"request_id": "r"}, "unknown_view"),
        ({"user_id": "somebody"}, "unknown_view"),
        ({"item_id": "other"}, "unknown_view"),
        ({"play_ms": 9000, "ratio": 1.0}, "play_time"),
        ({"play_ms": 1e12, "ratio": 0.0}, "play_time"),
    ],
)
def test_what_is_no_eligible_view_is_not_asked_and_not_logged(
    tmp_path: Path, other: dict[str, object], reason: str
) -> None:
    with serving(tmp_path, *ALWAYS) as served:
        reply = offer(served, a_view(served) | other).json()
        assert (reply["show"], reply["reason"], reply["token"], reply["question"]) == (
            False,
            reason,
            None,
            None,
        )
        assert ask_events(served) == []


def test_a_viewer_is_not_as_many_as_he_has_names(tmp_path: Path) -> None:
    """Names with the checksum of one's own are quickly made; the quota is everybody's."""
    one, other = "plumless", "buckeroo"
    assert crc32(one.encode()) == crc32(other.encode())
    with serving(tmp_path, *ALWAYS, "ask.daily_quota=1", 'ask.pacing="none"') as served:
        view = a_view(served, one)
        assert offer(served, view | {"user_id": other}).json()["reason"] == "unknown_view"
        assert offer(served, view).json()["show"]


def test_an_item_that_was_not_returned_is_not_asked_about(tmp_path: Path) -> None:
    with serving(tmp_path, *ALWAYS) as served:
        call = {"user_id": "u1", "candidates": list("abcdef"), "limit": 2}
        ranked = served.http.post("/v1/rank", json=call).json()
        view = {"user_id": "u1", "request_id": ranked["request_id"], "play_ms": 400, "ratio": 0.6}
        others = sorted(set("abcdef") - set(ranked["items"]))
        reasons = [offer(served, view | {"item_id": item}).json()["reason"] for item in others]
        assert reasons == ["unknown_view"] * 4
        assert all(offer(served, view | {"item_id": item}).json()["show"] for item in ranked["items"])


def test_a_viewer_who_was_asked_has_a_pause(tmp_path: Path) -> None:
    with serving(tmp_path, "ask.rate=1.0") as served:
        a_token(served)
        assert offer(served, a_view(served)).json()["reason"] == "cool_down"
        assert offer(served, a_view(served, "u2")).json()["show"]


def test_a_retry_and_a_double_tap_count_once(tmp_path: Path) -> None:
    with serving(tmp_path, *ALWAYS) as served:
        token = a_token(served)
        with ThreadPoolExecutor(8) as pool:
            shown = list(pool.map(lambda _: report(served, "shown", token), range(8)))
            taps = list(pool.map(lambda _: report(served, "answer", token, option="uncertain"), range(8)))
        for replies in (shown, taps):
            assert sorted(replies) == [(200, "accepted"), *[(200, "counted before")] * 7]
        assert [type(event) for event in ask_events(served)] == [Offered, Asked, Answered]


@pytest.mark.parametrize(("verb", "kind"), [("dismiss", Dismissed), ("ignored", Ignored)])
def test_an_ask_may_end_without_an_answer(tmp_path: Path, verb: str, kind: type) -> None:
    with serving(tmp_path, *ALWAYS) as served:
        token = a_token(served)
        assert report(served, "shown", token)[0] == 200
        assert report(served, verb, token, took_ms=6000) == (200, "accepted")
        assert report(served, verb, token, took_ms=6000) == (200, "counted before")
        assert report(served, "answer", token, option="satisfied") == (409, "used")
        *_, last = ask_events(served)
        assert isinstance(last, kind)
        assert last.took_ms == 6000


def test_a_used_token_takes_no_other_word(tmp_path: Path) -> None:
    with serving(tmp_path, *ALWAYS) as served:
        view = a_view(served)
        token = offer(served, view).json()["token"]
        assert report(served, "answer", token, option="satisfied") == (200, "accepted")
        assert report(served, "answer", token, option="dissatisfied") == (409, "used")
        assert report(served, "ignored", token) == (409, "used")
        assert offer(served, view).json()["reason"] == "view"
        # The report that it was shown was lost, and is made up for.
        assert [type(event) for event in ask_events(served)] == [Offered, Asked, Answered]


def test_a_token_is_for_one_viewer_view_and_question(tmp_path: Path) -> None:
    with serving(tmp_path, *ALWAYS) as served:
        view = a_view(served)
        token = offer(served, view).json()["token"]
        for name in ("user_id", "request_id", "item_id", "question", "version"):
            assert report(served, "answer", token, option="satisfied", **{name: "x"}) == (403, "mismatched")
        assert report(served, "answer", token, option="great")[0] == 400
        assert report(served, "shown", token[:-1] + "!") == (403, "forged")
        bound = {"question": "satisfaction", "version": "1"} | {
            name: view[name] for name in ("user_id", "request_id", "item_id")
        }
        assert report(served, "answer", token, option="satisfied", **bound) == (200, "accepted")


def test_a_token_expires_and_one_of_no_ask_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path, *ALWAYS) as served:
        tokens = Tokens(read_secret(tmp_path / "secret"))
        old = Ticket("q1", "u1", "r1", "i1", "satisfaction", "1", until=1000)
        assert report(served, "shown", tokens.make(old)) == (410, "expired")
        fresh = msgspec.structs.replace(old, until=1 << 52)
        assert report(served, "shown", tokens.make(fresh)) == (403, "mismatched")


def test_what_was_not_shown_in_time_cannot_be_shown(tmp_path: Path) -> None:
    with serving(tmp_path, *ALWAYS, "ask.reserve_seconds=0.001") as served:
        view = a_view(served)
        token = offer(served, view).json()["token"]
        assert report(served, "shown", token) == (410, "expired")
        assert report(served, "answer", token, option="satisfied") == (410, "expired")
        assert offer(served, view).json()["reason"] == "view"


def test_a_restart_knows_what_was_asked_and_answered(tmp_path: Path) -> None:
    with serving(tmp_path, *ALWAYS) as served:
        done, open_token = a_token(served), a_token(served)
        report(served, "answer", done, option="satisfied")
    with serving(tmp_path, *ALWAYS) as served:
        assert report(served, "answer", done, option="satisfied") == (200, "counted before")
        assert report(served, "dismiss", done) == (409, "used")
        assert report(served, "answer", open_token, option="uncertain") == (200, "accepted")
        assert len([event for event in ask_events(served) if isinstance(event, Answered)]) == 2


def test_a_beacon_is_plain_text_with_its_key_inside(tmp_path: Path) -> None:
    key = create_key(tmp_path / "keys.json", "viewer", "")
    server = create_key(tmp_path / "keys.json", "server", "")
    with serving(tmp_path, *ALWAYS, token=server) as served:
        token = a_token(served)
        path = f"{served.url}/v1/questionnaire/ignored"

        def beacon(body: dict[str, object], media_type: str = "text/plain;charset=UTF-8") -> int:
            headers = {"content-type": media_type}
            return httpx.post(path, content=json.dumps(body), headers=headers).status_code

        assert beacon({"token": token}) == 401
        assert beacon({"token": token, "key": key + "x"}) == 401
        assert beacon({"token": token, "key": key}, "image/png") == 415
        assert beacon({"token": token, "key": key}) == 200
        assert beacon({"token": token, "key": key}, "application/json") == 200
        assert httpx.post(path, content=b"{", headers={"content-type": "text/plain"}).status_code == 401
        # Elsewhere a key in the body is none, and plain text no body.
        ranked = httpx.post(
            f"{served.url}/v1/rank", json={"user_id": "u", "candidates": ["a"], "key": server}
        )
        assert ranked.status_code == 401
        text = served.http.post("/v1/rank", content="{}", headers={"content-type": "text/plain"})
        assert text.status_code == 415


def test_pages_of_named_origins_may_call(tmp_path: Path) -> None:
    with serving(tmp_path, 'ask.origins=["https://player.example"]') as served:
        ask = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
        for origin, status in (("https://player.example", 204), ("https://other.example", 400)):
            headers = {"origin": origin, **ask}
            reply = served.http.options("/v1/questionnaire/offer", headers=headers)
            assert reply.status_code == status
        reply = served.http.post(
            "/v1/questionnaire/shown", json={}, headers={"origin": "https://player.example"}
        )
        assert reply.status_code == 400
        assert reply.headers["access-control-allow-origin"] == "https://player.example"
        reply = served.http.post(
            "/v1/questionnaire/shown", json={}, headers={"origin": "https://other.example"}
        )
        assert "access-control-allow-origin" not in reply.headers
    with serving(tmp_path) as served:
        reply = served.http.post(
            "/v1/questionnaire/shown", json={}, headers={"origin": "https://player.example"}
        )
        assert "access-control-allow-origin" not in reply.headers


def test_a_body_about_an_ask_is_small(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        reply = served.http.post("/v1/questionnaire/shown", json={"token": "a" * 20_000})
        assert reply.status_code == 413
        assert reply.json()["error"]["message"].endswith("allowed: 16384 bytes")


def test_an_answer_is_weighed_before_it_is_logged(tmp_path: Path) -> None:
    """Nobody reads the question in 100 ms; later than 250 ms a viewer who has read it before may answer."""
    clock = OwnClock()
    with serving(tmp_path, *ALWAYS, now_ms=clock) as served:
        for took_ms in (100, 2000):
            token = a_token(served)
            clock.ahead_ms += 3000
            report(served, "answer", token, option="satisfied", took_ms=took_ms)
        answers = [event for event in ask_events(served) if isinstance(event, Answered)]
    assert [(a.weight, a.flags) for a in answers] == [(0.2, ["speeder"]), (1.0, [])]


@pytest.mark.parametrize("took_ms", [0, 300, 60_000])
def test_answers_before_the_question_could_be_read_are_flagged_and_logged_so(
    tmp_path: Path, took_ms: int
) -> None:
    """The offer was a moment ago, so a long time is made up."""
    with serving(tmp_path, *ALWAYS, "quality.skimming=0.01") as served:
        report(served, "answer", a_token(served), option="satisfied", took_ms=took_ms)
        answers = [event for event in ask_events(served) if isinstance(event, Answered)]
    assert [(a.weight, a.flags) for a in answers] == [(0.2, ["speeder"])]
