"""The client against a real service: every verb, failures in words, nothing counted twice."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import easq
from easq.log.events import PROFILES, Answered, Asked, Behavior, Request
from easq.log.packing import pack_floats
from easq.service.client import Client
from easq.service.client_replies import ClientError
from easq.service.http.keys import create_key
from tests.support.http_service import Served, serving
from tests.support.questionnaire_calls import ALWAYS, a_view, ask_events


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as service:
        yield service


def test_every_verb_sends_its_call(served: Served) -> None:
    with easq.Client(served.url) as client:
        client.put_items({"a": {"author_id": "kim", "duration_s": 12.5}, "b": {"tags": ["x", 2]}})
        client.put_users({"u1": {"segment": "new"}})
        ranking = client.rank("u1", ["a", "b"], context={"hour": 12}, features={"age_days": [0.5, None]})
        assert sorted(ranking.items) == ["a", "b"]
        assert ranking.scores == sorted(ranking.scores, reverse=True)
        assert ranking.logged
        seen = client.behavior("u1", ranking.request_id, ["a", "b"], {"like": [1, 0]})
        asked = client.asked("u1", ranking.request_id, "a", "satisfaction", 0.1)
        answered = client.answered("u1", ranking.request_id, "a", "satisfaction", "satisfied", 0.1)
        assert client.rank("u1", ["a", "b"], limit=1).items == client.rank("u1", ["a", "b"]).items[:1]
    assert len(served.logged(PROFILES)) == 3
    by_id = {event.event_id: event for event in served.logged()}
    assert isinstance(by_id[seen], Behavior)
    assert isinstance(by_id[asked], Asked)
    assert isinstance(by_id[answered], Answered)
    assert by_id[seen].values == {"like": pack_floats([1, 0])}  # type: ignore[union-attr]
    assert len({event.user_id for event in by_id.values()}) == 1


def test_a_view_is_asked_about_from_offer_to_answer(tmp_path: Path) -> None:
    with serving(tmp_path, *ALWAYS) as served, Client(served.url) as client:

        def view() -> tuple[str, str, str]:
            fields = a_view(served)
            return fields["user_id"], fields["request_id"], fields["item_id"]

        nothing = client.offer(*view(), play_ms=100, ratio=0.1)
        assert (nothing.show, nothing.reason, nothing.token) == (False, "eligible", None)
        offers = [
            client.offer(*view(), play_ms=400, ratio=0.6, session_id="s", locale="zh-CN") for _ in range(3)
        ]
        assert [offer.show for offer in offers] == [True] * 3
        assert offers[0].question is not None
        assert [option.value for option in offers[0].question.options] == [
            "dissatisfied",
            "uncertain",
            "satisfied",
        ]
        tokens = [str(offer.token) for offer in offers]
        assert (offers[0].locale, client.shown(tokens[0]), client.shown(tokens[0])) == ("zh", True, False)
        assert client.answer(tokens[0], "satisfied", took_ms=1500)
        assert not client.answer(tokens[0], "satisfied", took_ms=1500)
        assert client.dismiss(tokens[1], took_ms=700)
        assert client.ignored(tokens[2])
        with pytest.raises(ClientError, match="409 used: token: the ask was dismissed already"):
            client.answer(tokens[1], "satisfied")
        with pytest.raises(ClientError, match="403 forged"):
            client.shown("made.up")
        kinds = [type(event).__name__ for event in ask_events(served)]
    assert sorted(kinds) == ["Answered", *["Asked"] * 3, "Dismissed", "Ignored", *["Offered"] * 3]


def test_arrays_equal_lists(served: Served) -> None:
    with Client(served.url) as client:
        client.put_items({"a": {"tags": np.array(["x", "y"]), "duration_s": np.float32(12.5)}})
        known = len(served.logged(PROFILES))
        client.put_items({"a": {"tags": ["x", "y"], "duration_s": 12.5}})
        assert len(served.logged(PROFILES)) == known  # it said nothing new
        candidates, ages, topics = ["a", "b"], [0.5, None], [3, 4]
        plain = client.rank(
            "u", candidates, context={"hour": 9}, features={"age_days": ages, "topic": topics}
        )
        columns = {"age_days": np.array([0.5, np.nan], np.float32), "topic": np.array(topics)}
        arrays = client.rank("u", np.array(candidates), context={"hour": np.int64(9)}, features=columns)
        assert (plain.items, plain.scores) == (arrays.items, arrays.scores)
        client.behavior("u", arrays.request_id, np.array(candidates), {"like": np.array([1, 0])})
    requests = [event for event in served.logged() if isinstance(event, Request)]
    assert (requests[0].viewer, requests[0].candidates) == (requests[1].viewer, requests[1].candidates)


def test_raw_columns_are_taken(served: Served) -> None:
    with Client(served.url) as client:
        numbers = client.rank("u", ["a", "b"], features={"duration_s": [3.0, 90.0]})
        raw = client.rank("u", ["a", "b"], features={"duration_s": pack_floats([3.0, 90.0])})
    assert (numbers.items, numbers.scores) == (raw.items, raw.scores)


def test_a_refused_event_is_an_error_of_its_verb_and_an_outcome_of_a_batch(served: Served) -> None:
    with Client(served.url) as client:
        with pytest.raises(ClientError, match=r"1 of 1 refused: .*option: got 'great'; allowed"):
            client.answered("u", "r", "a", "satisfaction", "great", 0.1)
        with pytest.raises(ClientError, match=r"1 of 2 refused: b: features.colour: it is unknown"):
            client.put_items({"a": {}, "b": {"colour": "red"}})
        seen = {"type": "behavior", "user_id": "u", "request_id": "r", "items": ["a"]}
        first, second = client.send([{**seen, "event_id": "mine"}, {**seen, "items": []}])
    assert (first.id, first.is_accepted, second.is_accepted) == ("mine", True, False)
    assert "items: expected `array` of length >= 1" in second.reason


def test_a_refusal_has_status_code_and_message(tmp_path: Path) -> None:
    key = create_key(tmp_path / "keys.json", "viewer", "")
    with serving(tmp_path) as served:
        with Client(served.url, key, retries=0) as client, pytest.raises(ClientError) as caught:
            client.rank("u", ["a"])
        assert (caught.value.status, caught.value.code) == (403, "forbidden")
        with (
            Client(served.url) as client,
            pytest.raises(ClientError, match="401 unauthorized: this needs a valid key"),
        ):
            client.send([])


def test_a_missing_server_is_an_error_after_the_last_attempt() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with Client(url, retries=1) as client, pytest.raises(ClientError, match=rf"unreachable: {url}") as caught:
        client.rank("u", ["a"])
    assert caught.value.status == 0


@contextmanager
def losing_replies(url: str, num: int) -> Iterator[str]:
    """Pass calls on to the service, and lose the replies of the first `num`: the worst for counting."""
    host, port = url.removeprefix("http://").split(":")
    stopping = threading.Event()

    def run() -> None:
        for n in range(1 << 20):
            try:
                caller, _ = listener.accept()
            except OSError:
                return
            with caller, socket.create_connection((host, int(port))) as service:
                caller.settimeout(5)
                request = b""
                while not is_whole(request):
                    request += caller.recv(65536)
                service.sendall(request.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n", 1))
                reply = b"".join(iter(lambda: service.recv(65536), b""))
                if n >= num:
                    caller.sendall(reply)
            if stopping.is_set():
                return

    def is_whole(request: bytes) -> bool:
        head, result, body = request.partition(b"\r\n\r\n")
        sizes = [
            line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
        ]
        return bool(result) and len(body) >= int(sizes[0])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=run)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        stopping.set()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_an_event_whose_reply_was_lost_is_sent_again_and_counted_once(served: Served) -> None:
    with losing_replies(served.url, 2) as url, Client(url) as client:
        event_id = client.behavior("u", "r", ["a"], {"like": [1]})
    assert [event.event_id for event in served.logged()] == [event_id]
    assert served.metric('easq_events_accepted_total{type="behavior"}') == 3, "it did arrive three times"


def test_the_package_stays_cheap_until_the_client_is_asked_for() -> None:
    script = "import easq, sys; assert 'httpx' not in sys.modules; easq.Client; assert 'httpx' in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)
    with pytest.raises(AttributeError, match="no attribute 'Server'"):
        _ = easq.Server  # type: ignore[attr-defined]


def test_impossible_client_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="timeout_s must be positive and retries not negative, got 0, -1"):
        Client("http://127.0.0.1", timeout_s=0, retries=-1)
