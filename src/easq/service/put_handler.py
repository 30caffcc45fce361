"""Items and viewers told by the platform: checked, logged where they are new, applied."""

from collections.abc import Callable, Sequence

from msgspec import Raw

from easq.errors import InputError
from easq.log.events import ItemUpdate, ProfileUpdate, ViewerUpdate
from easq.log.ids import time_ordered_id
from easq.log.packing import Column
from easq.recipe.features import Feature
from easq.recipe.values import Side
from easq.service.http.messages import JSON, MSGPACK, Format, ItemPut, Result, UserPut, check_ids, named
from easq.service.values import ValueReader

Knows = Callable[[ProfileUpdate], bool]
"""Says whether the profiles hold all this already."""


class PutHandler:
    """Checks the entries of one side."""

    def __init__(self, features: Sequence[Feature], side: Side, knows: Knows) -> None:
        self._teller, self._knows = ValueReader(features, side), knows
        self._field = "item_id" if side == "candidate" else "user_id"
        kind = ItemPut if side == "candidate" else UserPut
        self._readers = {form.media_type: form.reader(kind) for form in (JSON, MSGPACK)}

    def check(
        self, entries: Sequence[Raw], form: Format, now_ms: int
    ) -> tuple[list[Result], list[ProfileUpdate]]:
        """Return what becomes of each entry, and what is to be logged: what is not known already."""
        results: list[Result] = []
        told: list[ProfileUpdate] = []
        latest: dict[str, dict[str, Column]] = {}
        for entry in entries:
            try:
                key, columns = self._read(entry, form)
            except InputError as error:
                given = named(entry, form, self._field)
                results.append(Result(status="refused", reason=str(error), **{self._field: given}))
                continue
            event = self._event(key, columns, now_ms)
            # An entry of this call is not in the profiles yet.
            if not (latest[key] == columns if key in latest else self._knows(event)):
                told.append(event)
                latest[key] = columns
            results.append(Result(status="accepted", **{self._field: key}))
        return results, told

    def _read(self, entry: Raw, form: Format) -> tuple[str, dict[str, Column]]:
        put = self._readers[form.media_type].read(entry)
        key: str = getattr(put, self._field)
        check_ids(self._field, key)
        return key, self._teller.pack(put.features, form)

    def _event(self, key: str, columns: dict[str, Column], now_ms: int) -> ProfileUpdate:
        if self._field == "user_id":
            return ViewerUpdate(event_id=time_ordered_id(now_ms), user_id=key, ts=now_ms, values=columns)
        return ItemUpdate(
            event_id=time_ordered_id(now_ms), user_id="", item_id=key, ts=now_ms, values=columns
        )
