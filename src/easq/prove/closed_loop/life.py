"""Simulated viewers use a live service for weeks: they rank, watch, act, are asked, answer, return.

Everything goes through the public API. Time is simulated: this side holds the service's clock, so that a
day takes as long as its calls take. Shapes: V visits at once, C candidates, K items watched on a visit.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from easq import AsyncClient, ClientError
from easq.arrays import F32, I64
from easq.home.clock import HeldClock
from easq.prove.closed_loop.true_sums import TrueSums
from easq.sources.world.recording import OPTIONS, QUESTION
from easq.sources.world.simulate import DAY_MS
from easq.sources.world.society import Society, WatchedViews

CANDIDATES, WATCHED = 30, 4
Body = Mapping[str, object]
"""The JSON body of a call."""

_AT_ONCE = 64
_PUT_AT_ONCE = 2000
_SWIPE_MS, _READING_MS = 1_000, 3_000
_BEHAVIORS = ("long_view", "like", "comment", "forward", "follow", "click", "profile_enter", "hate")


class _Visits(NamedTuple):
    """Visits that were ranked together, and are reported when the last of them is over."""

    users: list[str]
    ranked: list[Any]
    watched: WatchedViews
    end_V: list[int]

    @property
    def end_ms(self) -> int:
        return max(self.end_V)


class Life:
    """A society that uses a service; its true satisfaction is added to `truth`.

    On the days they come, viewers visit `visits_per_day` times in the mean. `began_ms` is a midnight.
    `on_visits` is called with visits: the replies, the candidates, and the true satisfaction of each (V, C).
    """

    def __init__(
        self,
        society: Society,
        clock: HeldClock,
        truth: TrueSums,
        visits_per_day: float,
        began_ms: int,
        on_visits: Callable[[list[Any], I64, F32], None],
    ) -> None:
        self._society, self._clock, self._truth = society, clock, truth
        self._per_day, self._began_ms, self._on_visits = visits_per_day, began_ms, on_visits
        self._items_put = 0
        self._watching: deque[_Visits] = deque()
        self.views = self.offers = self.asks = self.answers = 0

    async def live(
        self, client: AsyncClient, days: range, on_progress: Callable[[float], None] = lambda _: None
    ) -> None:
        """Simulate the days that follow those simulated before, with the service behind `client`.

        `on_progress` is called with the days that are over, with fractions. Raises ClientError.
        """
        self._client = client
        for day in days:
            if day:
                self._society.next_day()
            else:
                await self._put_viewers()
            await self._put_items()
            time_V, user_V = self._society.visits(self._per_day)
            for some in _together(user_V.tolist()):
                now_ms = self._began_ms + day * DAY_MS + int(time_V[some][-1])
                await self._end_visits(now_ms)
                await self._begin_visits(now_ms, user_V[some])
                on_progress(day + some.stop / len(user_V))
        await self._end_visits()

    async def _put_viewers(self) -> None:
        viewers = self._society.viewers
        entries = [
            {"user_id": f"u{n}", "features": {"segment": segment, "device": device}}
            for n, (segment, device) in enumerate(
                zip(viewers.segment_U.tolist(), viewers.device_U.tolist(), strict=True)
            )
        ]
        await self._put("users", entries)

    async def _put_items(self) -> None:
        """Put the items that are new since the last day."""
        items = self._society.catalogue
        new = range(self._items_put, len(items.topic_I))
        entries = [
            {
                "item_id": f"i{n}",
                "features": {
                    "author_id": int(items.author_I[n]),
                    "topic": int(items.topic_I[n]),
                    "style": int(items.style_I[n]),
                    "tags": items.tags_I[n].tolist(),
                    "duration_s": float(items.duration_s_I[n]),
                },
            }
            for n in new
        ]
        await self._put("items", entries)
        self._items_put = new.stop

    async def _put(self, side: str, entries: Sequence[Body]) -> None:
        for start in range(0, len(entries), _PUT_AT_ONCE):
            reply = await self._client.call(
                "PUT", f"/v1/{side}", {side: entries[start : start + _PUT_AT_ONCE]}
            )
            _all_accepted(reply)

    async def _begin_visits(self, now_ms: int, user_V: I64) -> None:
        """Rank for some viewers who come at about the same time. Their visits end when all is played."""
        self._move_to(now_ms)
        item_VC = self._society.candidates_of(user_V, CANDIDATES)
        hour = now_ms // 3_600_000 % 24
        users = [f"u{user}" for user in user_V.tolist()]
        ranked = await self._client.post_all(
            "/v1/rank",
            (
                {
                    "user_id": user,
                    "candidates": [f"i{item}" for item in items],
                    "context": {"hour": hour},
                    "limit": WATCHED,
                }
                for user, items in zip(users, item_VC.tolist(), strict=True)
            ),
        )
        self._on_visits(ranked, item_VC, self._society.satisfaction_of(user_V, item_VC))
        item_VK = np.array([[int(item[1:]) for item in reply["items"]] for reply in ranked])
        watched = self._society.watch(user_V, item_VK)
        self.views += item_VK.size
        self._truth.add(
            (now_ms - self._began_ms) // DAY_MS,
            user_V,
            [reply["arm"] for reply in ranked],
            watched.satisfaction_VK,
        )
        end_V = self._clock.now_ms() + (watched.play_ms_VK + _SWIPE_MS).sum(1)
        self._watching.append(_Visits(users, ranked, watched, end_V.tolist()))

    async def _end_visits(self, until_ms: int | None = None) -> None:
        """Report the visits that are over by then, in the order of their begin; None: wait for all."""
        while self._watching and (until_ms is None or self._watching[0].end_ms <= until_ms):
            visits = self._watching.popleft()
            self._move_to(visits.end_ms)
            await self._report(visits)
            await self._ask(visits)

    def _move_to(self, now_ms: int) -> None:
        self._clock.set(max(now_ms, self._clock.now_ms()))

    async def _report(self, visits: _Visits) -> None:
        """Report views and behavior, each visit with the time at which it ended."""
        users, ranked, watched, end_V = visits

        def event(v: int) -> Body:
            values = {name: watched.did[name][v].astype(float).tolist() for name in _BEHAVIORS}
            values["play_ms"] = watched.play_ms_VK[v].astype(float).tolist()
            return {
                "type": "behavior",
                "ts": end_V[v],
                "event_id": f"{ranked[v]['request_id']}b",
                "user_id": users[v],
                "request_id": ranked[v]["request_id"],
                "items": ranked[v]["items"],
                "values": values,
            }

        _all_accepted(
            await self._client.call("POST", "/v1/events", {"events": [event(v) for v in range(len(users))]})
        )

    async def _ask(self, visits: _Visits) -> None:
        """Offer every view, as the widget would; show the questions that come up, and answer some."""
        users, ranked, watched, _ = visits
        views = [(v, k) for v in range(len(users)) for k in range(WATCHED) if _is_long(watched, v, k)]
        offers = await self._client.post_all(
            "/v1/questionnaire/offer",
            (
                {
                    "user_id": users[v],
                    "request_id": ranked[v]["request_id"],
                    "item_id": ranked[v]["items"][k],
                    "play_ms": float(watched.play_ms_VK[v, k]),
                    "ratio": float(min(watched.ratio_VK[v, k], 1.0)),
                }
                for v, k in views
            ),
        )
        asked = [(view, offer) for view, offer in zip(views, offers, strict=True) if offer["show"]]
        self.offers, self.asks = self.offers + len(views), self.asks + len(asked)
        if not asked:
            return
        await self._client.post_all(
            "/v1/questionnaire/shown", ({"token": offer["token"]} for _, offer in asked)
        )
        self._move_to(self._clock.now_ms() + _READING_MS)
        answers = [
            {"token": offer["token"], "option": OPTIONS[option], "took_ms": _READING_MS}
            for (v, k), offer in asked
            if (option := int(watched.option_VK[v, k])) >= 0 and offer["question"]["name"] == QUESTION
        ]
        await self._client.post_all("/v1/questionnaire/answer", answers)
        self.answers += len(answers)


def _together(users: Sequence[int]) -> Iterator[slice]:
    """Yield which visits are simulated together: a few in a row, and no viewer twice at one time.

    >>> [(some.start, some.stop) for some in _together([1, 2, 1, 3])]
    [(0, 2), (2, 4)]
    """
    start, here = 0, set[int]()
    for place, user in enumerate(users):
        if user in here or len(here) == _AT_ONCE:
            yield slice(start, place)
            start, here = place, set()
        here.add(user)
    if here:
        yield slice(start, len(users))


def _is_long(watched: WatchedViews, v: int, k: int) -> bool:
    return bool(watched.play_ms_VK[v, k] >= 7000 or watched.ratio_VK[v, k] >= 0.5)


def _all_accepted(reply: Any) -> None:
    if reply["refused"]:
        reasons = [result["reason"] for result in reply["results"] if result["status"] == "refused"]
        raise ClientError(200, "refused", f"{reply['refused']} entries were refused, the first: {reasons[0]}")
