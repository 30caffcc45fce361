"""Where an answer teaches most: what is believed of a group, what a draw makes of it, bounds of rates."""

import itertools
from math import isclose
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easq.ask import recent
from easq.ask.adaptive import Belief, Beliefs, believed, group_of, mixed, observe, teaching
from easq.ask.policy import sticky
from easq.log.events import Answered

HOUR = 3_600_000
OPTIONS = ("bad", "so", "good")
NOTHING = Belief(0.0, 0.0)


def answer(user: str, option: str, ts: int = 0, weight: float = 1.0) -> Answered:
    return Answered(
        event_id=f"a{user}{ts}",
        user_id=user,
        ts=ts,
        request_id="r",
        item_id="i",
        question="s",
        option=option,
        propensity=0.1,
        weight=weight,
    )


def beliefs_of(*answers: Answered, group: str = "g") -> Beliefs:
    beliefs = Beliefs()
    for one in answers:
        observe(beliefs, one, group, OPTIONS, HOUR)
    return beliefs


def draws(count: int) -> list[float]:
    return [sticky(bytes(32), str(n)) for n in range(count)]


def test_an_author_is_a_group_and_an_item_without_one() -> None:
    assert group_of("i", "kim") == "author kim"
    assert group_of("kim", "") == "item kim"


def test_answers_are_good_and_bad_by_their_place_and_weight() -> None:
    beliefs = beliefs_of(answer("a", "good"), answer("b", "so", weight=0.5), answer("c", "bad"))
    assert believed(beliefs, "g", "other", 0, HOUR) == Belief(1.25, 1.25)
    assert believed(beliefs, "elsewhere", "other", 0, HOUR) == NOTHING


def test_an_unknown_option_does_not_count() -> None:
    assert beliefs_of(answer("a", "great")) == Beliefs()


def test_answers_fade() -> None:
    beliefs = beliefs_of(answer("a", "good"), answer("b", "bad", HOUR))
    assert believed(beliefs, "g", "other", 2 * HOUR, HOUR) == Belief(0.25, 0.5)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b"]),
            st.sampled_from(OPTIONS),
            st.integers(0, 5 * HOUR),
            st.floats(0, 1),
        ),
        max_size=20,
    )
)
def test_a_viewer_s_own_answers_play_no_part(said: list[tuple[str, str, int, float]]) -> None:
    """What is believed for a viewer is the same as if that viewer had never answered."""
    answers = [
        answer(user, option, ts, weight) for user, option, ts, weight in sorted(said, key=lambda s: s[2])
    ]
    result = believed(beliefs_of(*answers), "g", "a", 6 * HOUR, HOUR)
    without = believed(beliefs_of(*(one for one in answers if one.user_id != "a")), "g", "a", 6 * HOUR, HOUR)
    assert isclose(result.good, without.good, abs_tol=1e-9)
    assert isclose(result.bad, without.bad, abs_tol=1e-9)


def test_of_own_answers_only_those_of_the_group_are_left_out() -> None:
    beliefs = beliefs_of(answer("a", "good"))
    observe(beliefs, answer("a", "bad"), "h", OPTIONS, HOUR)
    observe(beliefs, answer("b", "bad"), "h", OPTIONS, HOUR)
    assert believed(beliefs, "h", "a", 0, HOUR) == Belief(0.0, 1.0)


def test_an_answer_teaches_most_where_nothing_is_known_and_where_opinions_differ() -> None:
    def usual(belief: Belief) -> float:
        return fmean(teaching("g", belief, sample).gain for sample in draws(2000))

    unknown, few, many = usual(NOTHING), usual(Belief(2, 2)), usual(Belief(20, 20))
    assert unknown > few > many
    assert usual(Belief(20, 20)) > usual(Belief(38, 2))
    # Of a uniform share p the mean of 4 p (1 - p) is two thirds.
    assert isclose(unknown, 2 / 3, abs_tol=0.02)


def test_draws_follow_the_posterior() -> None:
    result = [teaching("g", Belief(6.0, 2.0), sample).drawn for sample in draws(4000)]
    assert isclose(fmean(result), 7 / 10, abs_tol=0.01)
    assert isclose(fmean((p - 0.7) ** 2 for p in result), 0.7 * 0.3 / 11, abs_tol=0.002)


def test_the_same_view_draws_the_same() -> None:
    one, same, other = (teaching("g", Belief(3, 1), sample) for sample in (0.25, 0.25, 0.26))
    assert one == same
    assert one.drawn != other.drawn


@given(st.floats(0, 1), st.floats(0.05, 1), st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 0.999))
def test_a_rate_is_between_its_floor_and_the_rate(
    rate: float, floor: float, good: float, bad: float, sample: float
) -> None:
    result = mixed(rate, floor, teaching("g", Belief(good, bad), sample).gain)
    assert rate * floor <= result <= rate * (1 + 1e-9)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "MAX_KEYS", 3)
    beliefs = Beliefs()
    for n, group in zip(range(60), itertools.cycle("abcdef")):
        observe(beliefs, answer(f"u{n % 7}", "good", n), group, OPTIONS, HOUR)
    assert list(beliefs.good) == list(beliefs.bad) == ["d", "e", "f"]
    assert list(beliefs.viewers) == ["u1", "u2", "u3"]
    for n in range(100):
        observe(beliefs, answer("u", "good", n), "a", OPTIONS, HOUR)
    assert len(beliefs.viewers["u"]) == 32
