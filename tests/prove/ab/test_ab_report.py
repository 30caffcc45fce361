"""From a log with two arms to the verdict, through the command line."""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from easq.cli.commands import app
from easq.errors import InputError
from easq.log.sqlite import SqliteLog
from easq.prove.ab.analysis import ConfidenceSequences, analyse, period
from easq.prove.ab.viewer_days import read_table, snapshots
from easq.prove.report.about_ab import words
from easq.recipe.read import read_recipe
from tests.support.ab_days import TRIAL, trial_log
from tests.support.small_worlds import RECIPES

LATER = ("--set", "experiments.easq.start=2030-01-01")
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def happier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trial_log(tmp_path_factory.mktemp("happier") / "a.log", happier=0.5)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "trial.toml"
    path.write_text((RECIPES / "world.toml").read_text() + TRIAL)
    return path


def run(capsys: Capture, *words: object) -> str:
    with pytest.raises(SystemExit) as done:
        app([*map(str, words)])
    assert done.value.code == 0
    return capsys.readouterr().out


def reported(capsys: Capture, log: Path, recipe: Path, out: Path, *more: str) -> dict[str, Any]:
    words = ("ab", "report", "easq", "--log", log, "--recipe", recipe, "--out", out, "--json", *more)
    return dict(json.loads(run(capsys, *words)))


def test_a_happier_arm_is_shipped_and_the_file_says_so_first(
    happier: Path, recipe: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "report.html"
    result = reported(capsys, happier, recipe, out)
    (treatment,) = result["treatments"]
    assert treatment["verdict"] == "ship", treatment["reasons"]
    effect = treatment["metrics"]["satisfaction"]
    assert 0 < effect["always_low"] < effect["low"] < effect["lift"]
    assert effect["with_pre_period"]
    assert treatment["metrics"]["q_dissatisfied"]["always_high"] < 0
    for metric in ("watch_time", "lt7", "video_view"):
        assert treatment["metrics"][metric]["low"] < 0.02
    assert [guardrail["state"] for guardrail in treatment["guardrails"]] == ["held"]
    assert result["days_run"] == len(treatment["over_time"]["satisfaction"]) == 7
    page = out.read_text()
    top = page[: page.index("<section>")]
    assert "Ship it: easq against control." in top
    assert "Satisfaction is better than in the control arm" in top
    assert "What it costs: no metric is shown to be worse." in top
    for spec in result["specs"]:
        assert spec["title"] in page
    assert "http-equiv" in page and 'src="http' not in page
    first = page
    reported(capsys, happier, recipe, out)
    assert out.read_text() == first


def test_text_for_people_names_the_verdict(
    happier: Path, recipe: Path, tmp_path: Path, capsys: Capture
) -> None:
    words = ("ab", "report", "easq", "--log", happier, "--recipe", recipe, "--out", tmp_path / "r.html")
    assert run(capsys, *words).startswith("Ship it: easq against control.")


def test_metrics_of_the_platforms_own_are_in_the_report(
    happier: Path, recipe: Path, tmp_path: Path, capsys: Capture
) -> None:
    own = tmp_path / "own.toml"
    own.write_text(
        recipe.read_text()
        + '[metrics]\n[[metrics.own]]\nname = "likers"\nkind = "conversion"\nof = "like"\n'
        + '[[metrics.own]]\nname = "like_rate"\nkind = "ratio"\nof = "like"\nper = "views"\n'
    )
    (treatment,) = reported(capsys, happier, own, tmp_path / "r.html")["treatments"]
    metrics = treatment["metrics"]
    assert 0 < metrics["likers"]["control"] < 1
    assert metrics["like_rate"]["control"] == pytest.approx(
        metrics["like"]["control"] / metrics["video_view"]["control"], rel=0.05
    )


def test_lost_viewers_block_the_verdict(recipe: Path, tmp_path: Path, capsys: Capture) -> None:
    log = trial_log(tmp_path / "a.log", happier=0.5, days=7, lost=0.5)
    out = tmp_path / "r.html"
    (treatment,) = reported(capsys, log, recipe, out)["treatments"]
    assert treatment["verdict"] == "no verdict"
    assert "No verdict: easq against control." in out.read_text()


def test_a_plan_gives_days_and_more_days_detect_smaller_lifts(
    happier: Path, recipe: Path, capsys: Capture
) -> None:
    words = ("ab", "plan", "easq", "--log", happier, "--recipe", recipe, "--json")
    watch = json.loads(run(capsys, *words))["metrics"]["watch_time"]["smallest_lift"]
    lifts = [lift_by_day["fixed"] for lift_by_day in watch]
    assert lifts[0] > lifts[-1] > 0
    assert all(lift_by_day["always"] > lift_by_day["fixed"] for lift_by_day in watch)
    lift = watch[-1]["always"] * 1.001
    result = json.loads(run(capsys, *words, "--lift", lift))
    first = next(lift_by_day["days"] for lift_by_day in watch if lift_by_day["always"] <= lift)
    assert result["metrics"]["watch_time"]["days_needed"] == first > 1
    half = json.loads(run(capsys, *words, "--set", "experiments.easq.share=0.5"))
    ratio = half["metrics"]["watch_time"]["smallest_lift"][-1]["fixed"] / lifts[-1]
    assert ratio == pytest.approx(2**0.5, rel=0.02)


def test_aa_runs_from_the_command_line(happier: Path, recipe: Path, capsys: Capture) -> None:
    words = ("ab", "aa", "--log", happier, "--recipe", recipe, "--runs", "2", "--json")
    result = json.loads(run(capsys, *words))
    assert result["runs"] == 2
    assert set(result["metrics"]["watch_time"]) == {"fixed", "peeking", "always", "measured"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("report", "nothing", "--out", "r.html"), "experiment: got 'nothing'; allowed: easq"),
        (("report", "easq", "--out", "no/r.html"), "--out: there is no folder no"),
        (("report", "easq", "--out", "r.html", *LATER), "newest request of an arm is of 2023-11-24"),
        (("plan", "easq", "--lift", "0"), "--lift: got 0.0; allowed: above 0"),
        (("aa", "--runs", "0"), "--runs: got 0; allowed: 1 or more"),
        (("aa", "--pre-days", "99"), "--pre-days: got 99; allowed: less than the log's days"),
    ],
)  # fmt: skip
def test_an_impossible_command_is_refused(
    happier: Path,
    recipe: Path,
    words: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:

    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as error:
        app(["ab", *words, "--log", str(happier), "--recipe", str(recipe)], exit_on_error=False)
    assert message in str(error.value)


def test_days_after_the_last_request_of_an_arm_count_nothing(
    recipe: Path, tmp_path: Path, capsys: Capture
) -> None:
    log = trial_log(tmp_path / "a.log", happier=0.5, days=8, until=5)
    result = reported(capsys, log, recipe, tmp_path / "r.html")
    assert result["end"] == "2023-11-19"
    assert result["days_run"] == 2


def test_only_a_loss_in_a_goal_is_a_cost(happier: Path, recipe: Path) -> None:
    settings = read_recipe(recipe)
    (declared,) = settings.experiments
    with SqliteLog(happier, read_only=True) as log:
        result = analyse(declared, read_table(settings, declared, log))
    (treatment,) = result.treatments
    worse = structs.replace(treatment.metrics["watch_time"], lift=-0.1, always_low=-0.2, always_high=-0.05)
    metrics = dict.fromkeys(("watch_time", "hate", "q_rate"), worse)
    assert [(result.spec(name).better, result.spec(name).is_goal) for name in metrics] == [
        (1, True), (-1, True), (1, False),
    ]  # fmt: skip
    treatment = structs.replace(treatment, verdict="ship", reasons=(), metrics=metrics)
    assert words(result, treatment)[-1] == "What it costs: WatchTime -10.00 % (-20.00 to -5.00)."


def test_a_days_effect_does_not_depend_on_when_it_is_asked_for(happier: Path, recipe: Path) -> None:
    settings = read_recipe(recipe)
    (declared,) = settings.experiments
    with SqliteLog(happier, read_only=True) as log:
        table = read_table(settings, declared, log)
    start, end = period(declared, table)
    days = list(snapshots(table, start, end, declared.pre_days))
    asked, straight = (ConfidenceSequences(table.metrics, declared) for _ in range(2))
    spec = table.metrics.spec("satisfaction")
    for day in days:
        straight.add_day(day)
        asked.add_day(day)
        asked.effect(spec, days[0], 1)
    assert straight.effect(spec, days[-1], 1) == asked.effect(spec, days[-1], 1)
    assert straight.over_time == asked.over_time
