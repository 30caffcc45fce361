"""Simulated viewers use a live service for weeks: they rank, watch, act, are asked, answer, return.

Everything goes through the public API. Time is simulated: this side holds the service's clock, so that a
day takes as long as its calls take. Shapes: V visits at once, C candidates, K items watched on a visit.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

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
_VIEW_MS, _READING_MS = 20_000, 3_000
_BEHAVIORS = ("long_view", "like", "comment", "forward", "follow", "click", "profile_enter", "hate")


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
            for start in range(0, len(user_V), _AT_ONCE):
                some = slice(start, start + _AT_ONCE)
                await self._visit(day, time_V[some], user_V[some])
                on_progress(day + min(1.0, (start + _AT_ONCE) / max(len(user_V), 1)))

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

    async def _visit(self, day: int, time_V: I64, user_V: I64) -> None:
        """Simulate some visits that begin at about the same time."""
        now_ms = self._began_ms + day * DAY_MS + int(time_V[-1])
        self._move_to(now_ms)
        item_VC = self._society.candidates_of(user_V, CANDIDATES)
        hour = now_ms // 3_600_000 % 24
        ranked = await self._client.post_all(
            "/v1/rank",
            (
                {
                    "user_id": f"u{user}",
                    "candidates": [f"i{item}" for item in items],
                    "context": {"hour": hour},
                    "limit": WATCHED,
                }
                for user, items in zip(user_V.tolist(), item_VC.tolist(), strict=True)
            ),
        )
        self._on_visits(ranked, item_VC, self._society.satisfaction_of(user_V, item_VC))
        item_VK = np.array([[int(item[1:]) for item in reply["items"]] for reply in ranked])
        watched = self._society.watch(user_V, item_VK)
        self.views += item_VK.size
        self._truth.add(day, user_V, [reply["arm"] for reply in ranked], watched.satisfaction_VK)
        self._move_to(now_ms + WATCHED * _VIEW_MS)
        users = [f"u{user}" for user in user_V.tolist()]
        await self._report(users, ranked, watched)
        await self._ask(users, ranked, watched)

    def _move_to(self, now_ms: int) -> None:
        self._clock.set(max(now_ms, self._clock.now_ms()))

    async def _report(self, users: list[str], ranked: list[Any], watched: WatchedViews) -> None:
        """Report views and behavior, visit by visit."""

        def event(v: int) -> Body:
            values = {name: watched.did[name][v].astype(float).tolist() for name in _BEHAVIORS}
            values["play_ms"] = watched.play_ms_VK[v].astype(float).tolist()
            return {
                "type": "behavior",
                "event_id": f"{ranked[v]['request_id']}b",
                "user_id": users[v],
                "request_id": ranked[v]["request_id"],
                "items": ranked[v]["items"],
                "values": values,
            }

        for reply in await self._client.post_all(
            "/v1/events", ({"events": [event(v)]} for v in range(len(users)))
        ):
            _all_accepted(reply)

    async def _ask(self, users: list[str], ranked: list[Any], watched: WatchedViews) -> None:
        """Offer every view, as the widget would; show the questions that come up, and answer some."""
        views = [(v, k) for v in range(len(users)) for k in range(WATCHED) if _is_long(watched, v, k)]
        offers = await self._client.post_all(
            "/v1/questionnaire/offer",
            (
                {
                    "user_id": users[v],
                    "request_id": ranked[v]["request_id"],
                    "item_id": ranked[v]["items"][k],
                    # A visit takes no longer on the clock, however long its views are.
                    "play_ms": float(min(watched.play_ms_VK[v, k], WATCHED * _VIEW_MS)),
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


def _is_long(watched: WatchedViews, v: int, k: int) -> bool:
    return bool(watched.play_ms_VK[v, k] >= 7000 or watched.ratio_VK[v, k] >= 0.5)


def _all_accepted(reply: Any) -> None:
    if reply["refused"]:
        reasons = [result["reason"] for result in reply["results"] if result["status"] == "refused"]
        raise ClientError(200, "refused", f"{reply['refused']} entries were refused, the first: {reasons[0]}")
