"""Validity of a log's questionnaire, on platforms with a known truth."""

import json
import random
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from easq.log.events import EVENTS, Answered, Asked, Dismissed, Event, Ignored
from easq.log.sqlite import SqliteLog
from easq.prove.answers import validity as module
from easq.prove.answers.results import ValidityResult
from easq.prove.answers.sampled import Sampled
from easq.prove.answers.validity import measure_validity
from easq.prove.report.about_answers import write_validity
from easq.prove.report.answer_figures import share_dots
from tests.cli.test_cli import easq
from tests.support.known_platform import HOUR, RECIPE, START, answered, asked, behavior, platform, request


def measured(
    events: Iterable[Event], folder: Path, hours: float = 24.0, readiness: float = 1.0
) -> dict[str, Any]:
    return dict(msgspec.to_builtins(measured_result(events, folder, hours, readiness)))


def measured_result(
    events: Iterable[Event], folder: Path, hours: float = 24.0, readiness: float = 1.0
) -> ValidityResult:
    path = folder / "events.log"
    path.unlink(missing_ok=True)
    with closing(SqliteLog(path, 3)) as log:
        log.append(EVENTS, sorted(events, key=lambda e: e.ts))
        return measure_validity(RECIPE, log, hours, readiness=readiness)


def covers(result: dict[str, float], truth: float) -> bool:
    return result["low"] <= truth <= result["high"]


def test_later_views_are_those_of_requests_in_the_window_and_nothing_else(tmp_path: Path) -> None:
    """By hand. Others: 0 of 2, 2 of 2. After: 1 of 2. Left out: the answered request itself."""
    made = {
        name: request(name, "u", START + round(hour * HOUR))
        for name, hour in {"before": -10.0, "asked": 0.0, "within": 23.0, "beyond": 25.0}.items()
    }
    ask = asked(made["asked"])
    likes = {"before": [0.0, 0.0], "asked": [1.0, 1.0], "within": [1.0, 0.0], "beyond": [1.0, 1.0]}
    events: list[Event] = [ask, answered(ask, "satisfied"), *made.values()]
    events += [behavior(made[name], liked) for name, liked in likes.items()]
    result = measured(events, tmp_path)
    assert result["after"]["satisfied"] == {"views": 2, "viewers": 1}
    # 1 like where 2 views at an average of 2 likes in 4 views lead to 1.
    assert result["metrics"]["later/satisfied/like"]["value"] == 1.0
    assert measured(events, tmp_path, hours=26)["after"]["satisfied"] == {"views": 4, "viewers": 1}
    assert measured(events, tmp_path, hours=1)["after"]["satisfied"] == {"views": 0, "viewers": 0}


def test_watch_time_is_no_behavior_that_follows_an_answer(tmp_path: Path) -> None:
    made = [request(f"r{n}", "u", START + n * HOUR) for n in range(3)]
    ask = asked(made[1])
    events: list[Event] = [ask, answered(ask, "satisfied"), *made]
    events += [behavior(one, [1.0, 0.0]) for one in made]
    watched = msgspec.structs.replace(RECIPE.metrics, watch="like")
    with closing(SqliteLog(tmp_path / "events.log", 3)) as log:
        log.append(EVENTS, sorted(events, key=lambda e: e.ts))
        for recipe, is_there in ((RECIPE, True), (msgspec.structs.replace(RECIPE, metrics=watched), False)):
            result = measure_validity(recipe, log, 24.0).metrics
            assert ("later/satisfied/like" in result) is is_there


def test_known_effect_of_answers_is_found_and_its_absence_too(tmp_path: Path) -> None:
    def says(_: float, number: int, random: np.random.Generator) -> str:
        return str(random.choice(["dissatisfied", "satisfied"])) if number % 4 == 0 else ""

    effect = {"satisfied": 1.5, "dissatisfied": 0.5}
    result = measured(platform(1, 150, 80, says, lambda option: effect[option]), tmp_path)
    for option, factor in effect.items():
        later = result["metrics"][f"later/{option}/like"]
        assert covers(later, factor)
        assert not covers(later, 1.0)
    nothing = measured(platform(2, 150, 80, says), tmp_path)
    assert all(covers(nothing["metrics"][f"later/{option}/like"], 1.0) for option in effect)


def test_fatigue_and_outcomes_are_counted_as_they_were(tmp_path: Path) -> None:
    chance = {1: 0.8, 2: 0.4}

    def says(_: float, number: int, random: np.random.Generator) -> str:
        return "satisfied" if random.random() < chance.get(number, 0.1) else ""

    result = measured(platform(3, 400, 12, says), tmp_path)["metrics"]
    for number, share in {"1": 0.8, "2": 0.4, "3": 0.1}.items():
        assert result[f"response/number/{number}"]["value"] == pytest.approx(share, abs=0.06)


def test_what_became_of_an_ask_is_its_first_end_and_an_answer_goes_before_all(tmp_path: Path) -> None:
    made = [request(f"r{n}", f"u{n}", START + n) for n in range(5)]
    asks = [asked(r, order=("satisfied", "uncertain", "dissatisfied")) for r in made]

    def end(kind: type[Dismissed] | type[Ignored], n: int, ts: int) -> Event:
        ask = asks[n]
        return kind(
            event_id=f"{kind.__name__}{n}",
            user_id=ask.user_id,
            ts=ts,
            request_id=ask.request_id,
            item_id=ask.item_id,
            question=ask.question,
            propensity=ask.propensity,
            ask_id=ask.event_id,
        )

    later = START + 10_000
    events: list[Event] = [*made, *asks, *(behavior(r, [1.0, 0.0]) for r in made)]
    events += [answered(asks[0], "satisfied", 1500), answered(asks[1], "uncertain", 6000)]
    events += [
        end(Ignored, 1, later - 5000),
        end(Dismissed, 2, later),
        end(Ignored, 2, later + 1),
        end(Ignored, 3, later),
    ]
    random.Random(1).shuffle(events)
    result = measured(events, tmp_path)
    outcomes = {"answered": 2, "dismissed": 1, "ignored": 1, "silent": 1}
    assert {name: result["counts"][name] for name in outcomes} == outcomes
    assert result["metrics"]["response/first/satisfied"]["value"] == 0.4
    assert result["metrics"]["chosen/satisfied/1"]["value"] == 0.5
    assert result["metrics"]["chosen/dissatisfied/3"]["value"] == 0
    assert result["took_ms"]["satisfied"]["answers"] == 1
    assert result["took_ms"]["uncertain"]["p50"] == pytest.approx(6000, rel=0.08)


def test_weighting_by_the_response_model_recovers_the_share_of_all_views(tmp_path: Path) -> None:
    """The old answer more often and are less satisfied: half of all, but few of those who answer."""

    def says(age: float, _: int, random: np.random.Generator) -> str:
        if random.random() >= (0.4 if age > 0 else 0.1):
            return ""
        return "satisfied" if random.random() < (0.2 if age > 0 else 0.8) else "dissatisfied"

    result = measured(platform(4, 400, 20, says, age_of=lambda random: float(random.integers(2))), tmp_path)
    share = {kind: result["metrics"][f"share/{kind}/satisfied"] for kind in ("answered", "asks_and_response")}
    assert share["answered"]["high"] < 0.4
    assert covers(share["asks_and_response"], 0.5)
    (age,) = [c for c in result["model"]["covariates"] if c["name"] == "age"]
    assert age["before"] > 0.4
    assert max(abs(c["after"]) for c in result["model"]["covariates"]) < 0.05


def test_a_known_readiness_recovers_the_share_of_all_views(tmp_path: Path) -> None:
    """Half are satisfied, and the dissatisfied answer twice as readily: behavior does not tell them."""

    def says(_: float, __: int, random: np.random.Generator) -> str:
        is_satisfied = random.random() < 0.5
        if random.random() >= (0.2 if is_satisfied else 0.4):
            return ""
        return "satisfied" if is_satisfied else "dissatisfied"

    result = measured_result(platform(5, 400, 20, says), tmp_path, readiness=2.0)
    data = msgspec.to_builtins(result)
    share = {kind: data["metrics"][f"share/{kind}/satisfied"] for kind in ("asks_and_response", "readiness")}
    assert share["asks_and_response"]["high"] < 0.45
    assert covers(share["readiness"], 0.5)
    assert data["readiness"] == 2.0
    assert share_dots(result) is not None
    without = measured(platform(5, 40, 20, says), tmp_path)
    assert "share/readiness/satisfied" not in without["metrics"]


def test_memory_is_bounded_by_a_random_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_VIEWERS", 60)
    monkeypatch.setattr(module, "MOST_ASKS", 200)

    def says(_: float, __: int, random: np.random.Generator) -> str:
        return "satisfied" if random.random() < 0.5 else ""

    result = measured(platform(5, 300, 12, says), tmp_path)
    assert result["counts"]["described"] == 200
    assert result["counts"]["viewers_kept"] <= 0.25
    assert 0 < result["after"]["satisfied"]["viewers"] <= 60
    # All asks are counted all the same.
    assert covers(result["metrics"]["response/question/satisfaction"], 0.5)


def test_sampled_viewers_keep_their_counts_when_others_go() -> None:
    random, sampled, truth = np.random.default_rng(1), Sampled((1,), 100), dict[int, int]()
    ids = random.integers(-(1 << 62), 1 << 62, 3000).tolist()
    for user in ids + ids:
        row = sampled.row(user)
        truth[user] = truth.get(user, 0) + 1
        if row is not None:
            row += 1
    users, counts = sampled.all()
    assert 30 <= len(users) <= 100
    late = [counts[n, 0] for n, user in enumerate(users.tolist())]
    assert set(late) == {2}


def test_report_and_command_show_it(tmp_path: Path) -> None:
    def says(_: float, number: int, random: np.random.Generator) -> str:
        return "satisfied" if random.random() < 0.5 else ""

    result = measured_result(platform(6, 40, 10, says), tmp_path)
    write_validity(result, tmp_path / "one.html")
    write_validity(msgspec.convert(msgspec.to_builtins(result), ValidityResult), tmp_path / "two.html")
    page = (tmp_path / "one.html").read_text()
    assert page == (tmp_path / "two.html").read_text()
    assert page.count('class="plot"') >= 6
    assert "http://" not in page.split("<script>")[0]


def test_command_reads_a_log(tmp_path: Path) -> None:
    world = easq("world", "make", "--out", tmp_path / "w.log", "--views", 3000, "--ask", 0.5, "--answer", 0.5)
    assert world.returncode == 0, world.stderr
    arguments = ["--log", tmp_path / "w.log", "--recipe", "recipes/world.toml", "--out", tmp_path / "v.html"]
    done = easq("validity", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["counts"]["answered"] > 100
    assert (tmp_path / "v.html").stat().st_size > 100_000
    nowhere = easq("validity", "--log", tmp_path / "no", *arguments[2:])
    assert (nowhere.returncode, "there is no file" in nowhere.stderr) == (2, True)


def test_one_tiny_propensity_does_not_decide_the_shares(tmp_path: Path) -> None:
    def says(_: float, __: int, random: np.random.Generator) -> str:
        return ("satisfied", "dissatisfied")[int(random.random() < 0.9)] if random.random() < 0.5 else ""

    events = list(platform(6, 200, 20, says))
    first = next(e for e in events if isinstance(e, Answered) and e.option == "satisfied")
    view = first.request_id, first.item_id
    options = [e.option for e in events if isinstance(e, Answered)]
    for tiny in (1e-12, 5e-324):
        hostile = [
            msgspec.structs.replace(e, propensity=tiny)
            if isinstance(e, Asked | Answered) and (e.request_id, e.item_id) == view
            else e
            for e in events
        ]
        result = measured(hostile, tmp_path)["metrics"]
        share = result["share/answered/satisfied"]["value"]
        assert share == pytest.approx(options.count("satisfied") / len(options))
        expected = (options.count("satisfied") + 99) / (len(options) + 99)
        assert result["share/asks/satisfied"]["value"] == pytest.approx(expected)
