"""A client of the service: rank, tell what items and viewers are, say what viewers did, ask them.

It makes the ids of events itself and repeats a call with the same ids, so nothing is counted twice.
"""

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

Value = str | int | float | None | Sequence[str | int] | NDArray[Any] | np.generic
"""A feature's value: categorical, number, unknown, multi-valued. NaN in an array is unknown."""

_PACKED = "application/msgpack"
_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
_AGAIN = (429, 503)
_SHOWN = 3  # reasons that a message holds


class ClientError(Exception):
    """A call was not done. `status` is that of the reply, 0 where there was none."""

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
    """What became of one entry of a batch; `reason` is empty when it was accepted."""

    id: str
    reason: str

    @property
    def is_accepted(self) -> bool:
        """Say whether the entry is kept."""
        return not self.reason


class Client:
    """Calls the service at `url`, with `key` where it asks for one.

    A call that finds no server, no answer within `timeout_s`, or a 429 or 503, is repeated `retries` times
    with growing pauses. May be shared by threads.
    """

    def __init__(self, url: str, key: str = "", *, timeout_s: float = 5.0, retries: int = 4) -> None:
        if timeout_s <= 0 or retries < 0:
            raise ValueError(
                f"timeout_s must be positive and retries not negative, got {timeout_s}, {retries}"
            )
        headers = {"content-type": _PACKED, "accept": _PACKED}
        if key:
            headers["authorization"] = f"Bearer {key}"
        self._retries = retries
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout_s)

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
        found = self._call("POST", "/v1/rank", call)
        scores = found["scores"]
        found["scores"] = list(struct.unpack(f"<{len(scores) // 4}f", scores))
        return msgspec.convert(found, Ranking)

    def put_items(self, items: Mapping[str, Mapping[str, Value]]) -> None:
        """Tell all that is known of items, features by item id; raise ClientError if one is refused."""
        entries = [{"item_id": key, "features": _plain(values)} for key, values in items.items()]
        _all_accepted(self._batch("PUT", "/v1/items", "items", "item_id", entries))

    def put_users(self, users: Mapping[str, Mapping[str, Value]]) -> None:
        """Tell all that is known of viewers, features by user id; raise ClientError if one is refused."""
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
        """Say which items of a ranking were shown and what was done with them; return the event's id.

        `values[name]` holds one number per item. `ts` is in milliseconds UTC, now if not given. Raises
        ClientError, also where the event is refused.
        """
        numbers = {name: [float(x) for x in column] for name, column in (values or {}).items()}
        event = {"type": "behavior", "request_id": request_id, "items": _plain(items), "values": numbers}
        return self._say(user_id, ts, event)

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
        """Say that the platform's own questionnaire was shown on a view; return the event's id."""
        view = {"request_id": request_id, "item_id": item_id}
        return self._say(
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
        """Say which option a viewer chose; return the event's id."""
        view = {"request_id": request_id, "item_id": item_id}
        said = {"question": question, "option": option, "propensity": float(propensity)}
        return self._say(user_id, ts, {"type": "answered", **view, **said})

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

        The same view is decided once, so a repeated call says the same. `ratio` is the part that was played.
        Raises ClientError.
        """
        view = {"user_id": user_id, "request_id": request_id, "item_id": item_id}
        watched = {"play_ms": float(play_ms), "ratio": float(ratio)}
        call = {**view, **watched, "session_id": session_id, "locale": locale}
        return msgspec.convert(self._call("POST", "/v1/questionnaire/offer", call), OfferReply)

    def shown(self, token: str) -> bool:
        """Say that a question is on the screen; return whether this was news. Raises ClientError."""
        return self._report("shown", token)

    def answer(self, token: str, option: str, *, took_ms: int = 0) -> bool:
        """Say which option was chosen, `took_ms` after the question appeared, 0 if unknown.

        Returns whether this was news: said twice it counts once. Raises ClientError.
        """
        return self._report("answer", token, option=option, took_ms=took_ms)

    def dismiss(self, token: str, *, took_ms: int = 0) -> bool:
        """Say that the viewer closed the question; return whether this was news. Raises ClientError."""
        return self._report("dismiss", token, took_ms=took_ms)

    def ignored(self, token: str, *, took_ms: int = 0) -> bool:
        """Say that the question went away by itself; return whether this was news. Raises ClientError."""
        return self._report("ignored", token, took_ms=took_ms)

    def send(self, events: Iterable[Mapping[str, Any]]) -> list[Outcome]:
        """Send a batch of events as POST /v1/events takes them; those without an `event_id` get one.

        Returns what became of each, in order: one that is refused does not hold up the others. Raises
        ClientError where the batch as a whole could not be taken.
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

    def _say(self, user_id: str, ts: int | None, event: dict[str, Any]) -> str:
        outcomes = self.send([{"user_id": user_id, **event, **({} if ts is None else {"ts": ts})}])
        _all_accepted(outcomes)
        return outcomes[0].id

    def _report(self, verb: str, token: str, **said: Any) -> bool:
        found = self._call("POST", f"/v1/questionnaire/{verb}", {"token": token, **said})
        return bool(found["status"] == "accepted")

    def _batch(
        self, method: str, path: str, field: str, id_field: str, entries: list[dict[str, Any]]
    ) -> list[Outcome]:
        found = self._call(method, path, {field: entries})
        given = [str(entry[id_field]) for entry in entries]
        return [Outcome(i, r.get("reason", "")) for i, r in zip(given, found["results"], strict=True)]

    def _call(self, method: str, path: str, body: Any) -> Any:
        """Return the decoded reply; the body is encoded once, so that every attempt says the same."""
        data = msgspec.msgpack.encode(body)
        for attempt in range(self._retries + 1):
            try:
                reply = self._http.request(method, path, content=data)
            except httpx.TransportError as error:
                failure, wait_s = ClientError(0, "unreachable", f"{self._http.base_url}: {error!r}"), 0.0
            else:
                if reply.status_code == 200:
                    return _decoded(reply)
                failure, wait_s = _explained(reply), _retry_after(reply)
                if reply.status_code not in _AGAIN:
                    raise failure
            if attempt == self._retries:
                raise failure
            pause_s = max(wait_s, _PAUSE_S * 2**attempt * random.uniform(0.5, 1.0))
            time.sleep(min(pause_s, _LONGEST_PAUSE_S))
        raise AssertionError("the last attempt returns or raises")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _plain(values: Any) -> Any:
    """Return values with arrays as lists, and NaN in them as unknown."""
    if isinstance(values, Mapping):
        return {name: _plain(value) for name, value in values.items()}
    if isinstance(values, np.ndarray | np.generic):
        found = np.asarray(values)
        if found.dtype.kind == "f":
            found, is_unknown = found.astype(object), np.isnan(found)
            found[is_unknown] = None
        return found.tolist()
    return list(map(_plain, values)) if isinstance(values, list | tuple) else values


def _decoded(reply: httpx.Response) -> Any:
    try:
        return msgspec.msgpack.decode(reply.content)
    except msgspec.DecodeError:
        message = "the reply is not MessagePack; is this the address of an easq service?"
        raise ClientError(reply.status_code, "unreadable", message) from None


def _explained(reply: httpx.Response) -> ClientError:
    try:
        error = msgspec.json.decode(reply.content, type=dict[str, dict[str, str]])["error"]
        return ClientError(reply.status_code, error["code"], error["message"])
    except (ValueError, KeyError):
        return ClientError(reply.status_code, "unreadable", reply.text[:200])


def _retry_after(reply: httpx.Response) -> float:
    text = reply.headers.get("retry-after", "0")
    return float(text) if text.isascii() and text.isdigit() else 0.0


def _all_accepted(outcomes: list[Outcome]) -> None:
    refused = [outcome for outcome in outcomes if not outcome.is_accepted]
    if refused:
        shown = "; ".join(f"{outcome.id}: {outcome.reason}" for outcome in refused[:_SHOWN])
        more = f"; and {len(refused) - _SHOWN} more" if len(refused) > _SHOWN else ""
        raise ClientError(200, "refused", f"{len(refused)} of {len(outcomes)} refused: {shown}{more}")
