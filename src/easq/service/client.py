"""The client of the service: rank, send items, viewers and events, ask viewers.

It makes the ids of events itself and repeats a call with the same ids, so nothing is counted twice.
"""

import random
import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import msgspec
import numpy as np
from numpy.typing import NDArray

from easq.ask.offer import OfferReply
from easq.errors import InputError
from easq.log.ids import time_ordered_id
from easq.service import call_values
from easq.service.client_batches import Make, Outcome, all_accepted, send_in_parts
from easq.service.client_replies import (
    UNREADABLE,
    ClientError,
    decoded,
    explained,
    headers_of,
    without_key,
    without_password,
)
from easq.service.http.ask_messages import AskReply

Value = str | int | float | None | Iterable[str | int] | NDArray[Any] | np.generic
"""A feature's value: a category, a number, None for unknown, or several categories. NaN is unknown too."""

Id = str | int | np.integer[Any]
"""An id: a text, or an integer, whose digits it becomes."""

Number = float | np.number[Any]

T = TypeVar("T")

_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
# Not yet, not now, or a gateway's word that the service did not answer.
_RETRIED = frozenset((408, 425, 429, 502, 503, 504, *range(520, 525)))


class Ranking(msgspec.Struct, frozen=True):
    """Items from best to worst and their scores; `request_id` goes into every event about them."""

    request_id: str
    items: list[str]
    scores: list[float]
    version: str
    arm: str
    logged: bool


class _RankReply(msgspec.Struct):
    """A ranking as it comes; scores are little-endian float32."""

    request_id: str
    items: list[str]
    scores: bytes
    version: str
    arm: str
    logged: bool = True


class _Result(msgspec.Struct):
    reason: str | None = None


class _Results(msgspec.Struct):
    """What became of each entry of a batch, as it comes."""

    results: list[_Result]


class Client:
    """Calls the service at `url`, with `key` if the service has keys; ValueError for a key that is none.

    A call that finds no server, gets no reply within `timeout_s`, a 408, 425, 429, 502, 503, 504, 520 to 524,
    or a 500 that is not the service's own, is repeated up to `retries` times with growing pauses. Threads may
    share a client.

    All verbs take NumPy arrays and scalars, columns of data frames, and generators. A NaN or None is an
    unknown feature; as an id or another number it is refused by its name. Raises ClientError.
    """

    def __init__(self, url: str, key: str = "", *, timeout_s: float = 5.0, retries: int = 4) -> None:
        if timeout_s <= 0 or retries < 0:
            raise ValueError(
                f"timeout_s must be positive and retries not negative, got {timeout_s}, {retries}"
            )
        headers = headers_of(key)
        self._retries, self._url, self._key = retries, without_password(url), key.strip()
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout_s)

    def rank(
        self,
        user_id: Id,
        candidates: Iterable[Id],
        *,
        context: Mapping[str, Value] | None = None,
        features: Mapping[str, Iterable[Value] | bytes] | None = None,
        limit: int | None = None,
        shown: Iterable[Id] | None = None,
    ) -> Ranking:
        """Return the candidates ranked for a viewer, the first `limit` of them if given.

        `context` holds viewer features of this moment, `features[name]` one value per candidate, or raw
        little-endian int64 or float32. If you show candidates in an order of your own, name them in `shown`:
        they are logged instead of the ranking (shadow mode). Raises ClientError.
        """
        with _named():
            call = {
                "user_id": call_values.text_id(user_id, "user_id"),
                "candidates": call_values.text_ids(candidates, "candidates"),
                "context": call_values.named(context, "context"),
                "features": call_values.named(features, "features"),
                "limit": None if limit is None else call_values.whole(limit, "limit"),
                **(
                    {} if shown is None else {"mode": "shadow", "shown": call_values.text_ids(shown, "shown")}
                ),
            }
        reply = self._call("POST", "/v1/rank", call, _RankReply)
        if len(reply.scores) != 4 * len(reply.items):
            raise ClientError(200, UNREADABLE, "the reply has not one score for each item")
        scores = list(struct.unpack(f"<{len(reply.items)}f", reply.scores))
        return Ranking(reply.request_id, reply.items, scores, reply.version, reply.arm, reply.logged)

    def put_items(self, items: Mapping[Any, Mapping[str, Value]]) -> None:
        """Store all features of items, by item id; raise ClientError if an item is refused.

        The others are stored all the same.
        """
        self._put("/v1/items", "item_id", items)

    def put_users(self, users: Mapping[Any, Mapping[str, Value]]) -> None:
        """Store all features of viewers, by user id; raise ClientError if a viewer is refused.

        The others are stored all the same.
        """
        self._put("/v1/users", "user_id", users)

    def behavior(
        self,
        user_id: Id,
        request_id: str,
        items: Iterable[Id],
        values: Mapping[str, Iterable[Number]] | None = None,
        *,
        ts: int | None = None,
    ) -> str:
        """Report which items of a ranking were shown and what was done with them; return the event's id.

        `values[name]` holds one number per item. `ts` is in milliseconds UTC, now if not given. Raises
        ClientError, also if the event is refused.
        """
        done = {} if values is None else values
        event = {"type": "behavior", "request_id": request_id, "items": items, "values": done}
        return self._send_one(user_id, ts, event)

    def asked(
        self,
        user_id: Id,
        request_id: str,
        item_id: Id,
        question: str,
        propensity: Number,
        *,
        ts: int | None = None,
    ) -> str:
        """Report that the platform's own questionnaire was shown on a view; return the event's id."""
        view = {"request_id": request_id, "item_id": item_id}
        ask = {"type": "asked", **view, "question": question, "propensity": propensity}
        return self._send_one(user_id, ts, ask)

    def answered(
        self,
        user_id: Id,
        request_id: str,
        item_id: Id,
        question: str,
        option: str,
        propensity: Number,
        *,
        ts: int | None = None,
    ) -> str:
        """Report which option a viewer chose in the platform's own questionnaire; return the event's id."""
        view = {"request_id": request_id, "item_id": item_id}
        answer = {"question": question, "option": option, "propensity": propensity}
        return self._send_one(user_id, ts, {"type": "answered", **view, **answer})

    def offer(
        self,
        user_id: Id,
        request_id: str,
        item_id: Id,
        *,
        play_ms: Number,
        ratio: Number = 0.0,
        session_id: Id = "",
        locale: str = "",
    ) -> OfferReply:
        """Offer a view to the questionnaire, once it is eligible: what to show, or why nothing.

        A view is decided once, so a repeated call returns the same. `ratio` is the part that was played.
        Raises ClientError.
        """
        ids = {"user_id": user_id, "request_id": request_id, "item_id": item_id, "session_id": session_id}
        with _named():
            call: dict[str, Any] = {name: call_values.text_id(value, name) for name, value in ids.items()}
            call |= {
                "play_ms": call_values.number(play_ms, "play_ms"),
                "ratio": call_values.number(ratio, "ratio"),
                "locale": call_values.plain(locale, "locale"),
            }
        return self._call("POST", "/v1/questionnaire/offer", call, OfferReply)

    def shown(self, token: str) -> bool:
        """Report that a question is on the screen; return whether this was new. Raises ClientError."""
        return self._report("shown", token)

    def answer(self, token: str, option: str, *, took_ms: Number = 0) -> bool:
        """Report the chosen option, `took_ms` after the question appeared, 0 if unknown.

        Returns whether this was new: a repeated report counts once. Raises ClientError.
        """
        return self._report("answer", token, took_ms, option=option)

    def dismiss(self, token: str, *, took_ms: Number = 0) -> bool:
        """Report that the viewer closed the question; return whether this was new. Raises ClientError."""
        return self._report("dismiss", token, took_ms)

    def ignored(self, token: str, *, took_ms: Number = 0) -> bool:
        """Report that the question went away by itself; return whether this was new. Raises ClientError."""
        return self._report("ignored", token, took_ms)

    def send(self, events: Iterable[Mapping[str, Any]]) -> list[Outcome]:
        """Send events as POST /v1/events takes them, in as many calls as that takes.

        Returns what became of each, in order; the others are accepted even if one is refused. Those without
        an `event_id` get one: name it yourself if you would send the same again after a ClientError, which is
        raised when a call failed as a whole. Earlier calls then stand.
        """
        named = (
            {"event_id": time_ordered_id(_now_ms()), **event} if isinstance(event, Mapping) else event
            for event in events
        )
        return self._batch("POST", "/v1/events", "event_id", call_values.event, named)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _put(self, path: str, id_field: str, profiles: Mapping[Any, Mapping[str, Value]]) -> None:
        with _named():
            entries = call_values.entries(profiles, id_field)
        all_accepted(self._batch("PUT", path, id_field, call_values.profile, entries))

    def _send_one(self, user_id: Id, ts: int | None, event: dict[str, Any]) -> str:
        outcomes = self.send([{"user_id": user_id, **event, **({} if ts is None else {"ts": ts})}])
        all_accepted(outcomes)
        return outcomes[0].id

    def _report(self, verb: str, token: str, took_ms: Number = 0, **fields: str) -> bool:
        with _named():
            call = {name: call_values.plain(value, name) for name, value in fields.items()}
            call |= {"token": token, "took_ms": call_values.whole(took_ms, "took_ms")}
        return self._call("POST", f"/v1/questionnaire/{verb}", call, AskReply).status == "accepted"

    def _batch(
        self, method: str, path: str, id_field: str, make: Make, entries: Iterable[Any]
    ) -> list[Outcome]:
        field = path.rpartition("/")[2]

        def post(part: list[msgspec.Raw]) -> list[str]:
            results = self._call(method, path, {field: part}, _Results).results
            if len(results) != len(part):
                raise ClientError(200, UNREADABLE, f"{len(results)} results came for {len(part)} entries")
            return [result.reason or "" for result in results]

        return send_in_parts(entries, make, id_field, post)

    def _call(self, method: str, path: str, body: Any, kind: type[T]) -> T:
        """Return the decoded reply; the body is encoded once, so that every attempt sends the same."""
        try:
            data = msgspec.msgpack.encode(body)
        except (TypeError, ValueError, OverflowError) as error:
            raise ClientError(0, "invalid", str(error)) from None
        for attempt in range(self._retries + 1):
            try:
                reply = self._http.request(method, path, content=data)
            except httpx.RequestError as error:  # also a reply that cannot be unpacked
                why = without_key(f"{self._url}: {error!r}", self._key)
                failure, wait_s = ClientError(0, "unreachable", why), 0.0
            else:
                if reply.status_code == 200:
                    result: T = decoded(reply.content, kind)
                    return result
                failure = explained(reply.status_code, reply.content, self._key)
                wait_s = _retry_after(reply)
                is_gateways = failure.status == 500 and failure.code == UNREADABLE
                if reply.status_code not in _RETRIED and not is_gateways:
                    raise failure
            if attempt == self._retries:
                raise failure
            pause_s = max(wait_s, _PAUSE_S * 2**attempt * random.uniform(0.5, 1.0))
            time.sleep(min(pause_s, _LONGEST_PAUSE_S))
        raise AssertionError("the last attempt returns or raises")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@contextmanager
def _named() -> Iterator[None]:
    """Raise what is wrong with an argument as a ClientError."""
    try:
        yield
    except InputError as error:
        raise ClientError(0, "invalid", str(error)) from None


def _retry_after(reply: httpx.Response) -> float:
    text = reply.headers.get("retry-after", "0")
    return float(text) if text.isascii() and text.isdigit() else 0.0
