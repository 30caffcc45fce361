import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from easq.features.examples import AnsweredView, Example, Viewed
from easq.features.join import Joiner, Reread, Takes
from easq.log.events import Answered, Asked, Behavior, Dismissed, Erased, Event, Ignored, Offered, Request
from easq.log.packing import pack_counts, pack_floats
from tests.support.small_worlds import world_events

OPTIONS = ("dissatisfied", "uncertain", "satisfied")
MINUTE = 60_000


def joiner(
    behavior: int = 30,
    answer: int = 60,
    lateness: int = 5,
    reread: Reread | None = None,
    takes: Takes = lambda _: True,
) -> Joiner:
    windows = (behavior * MINUTE, answer * MINUTE, lateness * MINUTE)
    return Joiner("satisfaction", OPTIONS, *windows, reread, takes)


def request(
    key: str = "r1", minute: float = 0, user: str = "u", items: tuple[str, ...] = ("a", "b")
) -> Request:
    return Request(
        event_id=key, user_id=user, ts=int(minute * MINUTE), items=list(items), viewer={}, candidates={}
    )


def behavior(
    key: str = "b1", minute: float = 1, of: str = "r1", item: str = "a", **values: float
) -> Behavior:
    packed = {name: pack_floats([value]) for name, value in (values or {"like": 1.0}).items()}
    return Behavior(
        event_id=key, user_id="u", ts=int(minute * MINUTE), request_id=of, items=[item], values=packed
    )


def answer(key: str = "a1", minute: float = 2, of: str = "r1", item: str = "a", **other: str) -> Answered:
    fields = {"question": "satisfaction", "option": "satisfied"} | other
    return Answered(
        event_id=key,
        user_id="u",
        ts=int(minute * MINUTE),
        request_id=of,
        item_id=item,
        propensity=0.1,
        **fields,
    )


def push_all(join: Joiner, events: list[Event]) -> list[Example]:
    return [example for event in events for example in join.push(event)]


def test_request_becomes_an_example_when_its_window_has_closed_in_event_time() -> None:
    join = joiner()
    assert push_all(join, [request(), behavior()]) == []
    assert join.push(request("r2", minute=35)) == []
    (viewed,) = join.push(request("r3", minute=35.1))
    assert isinstance(viewed, Viewed)
    assert viewed.request.event_id == "r1"
    assert [positions for positions, _ in viewed.reports] == [[0]]


def test_answer_becomes_an_example_at_once_from_its_own_request() -> None:
    join = joiner()
    first = request()
    join.push(first)
    assert join.push(answer(item="b")) == [AnsweredView(first, 1, 2, 0.1)]
    doubtful = msgspec.structs.replace(answer("a2", item="a"), weight=0.25, flags=["speeder"])
    assert join.push(doubtful) == [AnsweredView(first, 0, 2, 0.1, weight=0.25)]
    (viewed,) = join.flush()
    assert isinstance(viewed, Viewed)
    assert (viewed.answers, viewed.weights) == ([(1, 2), (0, 2)], [(0, 0.25)])


def test_answer_after_the_behavior_window_is_joined_and_after_its_own_is_late() -> None:
    join = joiner()
    push_all(join, [request(), request("r2", minute=40)])
    assert len(join.push(answer(minute=45))) == 1
    assert join.push(answer("a2", minute=61, item="b")) == []
    assert join.counts.late == 1
    assert [late.event.event_id for late in join.take_late()] == ["a2"]


def test_behavior_after_its_window_is_kept_apart() -> None:
    join = joiner()
    push_all(join, [request(), behavior(minute=31)])
    assert (join.counts.late, join.counts.behaviors) == (1, 0)


def test_event_before_its_request_waits_for_it() -> None:
    join = joiner()
    push_all(join, [answer(minute=2), behavior(minute=1)])
    (answered,) = join.push(request())
    assert isinstance(answered, AnsweredView)
    (viewed,) = join.flush()
    assert isinstance(viewed, Viewed)
    assert len(viewed.reports) == 1


def test_event_whose_request_never_comes_is_an_orphan() -> None:
    join = joiner()
    push_all(join, [behavior(of="nowhere"), request("r2", minute=100)])
    assert join.counts.orphans == 1
    assert [late.reason for late in join.take_late()] == ["orphan"]


def test_waiting_event_with_an_early_clock_does_not_close_its_request_early() -> None:
    join = joiner()
    push_all(join, [behavior(minute=0), request(minute=50)])
    examples = push_all(join, [request("r2", minute=66), behavior("b2", minute=67)])
    assert examples == []
    assert join.counts.behaviors == 2


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (behavior(item="z"), "item 'z' is not in the request"),
        (answer(item="z"), "item 'z' is not in the request"),
        (answer(question="mood"), "question 'mood' is not 'satisfaction'"),
        (answer(option="great"), "option 'great' is not one of ['dissatisfied', 'uncertain', 'satisfied']"),
        (
            Behavior(event_id="x", user_id="u", ts=1, request_id="r1", items=["a"], values={"like": b"12"}),
            "like holds 2 bytes for 1 items",
        ),
        (request("r9", items=("a", "a")), "a request needs candidates, each named once"),
        (request("r9", items=()), "a request needs candidates, each named once"),
    ],
)
def test_event_that_fits_nothing_is_refused_with_the_reason(event: Event, reason: str) -> None:
    join = joiner()
    join.push(request())
    assert join.push(event) == []
    (late,) = join.take_late()
    assert (late.reason, join.counts.refused) == (reason, 1)


def test_items_that_were_not_logged_do_not_take_the_others_with_them() -> None:
    join = joiner()
    values = {"like": pack_floats([1, 0, 1])}
    report = Behavior(event_id="x", user_id="u", ts=1, request_id="r1", items=["b", "z", "a"], values=values)
    push_all(join, [request(), report])
    (viewed,) = join.flush()
    assert isinstance(viewed, Viewed)
    (positions, kept) = viewed.reports[0]
    assert (positions, kept.items, kept.values) == ([1, 0], ["b", "a"], {"like": pack_floats([1, 1])})
    assert (join.counts.behaviors, join.counts.unlogged_items, join.counts.refused) == (1, 1, 0)


def test_reply_to_the_request_of_another_viewer_is_refused() -> None:
    join = joiner()
    impostors = [msgspec.structs.replace(event, user_id="v") for event in (behavior(), answer())]
    assert push_all(join, [request(), *impostors]) == []
    assert [late.reason for late in join.take_late()] == ["its request is of another viewer"] * 2


def test_an_answer_about_what_was_ranked_and_not_returned_is_refused() -> None:
    join = joiner()
    cut = msgspec.structs.replace(request(), ranks=pack_counts([0, 1]), num_returned=1)
    assert len(push_all(join, [cut, answer(), answer("a2", item="b")])) == 1
    (late,) = join.take_late()
    assert (late.reason, late.event) == ("item 'b' was ranked and not returned", answer("a2", item="b"))


def test_another_viewers_event_does_not_hide_one_of_the_same_id() -> None:
    """Ids are made on devices."""
    for first in ([request()], []):
        join = joiner()
        theirs = msgspec.structs.replace(answer(option="dissatisfied"), user_id="v")
        examples = push_all(join, [*first, theirs, answer(), *([] if first else [request()])])
        assert [e.option for e in examples if isinstance(e, AnsweredView)] == [2]
        assert join.counts.duplicates == 0


def test_many_events_may_wait_for_one_request() -> None:
    join = joiner()
    waiting = [behavior(f"b{n}") for n in range(20_000)]
    push_all(join, [*waiting, *waiting[:5]])
    assert join.counts.duplicates == 5
    join.restore(join.state())
    join.push(request())
    assert join.counts.behaviors == 20_000


def test_second_answer_to_one_view_is_refused() -> None:
    join = joiner()
    push_all(join, [request(), answer()])
    assert join.push(answer("a2", option="dissatisfied")) == []
    assert (join.counts.answers, join.counts.refused) == (1, 1)


def test_asks_are_counted() -> None:
    join = joiner()
    ask = Asked(
        event_id="q", user_id="u", ts=1, request_id="r1", item_id="a", question="satisfaction", propensity=0.1
    )
    push_all(join, [request(), ask, ask])
    assert (join.counts.asked, join.counts.duplicates) == (1, 1)


def test_what_became_of_asks_is_counted_and_is_no_example() -> None:
    join = joiner()
    ask = {"user_id": "u", "ts": 1, "request_id": "r1", "item_id": "a", "question": "satisfaction"}
    offer = Offered(event_id="o", user_id="u", ts=1, request_id="r0", item_id="a", rate=0.1, propensity=0.1)
    events = [
        request(),
        offer,
        Dismissed(event_id="d", propensity=0.1, ask_id="q", **ask),
        Ignored(event_id="i", propensity=0.1, ask_id="q2", **ask),
        Ignored(event_id="i", propensity=0.1, ask_id="q2", **ask),
    ]
    assert push_all(join, events) == []
    counts = join.counts
    assert (counts.offered, counts.dismissed, counts.ignored, counts.duplicates) == (1, 1, 1, 1)
    assert join.take_late() == []


def test_our_own_asks_of_other_questions_are_counted_apart() -> None:
    join = joiner()
    ask = {"user_id": "u", "ts": 1, "request_id": "r1", "item_id": "a", "question": "mood"}
    events = [
        request(),
        Asked(event_id="q", propensity=0.1, policy="uniform", **ask),
        Answered(event_id="s", propensity=0.1, option="good", ask_id="q", **ask),
        Dismissed(event_id="d", propensity=0.1, ask_id="q", **ask),
    ]
    assert push_all(join, events) == []
    assert (join.counts.other_questions, join.counts.refused) == (3, 0)


def by_partition(events: list[Event], num: int) -> list[list[Event]]:
    return [[e for e in events if int(e.user_id[1:]) % num == p] for p in range(num)]


EVENTS = world_events(40)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_any_interleaving_of_partitions_gives_the_same_examples(seed: int) -> None:
    parts = by_partition(EVENTS, 3)
    straight = [push_all(join := joiner(), part) + join.flush() for part in parts]
    joiners = [joiner() for _ in parts]
    order = [p for p, part in enumerate(parts) for _ in part]
    random.Random(seed).shuffle(order)
    queues = [iter(part) for part in parts]
    result: list[list[Example]] = [[] for _ in parts]
    for p in order:
        result[p] += joiners[p].push(next(queues[p]))
    assert [f + j.flush() for f, j in zip(result, joiners, strict=True)] == straight


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.floats(0, 1))
def test_copies_and_disorder_within_the_lateness_change_no_example(seed: int, share: float) -> None:
    events = EVENTS[:120]
    straight = push_all(join := joiner(), events) + join.flush()
    shuffled = random.Random(seed)
    noisy = events + [e for e in events if shuffled.random() < share]
    noisy.sort(key=lambda e: e.ts + shuffled.uniform(0, 4 * MINUTE))
    result = push_all(join := joiner(), noisy) + join.flush()

    def content(examples: list[Example]) -> list[object]:
        return sorted(
            (
                (
                    e.request.event_id,
                    "viewed",
                    sorted((b.event_id, p) for p, b in e.reports),
                    sorted(e.answers),
                )
                if isinstance(e, Viewed)
                else (e.request.event_id, "answered", [], [(e.position, e.option)])
            )
            for e in examples
        )

    assert content(result) == content(straight)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, len(EVENTS)))
def test_saved_state_continues_as_if_never_stopped(cut: int) -> None:
    # Every other answer counts less, as some do on any live system.
    events = [
        msgspec.structs.replace(e, weight=0.2) if isinstance(e, Answered) and n % 2 else e
        for n, e in enumerate(EVENTS)
    ]
    straight = push_all(whole := joiner(), events) + whole.flush()
    assert any(isinstance(example, Viewed) and example.weights for example in straight)
    before = joiner()
    result = push_all(before, events[:cut])
    after = joiner()
    after.restore(before.state())
    result += push_all(after, events[cut:]) + after.flush()
    assert result == straight
    assert after.counts == whole.counts


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32))
def test_every_event_is_counted_once(seed: int) -> None:
    chosen = random.Random(seed)
    events = [e for e in EVENTS if chosen.random() < 0.7] + [e for e in EVENTS if chosen.random() < 0.2]
    join = joiner(behavior=1, answer=2, lateness=0)
    push_all(join, events)
    join.flush()
    c = join.counts
    accounted = c.requests + c.behaviors + c.asked + c.answers
    assert accounted + c.duplicates + c.late + c.orphans + c.refused == len(events)
    assert len(join.take_late()) == c.late + c.orphans + c.refused


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, len(EVENTS)))
def test_requests_read_again_give_the_examples_of_requests_kept(seed: int, cut: int) -> None:
    # Answers are held back at random, so that many come after their request was let go of.
    late = random.Random(seed)
    behind = {id(e): 50 * MINUTE * late.random() if isinstance(e, Answered) else 0 for e in EVENTS}
    events = sorted(EVENTS, key=lambda e: e.ts + behind[id(e)])
    kept, lean = joiner(behavior=1), joiner(behavior=1, reread=events.__getitem__)
    straight = push_all(kept, events) + kept.flush()
    result = [x for offset, event in enumerate(events[:cut]) for x in lean.push(event, offset)]
    after = joiner(behavior=1, reread=events.__getitem__)
    after.restore(lean.state())
    result += [x for offset, event in enumerate(events[cut:], cut) for x in after.push(event, offset)]
    assert result + after.flush() == straight
    assert after.counts == kept.counts


def test_a_joined_request_that_can_be_read_again_is_let_go_of() -> None:
    events = [request(items=tuple(f"item-{n}" for n in range(1000))), request("r2", minute=36)]
    kept, lean = joiner(), joiner(reread=events.__getitem__)
    for join in (kept, lean):
        assert len(push_all(join, events)) == 1
    assert len(kept.state()) > 8000
    assert len(lean.state()) < 500


@pytest.mark.parametrize("left", [None, Erased(event_id="r1", user_id="", ts=0), request("r0")])
def test_answer_to_a_request_that_the_log_no_longer_has_is_an_orphan(left: Event | None) -> None:
    join = joiner(reread=lambda _: left)
    assert len(push_all(join, [request(), request("r2", minute=36)])) == 1
    assert join.push(answer(minute=40)) == []
    assert [late.reason for late in join.take_late()] == ["orphan"]


def test_what_another_arm_served_is_counted_and_neither_learned_from_nor_an_orphan() -> None:
    events = [e for e in EVENTS if isinstance(e, Request | Behavior | Asked | Answered)]
    mine = {e.event_id for e in events if isinstance(e, Request) and int(e.user_id[1:]) % 2}
    apart = joiner(takes=lambda request: request.event_id in mine)
    result = push_all(apart, events) + apart.flush()
    alone = joiner()
    own = [e for e in events if (e.event_id if isinstance(e, Request) else e.request_id) in mine]
    assert result == push_all(alone, own) + alone.flush()
    assert 0 < len(own) < len(events)
    assert apart.counts == msgspec.structs.replace(alone.counts, elsewhere=len(events) - len(own))
