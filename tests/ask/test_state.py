"""What asking remembers is a function of the log: a restart decides as if there had been none."""

import random
from pathlib import Path

import pytest

from easq.ask.decisions import ASKED, UNDECIDED, closed
from easq.ask.explain import explain
from easq.ask.policy import DAY_MS
from easq.ask.rebuild import catch_up
from easq.ask.state import Asks
from easq.ask.view import View
from easq.log.events import EVENTS, Answered, Asked, Dismissed, Event, Ignored, Offered, Request
from easq.log.sqlite import SqliteLog
from tests.support.small_worlds import small_recipe

SECRET = bytes(32)
MINUTE = 60_000
NOW = 20_000 * DAY_MS
OFTEN = ("ask.rate=0.4", "ask.cool_down_minutes=10.0", "ask.max_per_session=30", "ask.max_per_day=40")


def request(key: str, user: str, ts: int, items: str = "abc") -> Request:
    return Request(event_id=key, user_id=user, ts=ts, items=list(items), viewer={}, candidates={})


def view(request: Request, item: str = "a", **other: object) -> View:
    fields = {"play_ms": 400.0, "ratio": 0.6} | other
    return View(request.user_id, request.event_id, item, **fields)  # type: ignore[arg-type]


def asked(asks: Asks, result: View, ts: int) -> Asked:
    ask = asks.ask_of(result)
    assert ask is not None
    return Asked(
        event_id=f"q{result.key}",
        user_id=result.user_id,
        ts=ts,
        request_id=result.request_id,
        item_id=result.item_id,
        question="satisfaction",
        propensity=ask.offered.propensity,
        policy="uniform",
    )


def a_day(asks: Asks, log: SqliteLog, requests: int, first: int = 0) -> list[View]:
    """Let viewers watch and be asked, live: what is decided is on the log a little later."""
    rng, views = random.Random(first), []
    for n in range(first, first + requests):
        ts = NOW + n * MINUTE
        served = request(f"r{n}", f"u{rng.randrange(8)}", ts)
        events: list[Event] = [served]
        asks.observe(events)
        for item in "ab":
            offer_view = view(served, item)
            assert asks.why_not(offer_view, ts) == ("", "")
            offered = asks.decide(offer_view, ts + 1000)
            events.append(offered)
            if not offered.gate and rng.random() < 0.7:
                events.append(asked(asks, offer_view, ts + 2000))
            views.append(offer_view)
        log.append(EVENTS, events)
        asks.observe(events[1:])
    return views


def stand(asks: Asks, now_ms: int) -> object:
    """Return all that the next decisions depend on."""
    users = [f"u{n}" for n in range(8)]
    gates_of = [asks.gates(View(user, "new", "a", 8000.0, 0.0), now_ms) for user in users]
    return asks.used(now_ms), gates_of


@pytest.mark.parametrize("partitions", [1, 4])
def test_a_restart_continues_with_the_same_gates_quota_and_probabilities(
    tmp_path: Path, partitions: int
) -> None:
    recipe = small_recipe(*OFTEN, "ask.daily_quota=200")
    live = Asks(recipe, SECRET)
    with SqliteLog(tmp_path / "events.log", partitions) as log:
        views = a_day(live, log, 150)
        now_ms = NOW + 150 * MINUTE
        again = Asks(recipe, SECRET)
        catch_up(again, log, now_ms)
        assert again.offsets == log.end_offsets(EVENTS)
        assert stand(again, now_ms) == stand(live, now_ms)
        decided = [live.decided(result) for result in views[-100:]]
        assert decided == [again.decided(result) for result in views[-100:]]
        assert {ASKED, closed("sampling"), closed("cool_down")} <= set(decided)


def test_only_what_is_remembered_is_read(tmp_path: Path) -> None:
    recipe = small_recipe(*OFTEN, "ask.memory_days=1.0")
    with SqliteLog(tmp_path / "events.log", 2) as log:
        a_day(Asks(recipe, SECRET), log, 100)
        later = Asks(recipe, SECRET)
        catch_up(later, log, NOW + 3 * DAY_MS)
        assert len(later.viewers) == 0
        partly = Asks(recipe, SECRET)
        catch_up(partly, log, NOW + 2 * DAY_MS + 50 * MINUTE)
        whole = Asks(recipe, SECRET)
        catch_up(whole, log, NOW)
        assert 0 < len(partly.viewers) <= len(whole.viewers)


ADAPTIVE = ('ask.policy="adaptive"', *OFTEN)


def answered(user: str, option: str, ts: int, item: str = "a") -> Answered:
    return Answered(
        event_id=f"{user}{ts}{item}",
        user_id=user,
        ts=ts,
        request_id="r",
        item_id=item,
        question="satisfaction",
        option=option,
        propensity=0.1,
    )


def test_the_adaptive_policy_asks_less_about_what_is_known() -> None:
    asks = Asks(small_recipe(*ADAPTIVE), SECRET, {"a": "kim", "b": "kim", "c": "lee"}.get)  # type: ignore[arg-type]
    asks.observe([answered(f"v{n}", "satisfied", NOW) for n in range(30)])
    result = {
        item: [explain(asks, View(f"u{n}", "r", item, 8000.0, 0), NOW) for n in range(200)] for item in "abc"
    }
    mean = {item: sum(f.rate for f in rows) / len(rows) for item, rows in result.items()}
    assert 0.1 <= mean["a"] < 0.12  # the floor is a quarter of .4
    assert mean["b"] < 0.12
    assert mean["c"] == pytest.approx(0.4 * (0.25 + 0.75 * 2 / 3), rel=0.05)
    assert all(0.1 <= f.rate <= 0.4 for rows in result.values() for f in rows)
    teaching = result["b"][0].teaching
    assert (teaching.group, teaching.belief) == ("author kim", (30.0, 0.0))
    # The rate of a viewer who gave all these answers does not depend on them.
    asks.observe([answered("only", "satisfied", NOW, "z")])
    assert explain(asks, View("only", "r", "z", 8000.0, 0), NOW).teaching.belief == (0.0, 0.0)
    assert explain(asks, View("v1", "r", "z", 8000.0, 0), NOW).teaching.belief == (1.0, 0.0)


def test_an_adaptive_ask_is_logged_with_its_own_rate_and_found_again(tmp_path: Path) -> None:
    recipe = small_recipe(*ADAPTIVE)
    live = Asks(recipe, SECRET)
    with SqliteLog(tmp_path / "events.log", 1) as log:  # sums of several differ in the last bit
        views = a_day(live, log, 120)
        answers = [answered(f"u{n % 8}", "uncertain", NOW + n, "ab"[n % 2]) for n in range(40)]
        log.append(EVENTS, answers)
        live.observe(answers)
        again = Asks(recipe, SECRET)
        now_ms = NOW + 120 * MINUTE
        catch_up(again, log, now_ms)
        assert stand(again, now_ms) == stand(live, now_ms)
        events = log.read(EVENTS, 0, 0, 10_000)
    offered = [event for event in events if isinstance(event, Offered)]
    assert len(offered) == len(views)
    assert {event.policy for event in offered} == {"adaptive"}
    assert len({event.rate for event in offered}) > 100
    assert all(e.rate * (1 + 1e-9) >= 0.1 and e.propensity <= e.rate * (1 + 1e-9) for e in offered)


def test_a_decision_read_back_counts_once() -> None:
    asks = Asks(small_recipe("ask.rate=1.0", "ask.daily_quota=9", "ask.pacing=none"), SECRET)
    served = request("r", "u", NOW)
    asks.observe([served])
    offered = asks.decide(view(served), NOW)
    before = stand(asks, NOW + 1)
    asks.observe([offered])
    assert stand(asks, NOW + 1) == before
    assert asks.used(NOW) == 1


def _hours_of_others(hours: int) -> list[Request]:
    """Return what moves time on: one request alone is not believed when it is far ahead."""
    return [request(f"h{hour}", "v", NOW + hour * 60 * MINUTE) for hour in range(0, hours + 1, 4)]


def test_a_decision_read_back_late_counts_once() -> None:
    asks = Asks(small_recipe("ask.rate=1.0", "ask.cool_down_minutes=0.0"), SECRET)
    served = request("r", "u", NOW)
    asks.observe([served])
    offered = asks.decide(view(served), NOW)
    # Another partition is read first, and its time has passed all windows.
    asks.observe(_hours_of_others(20))
    assert asks.decided(view(served)) == UNDECIDED
    asks.observe([offered])
    assert asks.used(NOW) == 1
    asks.observe(_hours_of_others(6 * 24))
    assert asks.ask_of(view(served)) is None
    assert not asks._decisions._not_yet_read


def test_a_decision_that_was_lost_is_forgotten_too() -> None:
    asks = Asks(small_recipe("ask.rate=1.0"), SECRET)
    served = request("r", "u", NOW)
    asks.observe([served])
    asks.decide(view(served), NOW)
    asks.observe(_hours_of_others(3 * 24))
    assert not asks._decisions._not_yet_read


def test_a_reservation_lapses_unless_it_was_shown() -> None:
    asks = Asks(small_recipe("ask.rate=1.0", "ask.daily_quota=9", "ask.pacing=none"), SECRET)
    views = [view(request(f"r{n}", f"u{n}", NOW)) for n in range(3)]
    asks.observe([request(f"r{n}", f"u{n}", NOW) for n in range(3)])
    for result in views:
        assert asks.decide(result, NOW).gate == ""
    asks.observe([asked(asks, views[0], NOW + 1000)])
    assert asks.used(NOW + 59_999) == 3
    assert asks.used(NOW + 60_000) == 1
    lapsed = asks.ask_of(views[1])
    assert lapsed is not None
    assert not lapsed.is_lapsed  # a query changes nothing
    asks.expire(NOW + 60_000)
    assert lapsed.is_lapsed
    assert asks.used(NOW + 60_000) == 1
    asks.observe([asked(asks, views[1], NOW + 1000)])  # its event was on its way to the log
    assert (asks.used(NOW + 60_000), asks.used(NOW + DAY_MS)) == (2, 0)


def test_a_platform_s_own_ask_closes_the_gates() -> None:
    asks = Asks(small_recipe("ask.rate=1.0"), SECRET)
    served = request("r", "u", NOW)
    ask = {"user_id": "u", "request_id": "r", "item_id": "b", "question": "satisfaction", "propensity": 0.1}
    asks.observe([served, Asked(event_id="e", ts=NOW, **ask)])
    offered = asks.decide(view(served), NOW + 1)
    assert (offered.gate, offered.propensity) == ("cool_down", 0.0)


def test_a_view_that_cannot_be_asked_about_is_explained() -> None:
    asks = Asks(small_recipe(), SECRET)
    served = request("r", "u", NOW)
    asks.observe([served])
    assert asks.why_not(view(served, play_ms=100.0, ratio=0.1), NOW)[0] == "eligible"
    for other, why in (
        (View("u", "r2", "a", 8000, 0), "the ranking is not known"),
        (View("v", "r", "a", 8000, 0), "the ranking was another viewer's"),
        (View("u", "r", "z", 8000, 0), "the item is not among those that the ranking returned and logged"),
    ):
        gate, result = asks.why_not(other, NOW)
        assert gate == "unknown_view"
        assert result.startswith(why)
    assert asks.why_not(view(served, play_ms=5001.0), NOW + 4000) == (
        "play_time",
        "played 5001 ms of a ranking that was made 4000 ms ago",
    )
    assert asks.why_not(view(served, play_ms=5000.0), NOW + 4000) == ("", "")
    assert asks.why_not(view(served), NOW + 60 * MINUTE) == ("", "")
    assert asks.why_not(view(served), NOW + 60 * MINUTE + 1)[0] == "unknown_view"
    assert asks.served.latest("u", "c") == "r"
    assert asks.served.latest("u", "z") == ""


def test_memory_is_bounded_by_what_can_still_matter() -> None:
    asks = Asks(small_recipe(*OFTEN, "ask.memory_days=1.0"), SECRET)
    for n in range(2000):
        served = request(f"r{n}", f"u{n}", NOW + n * 5 * MINUTE)
        asks.observe([served])
        asks.observe([asks.decide(view(served), served.ts)])
    assert len(asks.viewers) < 2.2 * 24 * 12
    assert len(asks._decisions._gates) <= 16
    assert len(asks.served._by_id) <= 16
    assert len(asks._decisions._asks) < 0.6 * 2 * 24 * 12
    assert len(asks._quota._used) <= 4


def test_an_outcome_on_the_log_is_the_ask_s() -> None:
    asks = Asks(small_recipe("ask.rate=1.0"), SECRET)
    served = request("r", "u", NOW)
    asks.observe([served])
    offered = asks.decide(view(served), NOW)
    answer = Answered(
        event_id=f"a{view(served).key}",
        user_id="u",
        ts=NOW,
        request_id="r",
        item_id="a",
        question=offered.question,
        option="satisfied",
        propensity=1.0,
        ask_id=f"q{view(served).key}",
    )
    asks.observe([answer, answer])
    ask = asks.ask(answer.ask_id)
    assert ask is not None
    assert ask.outcome == answer


def test_events_that_were_taken_before_are_skipped() -> None:
    asks = Asks(small_recipe(*ADAPTIVE), SECRET)
    asks.rebuild([], [2, 0])
    events = [answered("v", "satisfied", NOW + n, "z") for n in range(4)]
    asks.ingest(0, 1, events[1:3])
    assert explain(asks, View("u", "r", "z", 8000.0, 0), NOW + 3).teaching.belief[0] == pytest.approx(1.0)
    asks.ingest(0, 3, events[3:])
    assert explain(asks, View("u", "r", "z", 8000.0, 0), NOW + 3).teaching.belief[0] == pytest.approx(2.0)
    assert asks.offsets == [4, 0]


def test_the_first_outcome_of_an_ask_stays() -> None:
    asks = Asks(small_recipe("ask.rate=1.0", "ask.daily_quota=9", "ask.pacing=none"), SECRET)
    served = request("r", "u", NOW)
    asks.observe([served])
    asks.decide(view(served), NOW)
    ask = asks.ask_of(view(served))
    assert ask is not None
    asks.expire(NOW + 60_000)
    first, second = ask.outcome_event(Dismissed, NOW, 5), ask.outcome_event(Ignored, NOW, 6)
    asks.conclude(ask, first)
    asks.conclude(ask, second)
    assert (ask.outcome, ask.is_shown, asks.used(NOW + 60_000)) == (first, True, 1)
    ids = ask.ids
    assert (first.event_id, second.event_id, first.ask_id) == (ids.dismissal, ids.ignoring, ids.ask)
