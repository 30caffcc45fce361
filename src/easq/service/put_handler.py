"""PUT /v1/items and /v1/users: check entries, log those that are new, wait until rankings read them."""

import asyncio
from collections.abc import Callable, Sequence

from msgspec import Raw

from easq.errors import InputError
from easq.home.clock import NowMs
from easq.log.events import PROFILES, ItemUpdate, ProfileUpdate, ViewerUpdate
from easq.log.ids import time_ordered_id
from easq.log.packing import Column
from easq.recipe.recipe import Recipe
from easq.recipe.values import Side
from easq.service.counters import ServiceCounters
from easq.service.feature_values import FeaturePacker
from easq.service.http.error_replies import too_large, unavailable
from easq.service.http.formats import Formats
from easq.service.http.messages import (
    JSON,
    MSGPACK,
    BatchReply,
    Format,
    ItemPut,
    ItemsCall,
    Result,
    UserPut,
    UsersCall,
    batch_reply,
    check_names,
    entry_id,
)
from easq.service.log_follower import LogFollower
from easq.service.log_writer import LogWriter
from easq.service.readiness import Readiness

IsKnown = Callable[[ProfileUpdate], bool]
"""Returns whether the profiles hold all of an update already."""


class PutHandler:
    """Takes the calls about one side: items (`candidate`) or viewers (`viewer`)."""

    def __init__(
        self,
        recipe: Recipe,
        is_known: IsKnown,
        writer: LogWriter,
        follower: LogFollower,
        readiness: Readiness,
        metrics: ServiceCounters,
        now_ms: NowMs,
        side: Side,
    ) -> None:
        self._packer, self._is_known = FeaturePacker(recipe.features, side), is_known
        self._writer, self._follower, self._readiness = writer, follower, readiness
        self._metrics, self._now_ms = metrics, now_ms
        self._max_entries, self._wait_s = recipe.service.max_puts, recipe.service.log_wait_seconds
        self._name, self._id_field = ("items", "item_id") if side == "candidate" else ("users", "user_id")
        kind = ItemPut if side == "candidate" else UserPut
        self._readers = {form: form.reader(kind) for form in (JSON, MSGPACK)}

    async def put(self, call: ItemsCall | UsersCall, formats: Formats) -> BatchReply:
        """Store the entries of a call; raise Refusal."""
        entries = call.items if isinstance(call, ItemsCall) else call.users
        if len(entries) > self._max_entries:
            allowed = f"{self._max_entries} (service.max_puts)"
            raise too_large(f"{self._name}: got {len(entries)}; allowed in one call: {allowed}")
        if not self._follower.caught_up:
            raise self._readiness.refusal()
        results, updates = self._check(entries, formats.body, self._now_ms())
        positions = await self._writer.append(PROFILES, updates)
        try:
            async with asyncio.timeout(self._wait_s):
                await self._follower.reached(PROFILES, positions)
        except TimeoutError:
            message = "it is written, but rankings do not read it yet; the same call may be made again"
            raise unavailable("not_applied", message) from None
        for result in results:
            self._metrics.puts.labels(self._name, result.status).inc()
        return batch_reply(results)

    def _check(
        self, entries: Sequence[Raw], body_format: Format, now_ms: int
    ) -> tuple[list[Result], list[ProfileUpdate]]:
        """Return a result per entry, and the updates to be logged: those that are not known already."""
        results: list[Result] = []
        updates: list[ProfileUpdate] = []
        latest: dict[str, dict[str, Column]] = {}
        for entry in entries:
            try:
                key, columns = self._read(entry, body_format)
            except InputError as error:
                bad_id = entry_id(entry, body_format, self._id_field)
                results.append(Result(status="refused", reason=str(error), **{self._id_field: bad_id}))
                continue
            update = self._update(key, columns, now_ms)
            # An entry of this call is not in the profiles yet.
            if not (latest[key] == columns if key in latest else self._is_known(update)):
                updates.append(update)
                latest[key] = columns
            results.append(Result(status="accepted", **{self._id_field: key}))
        return results, updates

    def _read(self, entry: Raw, body_format: Format) -> tuple[str, dict[str, Column]]:
        put = self._readers[body_format].read(entry)
        key: str = getattr(put, self._id_field)
        check_names(self._id_field, key)
        return key, self._packer.pack(put.features, body_format)

    def _update(self, key: str, columns: dict[str, Column], now_ms: int) -> ProfileUpdate:
        event_id = time_ordered_id(now_ms)
        if self._id_field == "user_id":
            return ViewerUpdate(event_id=event_id, user_id=key, ts=now_ms, values=columns)
        return ItemUpdate(event_id=event_id, user_id="", item_id=key, ts=now_ms, values=columns)
