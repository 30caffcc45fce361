"""Homes of versions in which a live name of digits had the hash of its text as its id.

Today such a name is its own number, as in imported histories. Events keep the ids that were served, so a
replay and `easq verify` of an older home do not change. But its embeddings of those names are not read again.
"""

from easq.log.base import EventLog
from easq.log.events import EVENTS, Request
from easq.log.ids import category_id, stable_id
from easq.log.packing import ID, Column, unpack_ids

_NEWEST = 2048
"""Events looked at in each partition. Once they are of this version, nothing is said any more."""


def hashed_names(log: EventLog) -> list[str]:
    """Return the names of digits that the newest requests of a log have under the hash of their text."""
    found: dict[str, None] = {}
    starts, ends = log.start_offsets(EVENTS), log.end_offsets(EVENTS)
    for partition, (start, end) in enumerate(zip(starts, ends, strict=True)):
        first = max(start, end - _NEWEST)
        for event in log.read(EVENTS, partition, first, end - first):
            if isinstance(event, Request):
                found |= dict.fromkeys(_hashed([event.user_id], event.viewer.get("user_id", b"")))
                found |= dict.fromkeys(_hashed(event.items, event.candidates.get("item_id", b"")))
    return list(found)


def advice(names: list[str]) -> str:
    """Return what to tell whoever starts a home with such names."""
    some = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return (
        f"this home was made by a version that hashed names of digits: {len(names):,} viewers and items of "
        f"its newest requests ({some}). They have other ids now, the same as in imports. What was learned of "
        "each by its id is learned again; everything else stays. To have it from the start, import your "
        "history into a new home (docs/importing.md)"
    )


def _hashed(names: list[str], column: Column) -> list[str]:
    if len(column) != ID.itemsize * len(names):
        return []
    ids = unpack_ids(column).tolist()
    return [n for n, i in zip(names, ids, strict=True) if category_id(n) != i == stable_id(n)]
