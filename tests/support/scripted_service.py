"""A service that can be slow, wrong or gone. It follows the questionnaire's contract and records calls."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any

from easq.recipe.questionnaire import AskSettings
from easq.service.routes.widget import widget_script

QUICK = AskSettings(min_play_ms=500.0, min_ratio=1.0)
QUESTION: dict[str, Any] = {
    "name": "satisfaction",
    "version": "1",
    "text": "Are you satisfied with this video?",
    "options": [
        {"value": "dissatisfied", "label": "Dissatisfied"},
        {"value": "uncertain", "label": "Not sure"},
        {"value": "satisfied", "label": "Satisfied"},
    ],
    "thanks": "Thanks, noted.",
}


@dataclass
class Call:
    """One call as it arrived."""

    verb: str
    body: dict[str, Any]
    authorization: str
    content_type: str


@dataclass
class StandIn:
    """The service's replies and the calls to it. `offer` replaces fields of the next offers."""

    url: str = ""
    rule: AskSettings = QUICK  # of the next pages
    offer: dict[str, Any] = field(default_factory=dict)
    statuses: dict[str, list[int]] = field(default_factory=dict)  # of the next calls of a verb, not 200
    raw: bytes | None = None  # the body of every reply, instead of the contract's
    may_answer: Event = field(default_factory=Event)  # cleared: calls hang
    calls: list[Call] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def bodies(self, verb: str) -> list[dict[str, Any]]:
        """Return the bodies of all calls of one verb."""
        with self.lock:
            return [call.body for call in self.calls if call.verb == verb]

    def answer(self, call: Call) -> tuple[int, bytes]:
        """Record one call and return its reply."""
        with self.lock:
            self.calls.append(call)
            number = sum(1 for c in self.calls if c.verb == call.verb)
            status = self.statuses.get(call.verb, []).pop(0) if self.statuses.get(call.verb) else 200
        self.may_answer.wait()
        if self.raw is not None:
            return status, self.raw
        if status != 200:
            return status, b'{"error":{"code":"unavailable","message":"not now"}}'
        if call.verb != "offer":
            return 200, b'{"status":"accepted"}'
        reply = {"show": True, "reason": "", "question": QUESTION, "locale": "en", "fade_ms": 6000}
        return 200, json.dumps({**reply, "token": f"token-{number}", **self.offer}).encode()


@contextmanager
def stand_in() -> Iterator[StandIn]:
    state = StandIn()
    state.may_answer.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._reply(200, widget_script(state.rule), "text/javascript; charset=utf-8")

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            kind, key = self.headers.get("content-type", ""), self.headers.get("authorization", "")
            status, reply = state.answer(Call(self.path.rpartition("/")[2], body, key, kind))
            self._reply(status, reply, "application/json")

        def _reply(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

        def handle(self) -> None:
            with suppress(ConnectionError):  # the browser did not wait
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield state
    finally:
        state.may_answer.set()
        server.shutdown()
        thread.join()
        server.server_close()
