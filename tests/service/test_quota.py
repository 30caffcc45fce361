"""A day's quota holds against many callers at once, and nothing is acknowledged that is not durable."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from easq.log.events import EVENTS, Asked
from tests.service.test_log_down import held
from tests.support.http_service import serving
from tests.support.questionnaire_calls import ALWAYS, a_token, a_view, ask_events, offer, report

QUOTA = ("ask.daily_quota=5", "ask.pacing=none")


def test_many_offers_at_once_never_exceed_the_quota(tmp_path: Path) -> None:
    with serving(tmp_path, *ALWAYS, *QUOTA) as served, ThreadPoolExecutor(16) as pool:
        views = [a_view(served, f"u{n}") for n in range(60)]
        replies = [reply.json() for reply in pool.map(lambda view: offer(served, view), views)]
        tokens = [reply["token"] for reply in replies if reply["show"]]
        assert len(tokens) == 5
        assert {reply["reason"] for reply in replies} == {"asked", "pace"}
        assert [report(served, "shown", token)[0] for token in tokens] == [200] * 5
    with serving(tmp_path, *ALWAYS, *QUOTA) as served:
        assert offer(served, a_view(served, "late")).json()["reason"] == "pace"
        assert len([event for event in ask_events(served) if isinstance(event, Asked)]) == 5


def test_a_reservation_that_is_not_shown_comes_back(tmp_path: Path) -> None:
    with serving(tmp_path, *ALWAYS, *QUOTA, "ask.reserve_seconds=0.001") as served:
        lost = [a_token(served, f"u{n}") for n in range(8)]
        assert {report(served, "shown", token) for token in lost} == {(410, "expired")}
        assert not [event for event in ask_events(served) if isinstance(event, Asked)]


def test_an_answer_is_acknowledged_only_when_it_is_durable(tmp_path: Path) -> None:
    with serving(tmp_path, *ALWAYS) as served:
        token, view = a_token(served), a_view(served)
        before = served.log.end_offsets(EVENTS)
        with held(tmp_path):
            assert report(served, "answer", token, option="satisfied") == (503, "log_unavailable")
            assert offer(served, view).status_code == 503
            assert served.log.end_offsets(EVENTS) == before
        assert report(served, "answer", token, option="satisfied")[0] == 200
        assert offer(served, view).json()["show"]
        assert len(ask_events(served)) == 4
