"""The rule, gate by gate, and the probability that it asks."""

import itertools
import random
from math import isclose

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from easq.ask.policy import (
    DAY_MS,
    NEVER,
    NOT_ASKED,
    Rule,
    Viewer,
    advance,
    ask_elsewhere,
    chance_open,
    choose,
    draw,
    gates,
    is_eligible,
    own_lately,
    rate_now,
    sticky,
)
from easq.recipe.questionnaire import AskSettings

MINUTE = 60_000
HOUR = 60 * MINUTE
START = 20_000 * DAY_MS
RULE = Rule.of(AskSettings(rate=0.3, cool_down_minutes=160.0, max_per_session=1, max_per_day=2))


def closed(rule: Rule, viewer: Viewer, used: int = 0, sample: float = 0.0) -> list[str]:
    rate = rate_now(rule, used, viewer.seen)
    return [gate.name for gate in gates(rule, viewer, used, rate, sample) if not gate.is_open]


def asked_at(rule: Rule, ts: int) -> Viewer:
    return draw(rule, advance(rule, None, ts), rule.rate, True)


@pytest.mark.parametrize(
    ("play_ms", "ratio", "expected"),
    [(7000, 0, True), (6999.9, 0.49, False), (0, 0.5, True), (0, 0, False), (1e9, 9, True)],
)
def test_a_view_is_eligible_by_either_measure(play_ms: float, ratio: float, expected: bool) -> None:
    assert is_eligible(RULE, play_ms, ratio) is expected


def test_a_new_viewer_is_asked_by_the_draw_alone() -> None:
    viewer = advance(RULE, None, START)
    assert closed(RULE, viewer, sample=0.29) == []
    assert closed(RULE, viewer, sample=0.3) == ["sampling"]


def test_gates_report_their_values() -> None:
    first = gates(RULE, advance(RULE, None, START), 0, 0.3, 0.5)
    assert first[0].why == "last asked never"
    assert "and there is no quota" in first[3].why
    viewer = advance(RULE, asked_at(RULE, START), START + 10 * MINUTE)
    result = gates(RULE._replace(daily_quota=5), viewer, 2, 0.3, 0.1)
    assert [gate.why for gate in result] == [
        "last asked 10.0 minutes ago; it ends in 160.0 minutes",
        "asked 1 in this session, at most 1",
        "asked 1 this day, at most 2",
        "2 asks of this day of 5; the rate of now is 0.3",
        "the draw of this view is 0.100000, asked below 0.3",
    ]


@given(st.integers(0, DAY_MS), st.integers(0, 4 * HOUR))
def test_the_cool_down_is_never_shorter_and_at_most_a_part_longer(offset: int, later: int) -> None:
    rule = RULE._replace(max_per_session=100, max_per_day=100)
    asked = START + offset
    is_open = closed(rule, advance(rule, asked_at(rule, asked), asked + later)) == []
    if later < 160 * MINUTE:
        assert not is_open
    if later >= 170 * MINUTE:
        assert is_open


def test_without_a_cool_down_only_the_caps_close() -> None:
    rule = Rule.of(AskSettings(cool_down_minutes=0.0, max_per_session=2, max_per_day=3))
    viewer = asked_at(rule, START)
    assert viewer.place == (NEVER, 1, 1)
    assert closed(rule, advance(rule, viewer, START)) == []
    viewer = draw(rule, advance(rule, viewer, START), rule.rate, True)
    assert closed(rule, advance(rule, viewer, START + 1)) == ["session"]
    elsewhere = ask_elsewhere(rule, advance(rule, viewer, START + HOUR))
    assert elsewhere.place == (NEVER, 1, 3)
    assert closed(rule, elsewhere) == ["day"]


def test_a_session_ends_by_its_pause_or_by_its_name() -> None:
    rule = RULE._replace(tick_ms=0)
    viewer = draw(rule, advance(rule, None, START, "one"), rule.rate, True)
    assert closed(rule, advance(rule, viewer, START + 29 * MINUTE, "one")) == ["session"]
    assert closed(rule, advance(rule, viewer, START + 29 * MINUTE)) == ["session"]
    assert closed(rule, advance(rule, viewer, START + MINUTE, "two")) == []
    assert closed(rule, advance(rule, viewer, START + 31 * MINUTE, "one")) == []
    assert advance(rule, viewer, START + 1).session == "one"


def test_a_day_ends_at_midnight() -> None:
    rule = RULE._replace(tick_ms=0, max_per_day=1)
    viewer = asked_at(rule, START + 23 * HOUR)
    assert closed(rule, advance(rule, viewer, START + 24 * HOUR - 1)) == ["day"]
    assert closed(rule, advance(rule, viewer, START + 24 * HOUR)) == []


def test_asks_are_remembered_for_a_while() -> None:
    viewer = asked_at(RULE, START)
    assert advance(RULE, viewer, START + 6 * DAY_MS).asks == (START,)
    assert advance(RULE, viewer, START + 7 * DAY_MS + 1) == advance(RULE, None, START + 7 * DAY_MS + 1)
    later = advance(RULE, advance(RULE, viewer, START + 6 * DAY_MS), START + 8 * DAY_MS)
    assert later.asks == ()


def test_after_a_long_pause_all_gates_are_open_as_for_nobody() -> None:
    viewer = advance(RULE, asked_at(RULE, START), START + RULE.settled_ms + 1)
    assert (viewer.place, viewer.chances) == (NOT_ASKED, {NOT_ASKED: 1.0})


def test_time_does_not_run_backwards() -> None:
    viewer = advance(RULE, None, START)
    assert advance(RULE, viewer, START - HOUR).seen == START


def test_without_a_quota_the_rate_is_that_of_the_settings() -> None:
    assert rate_now(RULE, 10**9, START) == 0.3


def test_a_quota_that_is_used_up_asks_nobody() -> None:
    rule = Rule.of(AskSettings(rate=0.3, daily_quota=10, pacing="none"))
    assert rate_now(rule, 9, START) == 0.3
    assert rate_now(rule, 10, START) == 0.0
    assert closed(rule, advance(rule, None, START), used=10, sample=0.0) == ["pace", "sampling"]


def test_even_pacing_slows_down_ahead_of_the_clock() -> None:
    rule = Rule.of(AskSettings(rate=0.3, daily_quota=480, pacing="even", pacing_minutes=30.0))
    assert rule.lead == 10
    noon = START + 12 * HOUR
    assert rate_now(rule, 0, START) == 0.3
    assert rate_now(rule, 10, START) == 0.0
    assert [rate_now(rule, used, noon) for used in (100, 240, 250)] == [0.3, 0.3, 0.0]
    assert isclose(rate_now(rule, 245, noon), 0.15)
    assert rate_now(rule, 480, START + DAY_MS - 1) == 0.0
    assert Rule.of(AskSettings(daily_quota=3)).lead == 1.0


def test_pacing_excludes_the_viewers_recent_asks() -> None:
    rule = Rule.of(AskSettings(rate=0.3, daily_quota=480, pacing="even", pacing_minutes=30.0))
    noon = START + 12 * HOUR
    assert isclose(rate_now(rule, 245, noon, own=1), 0.18)
    assert rate_now(rule, 480, START + DAY_MS - 1, own=5) == 0.0  # the quota itself leaves nothing out
    viewer = asked_at(rule, noon)
    assert [own_lately(rule, advance(rule, viewer, noon + n * MINUTE)) for n in (0, 30, 31)] == [1, 1, 0]
    evening = asked_at(rule, START + DAY_MS - MINUTE)
    assert own_lately(rule, advance(rule, evening, START + DAY_MS)) == 0


def asks_and_propensities(rule: Rule, times: list[int], counts_own: bool) -> tuple[float, float]:
    """Return how many asks a lone viewer gets, and the propensities' sum, as means over all outcomes."""

    def follow(n: int, viewer: Viewer | None, used: int) -> tuple[float, float]:
        if n == len(times):
            return 0.0, 0.0
        here = advance(rule, viewer, times[n])
        rate = rate_now(rule, used, times[n], 0 if counts_own else own_lately(rule, here))
        asks, chances = 0.0, rate * chance_open(rule, here)
        for wins, weight in ((True, rate), (False, 1 - rate)):
            sample = 0.0 if wins else 1.0
            is_asked = all(gate.is_open for gate in gates(rule, here, used, rate, sample))
            later = follow(n + 1, draw(rule, here, rate, is_asked), used + is_asked)
            asks += weight * (is_asked + later[0])
            chances += weight * later[1]
        return asks, chances

    return follow(0, None, rule.daily_quota // 2)


def test_with_a_quota_propensities_hold_because_own_asks_are_left_out() -> None:
    """The quota is so small that a viewer's own ask would slow down the pace for that viewer."""
    rule = Rule.of(
        AskSettings(rate=0.5, cool_down_minutes=10.0, max_per_session=9, max_per_day=9, daily_quota=96)
    )
    times = [START + 12 * HOUR + n * 3 * MINUTE for n in range(9)]
    asks, chances = asks_and_propensities(rule, times, counts_own=False)
    assert isclose(asks, chances, rel_tol=1e-9)
    asks, chances = asks_and_propensities(rule, times, counts_own=True)
    assert asks > 1.04 * chances


def exact(rule: Rule, times: list[int], rates: list[float]) -> list[float]:
    """Return each view's probability by going through all outcomes of all draws."""
    result = [0.0] * len(times)
    for outcome in itertools.product((True, False), repeat=len(times)):
        viewer, weight, asked = None, 1.0, []
        for n, (ts, rate, wins) in enumerate(zip(times, rates, outcome, strict=True)):
            viewer = advance(rule, viewer, ts)
            weight *= rate if wins else 1 - rate
            is_asked = not closed(rule._replace(rate=rate), viewer, sample=0.0 if wins else 1.0)
            viewer = draw(rule, viewer, rate, is_asked)
            asked += [n] * is_asked
        for n in asked:
            result[n] += weight
    return result


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 5 * HOUR), min_size=1, max_size=7),
    st.integers(0, 2**32),
    st.sampled_from([0.0, 50.0, 160.0, 700.0]),
    st.integers(1, 2),
    st.integers(1, 2),
)
def test_the_probability_is_that_of_all_outcomes(
    gaps: list[int], seed: int, cool_down: float, per_session: int, per_day: int
) -> None:
    ask = AskSettings(rate=0.5, cool_down_minutes=cool_down, max_per_session=per_session, max_per_day=per_day)
    rule, rng = Rule.of(ask), random.Random(seed)
    times = [START + ts for ts in itertools.accumulate(gaps)]
    rates = [rng.choice([0.0, 0.2, 0.5, 1.0]) for _ in times]
    expected = exact(rule, times, rates)
    viewer = None
    for ts, rate, chance in zip(times, rates, expected, strict=True):
        viewer = advance(rule, viewer, ts)
        assert isclose(rate * chance_open(rule, viewer), chance, abs_tol=1e-9)
        # Whether it was really asked has no part in it.
        viewer = draw(rule, viewer, rate, rng.random() < rate and viewer.place == NOT_ASKED)
        assert isclose(sum(viewer.chances.values()), 1.0)


def test_the_places_kept_are_few_however_many_views() -> None:
    viewer = None
    for n in range(5000):
        viewer = draw(RULE, advance(RULE, viewer, START + n * 10_000), 0.3, False)
    assert viewer is not None
    assert len(viewer.chances) <= 17 * 3


def test_an_ask_elsewhere_is_certain() -> None:
    viewer = advance(RULE, None, START)
    viewer = ask_elsewhere(RULE, draw(RULE, viewer, 0.3, False))
    assert chance_open(RULE, advance(RULE, viewer, START + MINUTE)) == 0.0
    assert viewer.asks == (START,)


def test_draws_are_sticky_uniform_and_secret() -> None:
    salt = bytes(32)
    assert sticky(salt, "u", "i") == sticky(salt, "u", "i")
    assert len({sticky(salt, "u", "i"), sticky(salt, "ui", ""), sticky(bytes(31) + b"1", "u", "i")}) == 3
    samples = [sticky(salt, "u", str(n)) for n in range(20_000)]
    counts = [sum(int(10 * sample) == part for sample in samples) for part in range(10)]
    assert sum((count - 2000) ** 2 / 2000 for count in counts) < 27.9  # chi-square, 9 degrees, p = 0.001
    assert 0 <= sticky(salt, "\ud800") < 1


@pytest.mark.parametrize(
    ("sample", "expected"), [(0.0, 0), (0.24, 0), (0.25, 1), (0.74, 1), (0.75, 2), (0.999, 2)]
)
def test_shares_divide_the_draws(sample: float, expected: int) -> None:
    assert choose([1.0, 2.0, 1.0], sample) == expected
