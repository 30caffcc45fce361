"""A small platform: its features, and a strategy of arbitrary logs."""

from hypothesis import strategies as st

from easq.features.columns import Columns
from easq.features.profiles import Profiles
from easq.log.base import partition_of
from easq.log.events import EVENTS, PROFILES, Answered, Behavior, Event, ItemUpdate, Request, ViewerUpdate
from easq.log.packing import Column, pack_floats, pack_ids
from easq.recipe.features import BehaviorKind, Categorical, Feature, History, Multi, Numeric, RateOf, Vector

MINUTE = 60_000
WINDOW = 30 * MINUTE
PARTITIONS = 2

FEATURES: tuple[Feature, ...] = (
    Categorical(name="user_id", side="viewer", rows=97),
    Categorical(name="country", side="viewer", rows=97),
    Multi(name="groups", side="viewer", rows=31, length=2),
    Numeric(name="age", side="viewer", boundaries=(18.0, 40.0)),
    Numeric(
        name="likes_given",
        side="viewer",
        boundaries=(0.5,),
        rate=RateOf(behavior="like", half_life_hours=1.0, prior_views=2.0),
    ),
    History(name="seen", of="item_id", length=3),
    History(name="authors_played", of="author", length=2, where="played_s", at_least=10.0),
    Categorical(name="item_id", side="candidate", rows=1000),
    Categorical(name="author", side="candidate", rows=7),
    Numeric(name="seconds", side="candidate", boundaries=(5.0, 10.0, 60.0)),
    Numeric(
        name="like_rate",
        side="candidate",
        boundaries=(0.5,),
        rate=RateOf(behavior="like", half_life_hours=1.0, prior_views=2.0),
    ),
    Numeric(
        name="play_rate",
        side="candidate",
        boundaries=(0.5,),
        rate=RateOf(behavior="played_s", half_life_hours=8.0, prior_views=5.0),
    ),
    Multi(name="tags", side="candidate", rows=50, length=3),
    Vector(name="taste", side="viewer", dim=2),
    Vector(name="content", side="candidate", dim=2),
)
BEHAVIORS = (BehaviorKind(name="like"), BehaviorKind(name="played_s", at_least=5.0))

Log = dict[tuple[str, int], list[Event]]
"""Events by topic and partition."""

USERS, ITEMS = [f"u{n}" for n in range(4)], [f"i{n}" for n in range(5)]


def nothing() -> Profiles:
    return Profiles(FEATURES, WINDOW, PARTITIONS, BEHAVIORS)


def request(request_id: str, user_id: str = "u0", ts: int = 0, items: tuple[str, ...] = ("i0",)) -> Request:
    return Request(event_id=request_id, user_id=user_id, ts=ts, items=list(items), viewer={}, candidates={})


def report(
    request_id: str,
    user_id: str = "u0",
    ts: int = 0,
    items: tuple[str, ...] = ("i0",),
    values: dict[str, Column] | None = None,
    **done: float,
) -> Behavior:
    return Behavior(
        event_id=f"{request_id}:{ts}:{done}",
        user_id=user_id,
        ts=ts,
        request_id=request_id,
        items=list(items),
        values=values or {name: pack_floats([value] * len(items)) for name, value in done.items()},
    )


def item(item_id: str, /, **values: Column) -> ItemUpdate:
    return ItemUpdate(event_id=f"told:{item_id}", user_id="", ts=0, item_id=item_id, values=values)


def viewer(user_id: str, /, **values: Column) -> ViewerUpdate:
    return ViewerUpdate(event_id=f"told:{user_id}", user_id=user_id, ts=0, values=values)


def apply(profiles: Profiles, *events: Event) -> Profiles:
    """Apply events in this order, each to its topic and partition."""
    for event in events:
        topic = PROFILES if isinstance(event, ItemUpdate | ViewerUpdate) else EVENTS
        profiles.apply(topic, partition_of(event.user_id, PARTITIONS), [event])
    return profiles


def features_at(profiles: Profiles, ts: int) -> list[bytes]:
    """Return every feature of all viewers and items, known or not, as bytes."""
    viewers = [profiles.viewer(user, ts) for user in [*USERS, "stranger"]]
    return [b for columns in (*viewers, profiles.candidates([*ITEMS, "new"], ts)) for b in _bytes(columns)]


def _bytes(columns: Columns) -> list[bytes]:
    arrays = [columns.ids_NK, columns.numbers_NM, *(a for entries in columns.lists for a in entries)]
    return [a.tobytes() for a in (*arrays, *columns.vectors)]


_times = st.one_of(st.integers(0, 3 * WINDOW), st.integers(0, 60 * WINDOW))
_id_lists = st.lists(st.integers(-5, 5), max_size=4).map(pack_ids)
_ids = st.integers(-5, 5).map(lambda n: pack_ids([n]))
_numbers = st.floats(0, 100, width=32).map(lambda x: pack_floats([x]))
_vectors = st.floats(-9, 9, width=32).map(lambda x: pack_floats([x, 1 - x]))
_wrong = st.just(b"\0" * 5)


def _given_values(
    ids: str, number: str, entries: str, own: str, vector: str
) -> st.SearchStrategy[dict[str, Column]]:
    optional = {ids: _ids | _wrong, number: _numbers, entries: _id_lists, own: _ids, "other": _ids}
    optional[vector] = _vectors | _wrong
    return st.fixed_dictionaries({}, optional=optional)


def _done(num: int) -> st.SearchStrategy[dict[str, Column]]:
    values = st.lists(st.sampled_from([0.0, 1.0, 7.0, 20.0]), min_size=num, max_size=num).map(pack_floats)
    return st.fixed_dictionaries({}, optional={"like": values, "played_s": values | _wrong})


@st.composite
def logs(draw: st.DrawFn) -> Log:
    """Draw a log: requests, reports with and without a request, answers, updates, times in any order."""
    log: Log = {(topic, p): [] for topic in (EVENTS, PROFILES) for p in range(PARTITIONS)}
    users, items = st.sampled_from(USERS), st.sampled_from(ITEMS)
    for n in range(draw(st.integers(0, 30))):
        user, kind = draw(users), draw(st.sampled_from(["request", "report", "report", "answer", "told"]))
        events = log[EVENTS, partition_of(user, PARTITIONS)]
        requests = [e for e in events if isinstance(e, Request) and e.user_id == user]
        if kind == "request" or (kind != "told" and not requests):
            events.append(request(f"r{n}", user, draw(_times), tuple(ITEMS)))
        elif kind == "told" and draw(st.booleans()):
            values = draw(_given_values("author", "seconds", "tags", "item_id", "content"))
            log[PROFILES, partition_of("", PARTITIONS)].append(item(draw(items), **values))
        elif kind == "told":
            update = viewer(user, **draw(_given_values("country", "age", "groups", "user_id", "taste")))
            log[PROFILES, partition_of(user, PARTITIONS)].append(update)
        else:
            of = draw(st.sampled_from(requests))
            ts = of.ts + draw(st.integers(0, WINDOW + MINUTE))
            shown = draw(st.lists(items, min_size=1, max_size=3, unique=True))
            if kind == "report":
                events.append(report(of.event_id, user, ts, tuple(shown), draw(_done(len(shown)))))
            else:
                events.append(
                    Answered(
                        event_id=f"a{n}",
                        user_id=user,
                        ts=ts,
                        request_id=of.event_id,
                        item_id=shown[0],
                        question="satisfaction",
                        option="satisfied",
                        propensity=1.0,
                    )
                )
    return log


@st.composite
def read_orders(draw: st.DrawFn, log: Log) -> list[tuple[str, int, list[Event]]]:
    """Draw an order in which a log can be read: partitions interleaved, each in order and cut anywhere."""
    left = {place: list(events) for place, events in log.items() if events}
    calls = []
    while left:
        topic, partition = place = draw(st.sampled_from(sorted(left)))
        num = draw(st.integers(1, len(left[place])))
        calls.append((topic, partition, left[place][:num]))
        left[place] = left[place][num:]
        if not left[place]:
            del left[place]
    return calls


def profiles_after(calls: list[tuple[str, int, list[Event]]], profiles: Profiles | None = None) -> Profiles:
    """Return profiles after these calls."""
    profiles = profiles or nothing()
    for topic, partition, events in calls:
        profiles.apply(topic, partition, events)
    return profiles
