"""One event of every kind, as odd as its fields allow."""

from easq.events import (
    Answered,
    Asked,
    Behavior,
    Delta,
    Event,
    ItemTold,
    Request,
    RollbackAsked,
    StepTaken,
    VersionMade,
    ViewerTold,
    pack_counts,
    pack_floats,
    pack_ids,
)


class LaterBehavior(Behavior, frozen=True, tag="behavior"):
    """A behaviour as a later version might write it."""

    mood: dict[str, list[int]]


def _behavior(event_id: str, note: bytes = b"") -> Behavior:
    return Behavior(event_id=event_id, user_id="u", ts=0, request_id="r", items=["i"], values={"note": note})


EVERY_KIND: list[Event] = [
    Request(
        event_id="r",
        user_id="Zoë 🦊",
        ts=2**53,
        items=["a", "b"],
        viewer={"recent": pack_ids([])},
        candidates={"x": pack_floats([0.5, float("nan")]), "tags": pack_ids([1, -2, 2**62])},
        lengths={"tags": pack_counts([1, 2])},
        scores=pack_floats([1, 2]),
        ranks=pack_counts([1, 0]),
        num_candidates=200,
        version="v1",
        arm="easq",
        as_of=[0, 2**40],
    ),
    Behavior(event_id="b", user_id="Zoë 🦊", ts=-1, request_id="r", items=[], values={"play": b"\0\xff'"}),
    Asked(event_id="q", user_id="", ts=0, request_id="r", item_id="a", question="q", propensity=0.1),
    Answered(
        event_id="a", user_id="u", ts=1, request_id="r", item_id="a", question="q", option="o", propensity=0.1
    ),
    ViewerTold(event_id="v", user_id="u", ts=1, values={"segment": pack_ids([7])}),
    ItemTold(event_id="i", user_id="", ts=1, item_id="ü", values={"seconds": pack_floats([1.5])}),
    StepTaken(event_id="s", user_id="", ts=1, seq=2**40, until=[1, 2], flush=True, restore="v1", reason="?"),
    Delta(
        event_id="d",
        user_id="",
        ts=1,
        seq=2,
        after=1,
        rows=pack_ids([5]),
        values=pack_floats([0.5]),
        dense={"w": pack_floats([1])},
        until=[3],
        newest_answer=0,
        checksum=2**32 - 1,
    ),
    VersionMade(event_id="m", user_id="", ts=1, seq=2, name="v2", reload=True),
    RollbackAsked(event_id="c", user_id="", ts=1, name="v1"),
    _behavior("long" * 500),
    _behavior("r\0"),
    _behavior(""),
    _behavior("big", bytes(3_000_000)),
]
