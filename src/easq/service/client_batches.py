"""Batches of any size, sent in parts that a service takes, each entry refused by itself."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from easq.errors import cut
from easq.service.client_replies import ClientError

_MOST, _MOST_BYTES = 1000, 1 << 20  # of one part; a part that is still too large is halved
_MAX_REASONS = 3  # in a message

Make = Callable[[Any], dict[str, Any]]
"""Makes an entry of plain values; raises InputError for one that cannot be sent."""

Post = Callable[[list[msgspec.Raw]], list[str]]
"""Sends a part; returns the reason why each entry was refused, empty where it was not."""


class Outcome(NamedTuple):
    """What became of one entry of a batch; `reason` is empty if it was accepted."""

    id: str
    reason: str

    @property
    def is_accepted(self) -> bool:
        """Return whether the entry was accepted."""
        return not self.reason


def send_in_parts(entries: Iterable[Any], make: Make, id_field: str, post: Post) -> list[Outcome]:
    """Send entries in their order and return what became of each; raise what `post` raises.

    An entry that cannot be sent is refused here. So is one that alone is larger than a call may be.
    """
    ids: list[str] = []
    refused: dict[int, str] = {}
    parts: list[tuple[int, msgspec.Raw]] = []
    size, is_sent = 0, False

    def flush() -> None:
        nonlocal parts, size, is_sent
        reasons = _post(post, [data for _, data in parts])
        refused.update((place, why) for (place, _), why in zip(parts, reasons, strict=True) if why)
        parts, size, is_sent = [], 0, True

    for place, entry in enumerate(entries):
        ids.append(cut(str(entry.get(id_field, ""))) if isinstance(entry, Mapping) else "")
        try:
            data = msgspec.Raw(msgspec.msgpack.encode(make(entry)))
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            refused[place] = str(error)
            continue
        if parts and (len(parts) == _MOST or size + len(data) > _MOST_BYTES):
            flush()
        parts.append((place, data))
        size += len(data)
    if parts or not (is_sent or refused):  # an empty batch is a call too: it says whether the key is valid
        flush()
    return [Outcome(own_id, refused.get(place, "")) for place, own_id in enumerate(ids)]


def all_accepted(outcomes: list[Outcome]) -> None:
    """Raise ClientError, with the first reasons, if an entry was refused."""
    refused = [outcome for outcome in outcomes if not outcome.is_accepted]
    if refused:
        reasons = "; ".join(f"{outcome.id}: {outcome.reason}" for outcome in refused[:_MAX_REASONS])
        more = f"; and {len(refused) - _MAX_REASONS} more" if len(refused) > _MAX_REASONS else ""
        raise ClientError(200, "refused", f"{len(refused)} of {len(outcomes)} refused: {reasons}{more}")


def _post(post: Post, part: list[msgspec.Raw]) -> list[str]:
    """Send a part, halved for as long as the service, or a proxy before it, finds it too large."""
    try:
        return post(part)
    except ClientError as error:
        if error.status != 413 or not part:
            raise
        if len(part) == 1:
            return [f"{error.code}: {error.message}"]
    half = len(part) // 2
    return [*_post(post, part[:half]), *_post(post, part[half:])]
