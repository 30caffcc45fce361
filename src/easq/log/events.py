"""The events of the log: one struct per kind, with packed columns.

A request holds its candidates' features as packed little-endian columns (int64 ids, float32
numbers), so reading costs per request and not per value. Times are milliseconds UTC, event time.
Unknown fields are tolerated on the log; `v` is the version of the layout.
"""

import zlib

import msgspec

from easq.log.ids import version_name
from easq.log.packing import Column, unpack_counts

EVENTS = "events"
"""The topic of requests, behaviors, asks and answers, in order within each viewer's partition."""

PROFILES = "profiles"
"""The topic of profile updates: what a platform knows of its viewers and items."""

STEPS = "steps"
"""The learner's topic of its live steps and their boundaries. One partition, step k at offset k - 1."""

UPDATES = "updates"
"""The learner's topic of parameter deltas and announced versions. One partition."""

COMMANDS = "commands"
"""The topic of operators' commands to the learner. One partition."""


# Events hold no cycles. Untracked, the many that wait in a window cost the garbage collector nothing.
class _BaseEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    event_id: str
    user_id: str
    ts: int
    v: int = 1


class Request(_BaseEvent, frozen=True, gc=False, tag="request"):
    """A ranking that was served: the candidates, and every feature value as it was scored.

    `viewer` columns hold one row (any number of ids for histories and multi-valued features);
    `candidates` columns hold `len(items)` rows. A multi-valued candidate feature is one run of ids,
    with the number of ids per row under the same name in `lengths`. The request's id is its `event_id`.

    A live service logs the first candidates as ranked and a sample of the others: `scores` (float32)
    and `ranks` (uint16, 0 is first) are those of `items`, out of `num_candidates`. The caller got the first
    `num_returned` of the ranking, 0 for all of it. `version` names the
    parameters and `arm` the experiment's arm. `as_of` holds the offsets, by partition of EVENTS and
    then of PROFILES, up to which the profiles behind these features had read the log.

    If it was made in the shadow (`is_shadow`), the caller showed items of its own: these come first, in the
    order in which they were shown, and are what was returned; then the others as ranked. It has no arm.

    If rankings are explored (`explore`), `propensities` (float32) holds the probability of each of
    `items` to be among the first `top`, 0 if it could not be. A sorted ranking has none.
    """

    items: list[str]
    viewer: dict[str, Column]
    candidates: dict[str, Column]
    lengths: dict[str, Column] = {}
    scores: Column = b""
    ranks: Column = b""
    num_candidates: int = 0
    num_returned: int = 0
    version: str = ""
    arm: str = ""
    as_of: list[int] = []
    propensities: Column = b""
    top: int = 0
    is_shadow: bool = False

    @property
    def returned(self) -> list[str]:
        """Return the logged items that the viewer could see: what the caller got, or showed."""
        if not self.num_returned:
            return self.items
        ranks = unpack_counts(self.ranks).tolist()
        return [item for item, rank in zip(self.items, ranks, strict=True) if rank < self.num_returned]


class Behavior(_BaseEvent, frozen=True, gc=False, tag="behavior"):
    """What a viewer did with some candidates of one request. A candidate that is named was exposed.

    `values[name]` holds one float32 per entry of `items`. An absent name means that nothing was done.
    Reports are cumulative: of several for the same candidate the largest value counts.
    """

    request_id: str
    items: list[str]
    values: dict[str, Column]


class Offered(_BaseEvent, frozen=True, gc=False, tag="offered"):
    """The decision of the questionnaire's policy on an eligible view. There is one per view.

    `gate` is the gate that kept the view from being asked, empty if it was asked. `rate` is the sampling
    rate of that moment and `propensity` the probability that this view was asked, whatever the question.
    An ask also has its `question`, whose part of all asks is `share`, the `version` and `locale`, and the
    options in the `order` to be shown.
    """

    request_id: str
    item_id: str
    rate: float
    propensity: float
    gate: str = ""
    session: str = ""
    question: str = ""
    share: float = 1.0
    version: str = ""
    locale: str = ""
    order: list[str] = []
    policy: str = ""
    place: int = 0


class Asked(_BaseEvent, frozen=True, gc=False, tag="asked"):
    """The questionnaire was shown on one view. `propensity` is the probability of that ask.

    The `event_id` is the id of the ask. `version` is that of the wording, `order` the options as shown,
    `place` the number of earlier asks of the viewer. A platform's own questionnaire has no `policy`.
    """

    request_id: str
    item_id: str
    question: str
    propensity: float
    version: str = ""
    locale: str = ""
    order: list[str] = []
    policy: str = ""
    place: int = 0


class Answered(_BaseEvent, frozen=True, gc=False, tag="answered"):
    """The viewer chose an option. `propensity` is repeated from the ask, so no look-up is needed.

    `took_ms` is the time from shown to chosen. `weight` (0 to 1) is how much the answer counts, and
    `flags` say why it is below 1.
    """

    request_id: str
    item_id: str
    question: str
    option: str
    propensity: float
    ask_id: str = ""
    took_ms: int = 0
    weight: float = 1.0
    flags: list[str] = []


class _Unanswered(_BaseEvent, frozen=True, gc=False):
    request_id: str
    item_id: str
    question: str
    propensity: float
    ask_id: str
    took_ms: int = 0


class Dismissed(_Unanswered, frozen=True, gc=False, tag="dismissed"):
    """The viewer closed the questionnaire without an answer."""


class Ignored(_Unanswered, frozen=True, gc=False, tag="ignored"):
    """The questionnaire faded without a reaction of the viewer."""


Reply = Behavior | Asked | Answered | Dismissed | Ignored
"""Events that refer to a request by its id and are joined with it."""


class ViewerUpdate(_BaseEvent, frozen=True, gc=False, tag="viewer"):
    """All that the platform knows of one viewer. It replaces earlier updates.

    `values[name]` is a packed column of one row: ids or one number.
    """

    values: dict[str, Column]


class ItemUpdate(_BaseEvent, frozen=True, gc=False, tag="item"):
    """All that the platform knows of one item. `user_id` is empty, so all items share a partition."""

    item_id: str
    values: dict[str, Column]


class Erased(_BaseEvent, frozen=True, gc=False, tag="erased"):
    """An event was erased here. Only its place and its time are left.

    It names no viewer and has no id of its own.
    """


class StepRecord(_BaseEvent, frozen=True, gc=False, tag="step"):
    """One live step of the learner, so that recovery and replay repeat exactly this one.

    Step `seq` read the partitions of EVENTS up to `until` and trained on the full batches, with `flush`
    also on the examples left over. Or it went back to the parameters of the version `restore`, for a
    `reason`. `commands` is the number of commands read so far. A step that is `erased` forgot viewers
    whose events were then erased: earlier steps cannot be repeated.
    """

    seq: int
    until: list[int]
    flush: bool = False
    restore: str = ""
    reason: str = ""
    commands: int = 0
    erased: bool = False


class Delta(_BaseEvent, frozen=True, gc=False, tag="delta"):
    """The parameters that changed between version `after` and version `seq` of the learner.

    Nothing was published between the two, so a reader with any version from `after` on may apply it.
    `rows` (int64) and `values` (float32, row by row) are the touched rows of the embedding table,
    `dense` the whole dense part (float32 by name), `crosses` (int64) and `cross_values` (float32) the changed
    weights of crosses. `until` are the offsets of EVENTS up to which events
    are learned, `newest_answer` is the time of the newest answer among them, and `checksum` the CRC-32 of
    the columns in this order.
    """

    seq: int
    after: int
    rows: Column
    values: bytes
    dense: dict[str, bytes]
    until: list[int]
    newest_answer: int
    checksum: int
    crosses: Column = b""
    cross_values: bytes = b""

    @property
    def name(self) -> str:
        """Return the name of the version that this delta leads to."""
        return version_name(self.seq)


class VersionRecord(_BaseEvent, frozen=True, gc=False, tag="version"):
    """A full snapshot of version `seq` is ready under `name`. With `reload` no delta leads to it.

    Without `reload`, deltas lead to the same parameters.
    """

    seq: int
    name: str
    reload: bool = False


class RollbackRequest(_BaseEvent, frozen=True, gc=False, tag="rollback"):
    """An operator asks the learner to go back to the parameters of version `name`."""

    name: str


ProfileUpdate = ViewerUpdate | ItemUpdate
"""The events of the topic PROFILES."""

Event = (
    Request | Reply | Offered | Erased | ProfileUpdate | StepRecord | Delta | VersionRecord | RollbackRequest
)

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Event] = msgspec.msgpack.Decoder(Event)


def encode(event: Event) -> bytes:
    """Return the event as MessagePack."""
    return _encoder.encode(event)


def decode(data: bytes) -> Event:
    """Return the event held in `data`; raise ValueError where it is not one."""
    return _decoder.decode(data)


def delta_checksum(
    rows: Column,
    values: bytes,
    dense: dict[str, bytes],
    crosses: Column = b"",
    cross_values: bytes = b"",
) -> int:
    """Return the CRC-32 of a delta's columns, the dense ones in the order of their names."""
    checksum = zlib.crc32(values, zlib.crc32(rows))
    for name in sorted(dense):
        checksum = zlib.crc32(dense[name], zlib.crc32(name.encode(), checksum))
    return zlib.crc32(cross_values, zlib.crc32(crosses, checksum))
