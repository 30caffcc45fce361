"""Haste, habit and campaigns weigh less, and honest answers weigh what they did."""

import msgspec
import numpy as np
import pytest
from campaign import Campaign, disliked_author, judged

from easq.ask import recent
from easq.ask.quality import AnswerContext, AnswerWeight, QualityState, judge, observe, reading_ms
from easq.log.events import Answered, Asked, Event
from easq.recipe.questionnaire import Quality
from easq.recipe.read import read_recipe
from easq.sources.world.recording import events
from easq.sources.world.simulate import AskRates, World
from tests.support.small_worlds import RECIPES

RULES = Quality()
ABOUT = AnswerContext("kim", "Are you satisfied with this video?")
MINUTE, HOUR = 60_000, 3_600_000


def asked(user: str, ts: int, item: str = "i") -> Asked:
    return Asked(
        event_id=f"q{ts}{user}",
        user_id=user,
        ts=ts,
        request_id="r",
        item_id=item,
        question="s",
        propensity=0.1,
    )


def answer(user: str, ts: int, option: str = "good", item: str = "i", took_ms: int = 3000) -> Answered:
    return Answered(
        event_id=f"a{ts}{user}",
        user_id=user,
        ts=ts,
        request_id="r",
        item_id=item,
        question="s",
        option=option,
        propensity=0.1,
        took_ms=took_ms,
    )


def weigh(
    state: QualityState, answered: Answered, about: AnswerContext = ABOUT, rules: Quality = RULES
) -> AnswerWeight:
    """Judge an answer, let the state observe it as logged, and return its weight."""
    weight = judge(answered, state, rules, about)
    observe(msgspec.structs.replace(answered, weight=weight.weight, flags=weight.flags), state, rules, about)
    return weight


def usual(state: QualityState, hours: int = 10) -> None:
    """Let everybody be asked about many authors and one of ten answer, good and bad alike."""
    for n in range(60 * hours):
        about = AnswerContext(f"author{n % 41}")
        observe(asked(f"v{n}", n * MINUTE, f"i{n % 211}"), state, RULES, about)
        if n % 10 == 0:
            one = answer(f"v{n}", n * MINUTE + 3000, "good" if n % 20 else "bad", f"i{n % 211}")
            assert weigh(state, one, about) == (1.0, [])


def test_an_answer_before_the_question_could_be_read_counts_less() -> None:
    needed = round(reading_ms(ABOUT.text, RULES.skimming))
    assert weigh(QualityState(), answer("u", 0, took_ms=needed - 1)) == (0.2, ["speeder"])
    assert weigh(QualityState(), answer("u", 0, took_ms=needed + 1)) == (1.0, [])
    # What took how long is not known of old answers.
    assert weigh(QualityState(), answer("u", 0, took_ms=0)) == (1.0, [])


@pytest.mark.parametrize("took_ms", [0, 3000, 2**31 - 1])
def test_reading_time_is_bounded_by_the_time_since_the_offer(took_ms: int) -> None:
    """What a viewer's side says can be made up; when the service made its offer cannot."""
    needed = reading_ms(ABOUT.text, RULES.skimming)
    for since_ms, flags in ((needed - 1, ["speeder"]), (needed + 1, [])):
        assert (
            weigh(QualityState(), answer("u", 0, took_ms=took_ms), ABOUT._replace(since_ms=since_ms)).flags
            == flags
        )


def test_a_second_answer_may_be_quicker_but_not_arbitrarily() -> None:
    state = QualityState()
    weigh(state, answer("u", 0))
    assert weigh(state, answer("u", HOUR, "bad", "j", took_ms=400)) == (1.0, [])
    assert weigh(state, answer("u", 2 * HOUR, took_ms=200)).flags == ["speeder"]


def test_a_visitor_of_the_demo_page_who_answers_every_clip_counts_in_full() -> None:
    rules, state = read_recipe(RECIPES / "demo.toml").quality, QualityState()
    for n in range(40):
        tap = answer("u", n * 4000, ("good", "bad", "good")[n % 3], f"i{n % 20}", took_ms=1200)
        assert weigh(state, tap, AnswerContext("", ABOUT.text), rules) == (1.0, [])


def test_chinese_is_read_by_fewer_characters_a_second() -> None:
    assert reading_ms("满" * 17, 1) > 3 * reading_ms("a" * 17, 1)


def test_answers_in_a_burst_count_less_from_the_fourth_on() -> None:
    state = QualityState()
    result = [weigh(state, answer("u", n * 9000, "good" if n % 2 else "bad", f"i{n}")) for n in range(5)]
    assert [f.flags for f in result] == [[], [], [], ["burst"], ["burst"]]


def test_one_option_for_ever_counts_less_once_chance_would_not_do_that() -> None:
    state = QualityState()
    usual(state)
    # Half of all answers are good, so ten in a row come by chance once in a thousand times.
    start = 10 * HOUR
    result = [
        weigh(state, answer("u", start + n * 3 * HOUR, item=f"x{n}"), AnswerContext(f"a{n}"))
        for n in range(20)
    ]
    straight = [n for n, f in enumerate(result) if f.flags == ["straight_line"]]
    assert straight == list(range(straight[0], 20))
    assert 8 <= straight[0] <= 16
    assert weigh(state, answer("u", start + 500 * HOUR, "bad", "y"), AnswerContext("other")).flags == []


def test_answers_beyond_the_daily_limit_count_nothing_until_a_day_has_passed() -> None:
    state, rules = QualityState(), msgspec.structs.replace(RULES, max_per_day=3)
    result = [
        weigh(state, answer("u", n * HOUR, "good" if n % 2 else "bad", f"i{n}"), AnswerContext(), rules)
        for n in range(5)
    ]
    assert [f.weight for f in result] == [1, 1, 1, 0, 0]
    assert weigh(state, answer("u", 29 * HOUR, item="z"), AnswerContext(), rules) == (1.0, [])


def test_a_flood_about_one_author_counts_as_much_as_its_asks_lead_to_elsewhere() -> None:
    state, result = QualityState(), []
    usual(state)
    start = 10 * HOUR
    for n in range(100):
        ts = start + n * MINUTE
        observe(asked(f"h{n}", ts, f"k{n % 9}"), state, RULES, ABOUT)
        result.append(weigh(state, answer(f"h{n}", ts + 3000, item=f"k{n % 9}")))
    assert result[0] == (1.0, [])
    assert result[-1].flags == ["flood"]
    # 100 asks; elsewhere one of twenty is answered so; twice that is let through, and what came before
    # four viewers had answered so.
    assert sum(f.weight for f in result) < RULES.flood_excess * 100 / 20 + RULES.flood_viewers
    # Who took part and answers nearly all asks is doubted elsewhere too; who took part by chance is not.
    for n in range(6):
        ts, other = start + 2 * HOUR + n * 5 * MINUTE, AnswerContext(f"other{n}")
        observe(asked("h99", ts, f"o{n}"), state, RULES, other)
        weigh(state, answer("h99", ts + 3000, ("good", "bad")[n % 2], f"o{n}"), other)
    late = start + 4 * HOUR
    assert weigh(state, answer("h99", late, "bad", "j"), AnswerContext("else")) == (0.1, ["flooder"])
    for user in ("h98", "new"):
        assert weigh(state, answer(user, late, "bad", "j"), AnswerContext("else")) == (1.0, [])


def visits(state: QualityState, start: int, options: str, is_known: bool) -> list[tuple[str, AnswerWeight]]:
    """Ask 150 viewers about an author, of whom 15 answer; return what they say and what it weighs."""
    result = []
    for n in range(150):
        user, ts = f"{options}{start}.{n}", start + n * MINUTE
        for k in range(2 if is_known else 0):
            earlier, then = AnswerContext(f"author{(n + k) % 41}"), ts - HOUR + k * 90_000
            observe(asked(user, then, f"e{n}.{k}"), state, RULES, earlier)
            weigh(state, answer(user, then + 3000, ("good", "bad")[k], f"e{n}.{k}"), earlier)
        observe(asked(user, ts), state, RULES, ABOUT)
        if n % 10 == 9:
            option = "good" if options[n // 10 % len(options)] == "g" else "bad"
            result.append((option, weigh(state, answer(user, ts + 3000, option))))
    return result


def flood(state: QualityState, start: int, num: int, option: str) -> list[AnswerWeight]:
    """Let so many new viewers come for one author and answer once, patiently."""
    result = []
    for n in range(num):
        observe(asked(f"x{n}", start + n * 30_000), state, RULES, ABOUT)
        result.append(weigh(state, answer(f"x{n}", start + n * 30_000 + 4000, option)))
    return result


@pytest.mark.parametrize(("option", "honest"), [("good", "gggggggggb"), ("bad", "bbbbbbbbbg")])
@pytest.mark.parametrize("num", [10, 20, 40, 80])
def test_a_flood_is_no_weapon_against_those_it_praises_or_blames(num: int, option: str, honest: str) -> None:
    """At both ends of the scale.

    Viewers who are known for other answers keep their say, and of the others no option is let through more
    than another. The flood itself gets what its asks bring elsewhere.
    """
    state = QualityState()
    usual(state)
    said = flood(state, 11 * HOUR, num, option)
    assert sum(one.weight for one in said) < 2 * RULES.flood_excess * num / 20 + RULES.flood_viewers + 1
    known = visits(state, 12 * HOUR, honest, is_known=True)
    assert [one.weight for _, one in known] == [1.0] * 15
    new = visits(state, 15 * HOUR, honest, is_known=False)
    mean = [np.mean([one.weight for o, one in new if o == name]) for name in ("good", "bad")]
    assert min(mean) > 0.15
    assert mean[0] == pytest.approx(mean[1], rel=0.3)
    # Nobody of them is doubted elsewhere for having been there.
    for user in (f"{honest}{15 * HOUR}.9", "x3"):
        assert weigh(state, answer(user, 19 * HOUR, "bad", "j"), AnswerContext("else")) == (1.0, [])


def known_regulars(state: QualityState, num: int) -> None:
    """Make viewers known by two answers about others, and let one in ten of their later asks be answered."""
    for n in range(num):
        for k in range(12):
            about, ts = AnswerContext(f"author{(n + 3 * k) % 41}"), (5 + k // 2) * HOUR + n * 20_000
            observe(asked(f"reg{n}", ts, f"g{n % 80}.{k}"), state, RULES, about)
            if k < 2 or (n + k) % 10 == 0:
                option = ("good", "bad")[(n // 10 + k) % 2]
                weigh(state, answer(f"reg{n}", ts + 3000, option, f"g{n % 80}.{k}"), about)


@pytest.mark.parametrize(("option", "honest"), [("good", "gggggggggb"), ("bad", "bbbbbbbbbg")])
@pytest.mark.parametrize("num", [20, 40, 80])
def test_a_flood_of_known_viewers_is_a_bounded_weapon(num: int, option: str, honest: str) -> None:
    """Who first gave two ordinary answers about others is known, so such a flood costs the known too."""
    state = QualityState()
    usual(state)
    known_regulars(state, 400)
    for n in range(num):
        for k in range(2):
            about, ts = AnswerContext(f"author{(n + k) % 41}"), 11 * HOUR + n * 1000 + k * 20 * MINUTE
            observe(asked(f"x{n}", ts, f"y{n}.{k}"), state, RULES, about)
            weigh(state, answer(f"x{n}", ts + 3000, ("good", "bad")[(n + k) % 2], f"y{n}.{k}"), about)
    said = flood(state, 12 * HOUR, num, option)
    assert sum(one.weight for one in said) < 2 * RULES.flood_excess * num / 20 + 2 * RULES.flood_viewers
    said_by_known = visits(state, 13 * HOUR, honest, is_known=True)
    weights = {o: [one.weight for name, one in said_by_known if name == o] for o in ("good", "bad")}
    assert min(np.mean(weights["good"]), np.mean(weights["bad"])) > 0.1


def test_an_option_that_nobody_chooses_elsewhere_silences_nobody() -> None:
    """At a left part of the usual rate, four answers of it would leave next to nothing of all others."""
    state = QualityState()
    for n in range(6000):
        about = AnswerContext(f"author{n % 41}")
        observe(asked(f"v{n}", n * 10_000, f"i{n % 211}"), state, RULES, about)
        if n % 10 == 0:
            weigh(state, answer(f"v{n}", n * 10_000 + 3000, "good", f"i{n % 211}"), about)
    flood(state, 17 * HOUR, 6, "bad")
    said = [one.weight for _, one in visits(state, 18 * HOUR, "g", is_known=False)]
    assert np.mean(said) > 0.1


def test_one_viewer_alone_is_no_flood_and_an_item_can_be_flooded_without_its_author_known() -> None:
    state = QualityState()
    usual(state)
    alone = [weigh(state, answer("u", 10 * HOUR + n * 20 * MINUTE, item="k")) for n in range(6)]
    assert not any("flood" in f.flags for f in alone)
    several = [
        weigh(state, answer(f"w{n}", 13 * HOUR + n * MINUTE, item="k"), AnswerContext()) for n in range(9)
    ]
    assert several[-1].flags == ["flood"]


def test_a_loved_author_with_ordinary_asks_is_no_flood() -> None:
    state = QualityState()
    usual(state)
    for n in range(2000):
        ts = 10 * HOUR + n * MINUTE
        observe(asked(f"w{n}", ts, f"k{n % 9}"), state, RULES, ABOUT)
        if n % 11 == 0:
            assert weigh(state, answer(f"w{n}", ts + 3000, item=f"k{n % 9}")) == (1.0, [])


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "MAX_KEYS", 50)
    state = QualityState()
    for n in range(400):
        weigh(state, answer(f"u{n % 130}", n * HOUR, item=f"i{n}"), AnswerContext(f"a{n}"))
    assert len(state.viewers) == len(state.targets) == 50
    assert max(len(past) for past in state.viewers.values()) <= 32
    assert "u9" in state.viewers  # the last to speak: 399 % 130


def test_judging_changes_nothing() -> None:
    state = QualityState()
    usual(state, 2)
    before = msgspec.msgpack.encode(str(state))
    judge(answer("u", 3 * HOUR), state, RULES, ABOUT)
    assert msgspec.msgpack.encode(str(state)) == before


def test_a_campaign_in_the_world_is_found_and_honest_viewers_are_left_alone() -> None:
    world = World(3, AskRates(ask=0.1, answer=0.1), num_viewers=1000, num_items=1000)
    campaign = Campaign(disliked_author(world))
    authors = world.catalogue.author_I

    def campaign_log() -> list[Event]:
        chunks = (campaign.join(world, c, 0.1) for c in world.chunks(6000, size=500))
        return [e for c in chunks for e in sorted(events(world, c), key=lambda e: e.ts)]

    weights: dict[tuple[bool, bool], list[float]] = {}
    for event in judged(campaign_log(), RULES, lambda item: str(authors[int(item[1:])])):
        if isinstance(event, Answered):
            is_own = bool(authors[int(event.item_id[1:])] == campaign.author)
            weights.setdefault((int(event.user_id[1:]) < 50, is_own), []).append(event.weight)
    pushed, honest = weights[True, True], weights[False, False]
    assert len(pushed) > 50
    assert sum(pushed) < 0.35 * len(pushed)
    assert sum(honest) > 0.99 * len(honest)
