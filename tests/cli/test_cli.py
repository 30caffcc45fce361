"""The command line as a user meets it: real processes, real files, exit codes and messages."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from easq.home.home import open_home
from tests.support.small_worlds import RECIPES, SMALL, small_recipe

EASQ = str(Path(sys.executable).parent / "easq")
SETTINGS = [word for change in SMALL for word in ("--set", change)]


def easq(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([EASQ, *map(str, words)], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("world") / "world.log"
    done = easq("world", "make", "--out", path, "--views", 3000, "--ask", 0.5, "--answer", 0.5)
    assert done.returncode == 0, done.stderr
    return path


def test_a_world_logs_its_views_and_stores_the_truth_separately(tmp_path: Path) -> None:
    out = tmp_path / "w.log"
    done = easq("world", "make", "--out", out, "--views", 95, "--seed", 3, "--json")
    assert done.returncode == 0
    result = json.loads(done.stdout)
    assert (result["views"], result["log"], result["truth"]) == (100, str(out), f"{out}.truth")
    assert b"satisfaction_RC" not in out.read_bytes()
    assert easq("world", "make", "--out", out, "--views", 10).returncode == 2


def test_replay_prints_one_json_object_and_nothing_else(log: Path, tmp_path: Path) -> None:
    done = easq(
        "replay",
        "--recipe",
        RECIPES / "world.toml",
        "--log",
        log,
        "--out",
        tmp_path / "o",
        "--json",
        *SETTINGS,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert set(result) == {"views", "answers", "seconds", "views_per_second", "metrics"}
    assert result["views"] == 3000
    names = {
        "auc/long_view",
        "gauc/long_view",
        "sat/auc",
        "sat/pair_accuracy",
        "sat/hr@1",
        "sat/ndcg@5",
        "sat/mrr",
    }
    assert names <= result["metrics"].keys()
    assert all(set(metric) == {"value", "low", "high"} for metric in result["metrics"].values())


def test_replay_prints_a_table_and_a_report_can_be_made_anew(log: Path, tmp_path: Path) -> None:
    out = tmp_path / "o"
    done = easq(
        "replay", "--recipe", RECIPES / "world.toml", "--log", log, "--out", out,
        "--truth", f"{log}.truth", *SETTINGS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "3,000 views" in done.stdout
    assert "true_sat@1" in done.stdout
    before = (out / "report.html").read_bytes()
    (out / "report.html").unlink()
    again = easq("report", out, "--json")
    assert json.loads(again.stdout) == {"report": str(out / "report.html")}
    assert (out / "report.html").read_bytes() == before


def test_two_methods_are_compared_on_the_truth_of_one_world(tmp_path: Path) -> None:
    log, recipe = tmp_path / "world.log", tmp_path / "small.toml"
    recipe.write_text((RECIPES / "world.toml").read_text() + "\n[evaluation]\nreplicates = 50\n")
    done = easq("world", "make", "--out", log, "--views", 20000, "--ask", "0.2", "--answer", "0.1")
    assert done.returncode == 0, done.stderr
    for method in ("behavior", "easq"):
        done = easq(
            "replay", "--recipe", recipe, "--log", log, "--truth", f"{log}.truth", "--out", tmp_path / method,
            "--set", f"method.kind={method}", "--json",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        metrics = json.loads(done.stdout)["metrics"]
        assert metrics["oracle/true_sat@1"]["value"] > metrics["true_sat@1"]["value"]
    report = tmp_path / "report.html"
    done = easq("report", tmp_path / "behavior", tmp_path / "easq", "--out", report, "--json")
    told = json.loads(done.stdout)
    assert told["report"] == str(report)
    (difference,) = told["differences"]
    assert (difference["run"], difference["over"]) == (str(tmp_path / "easq"), str(tmp_path / "behavior"))
    assert {"auc/long_view", "pair_accuracy", "sat/auc", "true_sat@1"} <= difference["metrics"].keys()
    assert "Behavior only and EASQ on" in report.read_text()
    done = easq("report", tmp_path / "behavior", tmp_path / "easq", "--out", report)
    assert "second minus first, 95% interval" in done.stdout


def test_a_file_that_is_no_result_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{"views": 3}')
    done = easq("report", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "metrics.json is not the result of a replay" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["replay", "--recipe", "none.toml", "--log", "x", "--out", "o"], "there is no recipe at none.toml"),
        (["replay", "--recipe", "{recipe}", "--out", "o"], "give either --log FILE or --data PATH"),
        (["replay", "--recipe", "{recipe}", "--log", "none", "--out", "o"], "there is no file at none"),
        (["replay", "--recipe", "{recipe}", "--data", "d", "--out", "o"], "needs a [data] table"),
        (
            ["replay", "--recipe", "{recipe}", "--log", "{log}", "--out", "o", "--set", "method.rnk=3"],
            "method.rnk: unknown key; allowed: ",
        ),
        (["import", "parquet", "--path", "x", "--log", "y"], "kuairand, eeg_svrec"),
        (["import", "kuairand", "--path", "{tmp}/none", "--log", "{tmp}/y"], "{tmp}/none"),
        (["world", "make", "--out", "{tmp}/w", "--views", "0"], "--views: got 0; allowed: 1 or more"),
        (
            ["world", "make", "--out", "{tmp}/w", "--views", "9", "--ask", "2"],
            "--ask: got 2.0; allowed: 0 to 1",
        ),
        (["report", "{tmp}"], "holds no metrics.json"),
        (["report"], "name at least one folder"),
        (["replai"], "replai"),
        (["replay", "--recipe", "r", "--out", "o", "--speed", "9"], "--speed"),
        (["world", "make", "--views", "many", "--out", "{tmp}/w"], "many"),
    ],
)
def test_fault_of_the_user_is_a_message_and_exit_code_2(
    words: list[str], message: str, log: Path, tmp_path: Path
) -> None:
    places = {"recipe": RECIPES / "world.toml", "log": log, "tmp": tmp_path}
    done = easq(*(word.format(**places) for word in words))
    assert done.returncode == 2, done.stderr
    assert message.format(**places) in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_log_that_cannot_be_read_is_a_message_and_exit_code_3(tmp_path: Path) -> None:
    recipe = RECIPES / "world.toml"
    done = easq("replay", "--recipe", recipe, "--log", recipe, "--out", tmp_path / "o")
    assert (done.returncode, done.stdout) == (3, "")
    assert f"cannot open {recipe}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_stopped_replay_prints_a_message_and_resumes(tmp_path: Path) -> None:
    assert easq("world", "make", "--out", tmp_path / "w", "--views", 100_000).returncode == 0
    words = ["replay", "--recipe", RECIPES / "world.toml", "--log", tmp_path / "w", "--out", tmp_path / "o"]
    with subprocess.Popen([EASQ, *map(str, words)], stderr=subprocess.PIPE, text=True) as process:
        while not (tmp_path / "o" / "checkpoints").exists() and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert process.returncode == 130
    assert "stopped; `easq replay --resume` goes on" in errors
    done = easq(*words, "--resume", "--json")
    assert (done.returncode, json.loads(done.stdout)["views"]) == (0, 100_000)


def test_looking_at_a_home_writes_nothing_and_settings_changed_by_hand_are_refused(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home", small_recipe()).folder
    settings = home / "settings.toml"
    before = (settings.stat().st_ino, settings.stat().st_mtime_ns)
    assert easq("status", "--home", home).returncode == 0
    assert (settings.stat().st_ino, settings.stat().st_mtime_ns) == before
    settings.write_text(settings.read_text().replace("seed = 1", "seed = 2"))
    for words in (["status"], ["serve", "--port", "0"], ["learn"], ["up", "--port", "0"]):
        done = easq(*words, "--home", home)
        assert (done.returncode, "these differ: seed." in done.stderr) == (2, True), done.stderr
    assert "seed = 2" in settings.read_text(), "what was written by hand stays"


def test_help_names_every_verb() -> None:
    done = easq("--help")
    assert done.returncode == 0
    for verb in ("import", "replay", "report", "world", "demo"):
        assert verb in done.stdout
    assert "--resume" in easq("replay", "--help").stdout


def test_data_without_a_usable_row_is_an_input_error_with_the_reason(tmp_path: Path) -> None:
    views = tmp_path / "views.csv"
    views.write_text("viewer,video,seen_at,liked\nann,v1,yesterday,1\n")
    (tmp_path / "mapping.toml").write_text(
        'name = "mine"\n[columns]\nuser = "viewer"\nitem = "video"\ntime = "seen_at"\ntime_unit = "iso"\n'
        '[[features]]\nname = "video_id"\ncolumn = "video"\nside = "candidate"\nkind = "categorical"\n'
        '[[behaviors]]\nname = "liked"\ncolumn = "liked"\n'
    )
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\n[data]\nloader = "table"\nmapping = "mapping.toml"\n'
        '[[features]]\nname = "video_id"\nkind = "categorical"\nside = "candidate"\nrows = 64\n'
        '[[behaviors]]\nname = "liked"\n'
    )
    done = easq("replay", "--recipe", tmp_path / "mine.toml", "--data", views, "--out", tmp_path / "o")
    assert done.returncode == 2
    assert "no row of 1 can be used (bad_seen_at 1)" in done.stderr


def test_world_check_fails_when_a_figure_is_outside(tmp_path: Path) -> None:
    figure = tmp_path / "world.svg"
    done = easq("world", "check", "--views", 2000, "--json", "--figure", figure)
    result = json.loads(done.stdout)
    assert (done.returncode, result["outside"] > 0) == (1, True), done.stderr
    assert {"group", "name", "real", "simulated", "tolerance", "source", "held", "inside"} == result["rows"][
        0
    ].keys()
    assert "<svg" in figure.read_text()
    printed = easq("world", "check", "--views", 2000, "--markdown")
    assert printed.stdout.startswith("| figure |")
    refused = easq("world", "check", "--scenario", "sea")
    assert (refused.returncode, "allowed: main, bait" in refused.stderr) == (2, True)
