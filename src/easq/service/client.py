"""Clients of the service: rank, send items, viewers and events, ask viewers.

`Client` is for applications. It makes the ids of events itself and repeats a call with the same ids, so
nothing is counted twice. `AsyncClient` is for simulations and load tests on the same machine.
"""

import asyncio
import random
import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self

import httpx
import msgspec
import numpy as np
from numpy.typing import NDArray

from easq.ask.offer import OfferReply
from easq.log.ids import time_ordered_id
from easq.service.http.connection import Connection, http_request

Value = str | int | float | None | Sequence[str | int] | NDArray[Any] | np.generic
"""A feature's value: a category, a number, None for unknown, or several categories. NaN is unknown too."""

_HEADERS = {"content-type": "application/msgpack", "accept": "application/msgpack"}
_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
_RETRIED = (429, 503)
_MAX_REASONS = 3  # in a message


class ClientError(Exception):
    """A call failed. `status` is the reply's, or 0 if there was no reply."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}" if status else f"{code}: {message}")
        self.status, self.code, self.message = status, code, message


class Ranking(msgspec.Struct, frozen=True):
    """Items from best to worst and their scores; `request_id` goes into every event about them."""

    request_id: str
    items: list[str]
    scores: list[float]
    version: str
    arm: str
    logged: bool


class Outcome(NamedTuple):
    """What became of one entry of a batch; `reason` is empty if it was accepted."""

    id: str
    reason: str

    @property
    def is_accepted(self) -> bool:
        """Return whether the entry was accepted."""
        return not self.reason


class Client:
    """Calls the service at `url`, with `key` if the service has keys.

    A call that finds no server, gets no reply within `timeout_s`, or gets a 429 or 503, is repeated up to
    `retries` times with growing pauses. Threads may share a client.
    """

    def __init__(self, url: str, key: str = "", *, timeout_s: float = 5.0, retries: int = 4) -> None:
        if timeout_s <= 0 or retries < 0:
            raise ValueError(
                f"timeout_s must be positive and retries not negative, got {timeout_s}, {retries}"
            )
        self._retries = retries
        self._http = httpx.Client(base_url=url, headers=_headers(key), timeout=timeout_s)

    def rank(
        self,
        user_id: str,
        candidates: Sequence[str],
        *,
        context: Mapping[str, Value] | None = None,
        features: Mapping[str, Sequence[Value] | NDArray[Any] | bytes] | None = None,
        limit: int | None = None,
    ) -> Ranking:
        """Return the candidates ranked for a viewer, the first `limit` of them if given.

        `context` holds viewer features of this moment, `features[name]` one value per candidate, or raw
        little-endian int64 or float32. Raises ClientError.
        """
        call = {
            "user_id": user_id,
            "candidates": _plain(candidates),
            "context": _plain(context or {}),
            "features": _plain(features or {}),
            "limit": limit,
        }
        reply = self._call("POST", "/v1/rank", call)
        scores = reply["scores"]
        reply["scores"] = list(struct.unpack(f"<{len(scores) // 4}f", scores))
        return msgspec.convert(reply, Ranking)

    def put_items(self, items: Mapping[str, Mapping[str, Value]]) -> None:
        """Store all features of items, by item id; raise ClientError if an item is refused."""
        entries = [{"item_id": key, "features": _plain(values)} for key, values in items.items()]
        _all_accepted(self._batch("PUT", "/v1/items", "items", "item_id", entries))

    def put_users(self, users: Mapping[str, Mapping[str, Value]]) -> None:
        """Store all features of viewers, by user id; raise ClientError if a viewer is refused."""
        entries = [{"user_id": key, "features": _plain(values)} for key, values in users.items()]
        _all_accepted(self._batch("PUT", "/v1/users", "users", "user_id", entries))

    def behavior(
        self,
        user_id: str,
        request_id: str,
        items: Sequence[str],
        values: Mapping[str, Sequence[float]] | None = None,
        *,
        ts: int | None = None,
    ) -> str:
        """Report which items of a ranking were shown and what was done with them; return the event's id.

        `values[name]` holds one number per item. `ts` is in milliseconds UTC, now if not given. Raises
        ClientError, also if the event is refused.
        """
        numbers = {name: [float(x) for x in column] for name, column in (values or {}).items()}
        event = {"type": "behavior", "request_id": request_id, "items": _plain(items), "values": numbers}
        return self._send_one(user_id, ts, event)

    def asked(
        self,
        user_id: str,
        request_id: str,
        item_id: str,
        question: str,
        propensity: float,
        *,
        ts: int | None = None,
    ) -> str:
        """Report that the platform's own questionnaire was shown on a view; return the event's id."""
        view = {"request_id": request_id, "item_id": item_id}
        return self._send_one(
            user_id, ts, {"type": "asked", **view, "question": question, "propensity": float(propensity)}
        )

    def answered(
        self,
        user_id: str,
        request_id: str,
        item_id: str,
        question: str,
        option: str,
        propensity: float,
        *,
        ts: int | None = None,
    ) -> str:
        """Report which option a viewer chose in the platform's own questionnaire; return the event's id."""
        view = {"request_id": request_id, "item_id": item_id}
        answer = {"question": question, "option": option, "propensity": float(propensity)}
        return self._send_one(user_id, ts, {"type": "answered", **view, **answer})

    def offer(
        self,
        user_id: str,
        request_id: str,
        item_id: str,
        *,
        play_ms: float,
        ratio: float = 0.0,
        session_id: str = "",
        locale: str = "",
    ) -> OfferReply:
        """Offer a view to the questionnaire, once it is eligible: what to show, or why nothing.

        A view is decided once, so a repeated call returns the same. `ratio` is the part that was played.
        Raises ClientError.
        """
        view = {"user_id": user_id, "request_id": request_id, "item_id": item_id}
        watched = {"play_ms": float(play_ms), "ratio": float(ratio)}
        call = {**view, **watched, "session_id": session_id, "locale": locale}
        return msgspec.convert(self._call("POST", "/v1/questionnaire/offer", call), OfferReply)

    def shown(self, token: str) -> bool:
        """Report that a question is on the screen; return whether this was new. Raises ClientError."""
        return self._report("shown", token)

    def answer(self, token: str, option: str, *, took_ms: int = 0) -> bool:
        """Report the chosen option, `took_ms` after the question appeared, 0 if unknown.

        Returns whether this was new: a repeated report counts once. Raises ClientError.
        """
        return self._report("answer", token, option=option, took_ms=took_ms)

    def dismiss(self, token: str, *, took_ms: int = 0) -> bool:
        """Report that the viewer closed the question; return whether this was new. Raises ClientError."""
        return self._report("dismiss", token, took_ms=took_ms)

    def ignored(self, token: str, *, took_ms: int = 0) -> bool:
        """Report that the question went away by itself; return whether this was new. Raises ClientError."""
        return self._report("ignored", token, took_ms=took_ms)

    def send(self, events: Iterable[Mapping[str, Any]]) -> list[Outcome]:
        """Send a batch of events as POST /v1/events takes them; those without an `event_id` get one.

        Returns what became of each, in order; the others are accepted even if one is refused. Raises
        ClientError if the batch as a whole failed.
        """
        named = [{"event_id": time_ordered_id(_now_ms()), **event} for event in events]
        return self._batch("POST", "/v1/events", "events", "event_id", named)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send_one(self, user_id: str, ts: int | None, event: dict[str, Any]) -> str:
        outcomes = self.send([{"user_id": user_id, **event, **({} if ts is None else {"ts": ts})}])
        _all_accepted(outcomes)
        return outcomes[0].id

    def _report(self, verb: str, token: str, **fields: str | int) -> bool:
        reply = self._call("POST", f"/v1/questionnaire/{verb}", {"token": token, **fields})
        return bool(reply["status"] == "accepted")

    def _batch(
        self, method: str, path: str, field: str, id_field: str, entries: list[dict[str, Any]]
    ) -> list[Outcome]:
        results = self._call(method, path, {field: entries})["results"]
        ids = [str(entry[id_field]) for entry in entries]
        return [Outcome(i, result.get("reason", "")) for i, result in zip(ids, results, strict=True)]

    def _call(self, method: str, path: str, body: Any) -> Any:
        """Return the decoded reply; the body is encoded once, so that every attempt sends the same."""
        data = msgspec.msgpack.encode(body)
        for attempt in range(self._retries + 1):
            try:
                reply = self._http.request(method, path, content=data)
            except httpx.TransportError as error:
                failure, wait_s = ClientError(0, "unreachable", f"{self._http.base_url}: {error!r}"), 0.0
            else:
                if reply.status_code == 200:
                    return _decoded(reply.content)
                failure, wait_s = _explained(reply.status_code, reply.content), _retry_after(reply)
                if reply.status_code not in _RETRIED:
                    raise failure
            if attempt == self._retries:
                raise failure
            pause_s = max(wait_s, _PAUSE_S * 2**attempt * random.uniform(0.5, 1.0))
            time.sleep(min(pause_s, _LONGEST_PAUSE_S))
        raise AssertionError("the last attempt returns or raises")


class AsyncClient:
    """Calls the service at `url` over `connections` kept-alive connections, which calls take in turn.

    A call takes about 15 us of this process on uvloop; an HTTP library for everything takes a hundred times
    as long. There is no TLS, and nothing is repeated: a call that fails, or gets no reply within
    `timeout_s`, raises ClientError.
    """

    def __init__(self, url: str, key: str = "", *, connections: int = 32, timeout_s: float = 30.0) -> None:
        address = httpx.URL(url)
        if address.scheme != "http":
            raise ValueError(f"url: got {url!r}; allowed: an address that begins with http://")
        self._url, self._timeout_s = url, timeout_s
        self._headers = {"host": address.netloc.decode(), **_headers(key)}
        self._connections = [Connection(address.host, address.port or 80) for _ in range(connections)]
        self._idle: asyncio.Queue[Connection] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        for connection in self._connections:
            await connection.open()
            self._idle.put_nowait(connection)
        return self

    async def __aexit__(self, *_: object) -> None:
        for connection in self._connections:
            await connection.close()

    async def call(self, method: str, path: str, body: object) -> Any:
        """Make one call and return the decoded reply; raise ClientError."""
        request = http_request(method, path, self._headers, msgspec.msgpack.encode(body))
        connection = await self._idle.get()
        try:
            async with asyncio.timeout(self._timeout_s):
                status, reply = await connection.send(request)
        except (OSError, EOFError, ValueError) as error:
            await connection.close()
            raise ClientError(0, "unreachable", f"{self._url}: {error!r}") from None
        finally:
            self._idle.put_nowait(connection)
        if status != 200:
            raise _explained(status, reply)
        return _decoded(reply)

    async def post_all(self, path: str, bodies: Iterable[object]) -> list[Any]:
        """Post all bodies, as many at once as there are connections; return the replies in order."""
        return await asyncio.gather(*(self.call("POST", path, body) for body in bodies))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _plain(values: Any) -> Any:
    """Return values with arrays as lists, and NaN in them as unknown."""
    if isinstance(values, Mapping):
        return {name: _plain(value) for name, value in values.items()}
    if isinstance(values, np.ndarray | np.generic):
        array = np.asarray(values)
        if array.dtype.kind == "f":
            array, is_unknown = array.astype(object), np.isnan(array)
            array[is_unknown] = None
        return array.tolist()
    return list(map(_plain, values)) if isinstance(values, list | tuple) else values


def _headers(key: str) -> dict[str, str]:
    return _HEADERS | ({"authorization": f"Bearer {key}"} if key else {})


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.msgpack.decode(body)
    except msgspec.DecodeError:
        message = "the reply is not MessagePack; is this the address of an easq service?"
        raise ClientError(200, "unreadable", message) from None


def _explained(status: int, body: bytes) -> ClientError:
    try:
        error = msgspec.json.decode(body, type=dict[str, dict[str, str]])["error"]
        return ClientError(status, error["code"], error["message"])
    except (ValueError, KeyError):
        return ClientError(status, "unreadable", body.decode(errors="replace")[:200])


def _retry_after(reply: httpx.Response) -> float:
    text = reply.headers.get("retry-after", "0")
    return float(text) if text.isascii() and text.isdigit() else 0.0


def _all_accepted(outcomes: list[Outcome]) -> None:
    refused = [outcome for outcome in outcomes if not outcome.is_accepted]
    if refused:
        reasons = "; ".join(f"{outcome.id}: {outcome.reason}" for outcome in refused[:_MAX_REASONS])
        more = f"; and {len(refused) - _MAX_REASONS} more" if len(refused) > _MAX_REASONS else ""
        raise ClientError(200, "refused", f"{len(refused)} of {len(outcomes)} refused: {reasons}{more}")
