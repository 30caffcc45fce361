import re
from pathlib import Path

import pytest

from easq.errors import SettingsError
from easq.model.method import read_method
from easq.model.methods.probe_2026_11 import TowerProbeSettings
from easq.recipe.features import Multi, Numeric
from easq.recipe.read import SettingsWarning, read_kept_recipe, read_recipe, to_toml
from tests.support.small_worlds import RECIPES

SMALLEST = """
name = "smallest"
[[features]]
name = "item_id"
kind = "categorical"
side = "candidate"
rows = 64
[[features]]
name = "recent"
kind = "history"
of = "item_id"
length = 5
[[behaviors]]
name = "like"
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return path


def problem(tmp_path: Path, text: str, *overrides: str) -> str:
    with pytest.raises(SettingsError) as error:
        read_recipe(written(tmp_path, text), overrides, methods=read_method)
    return str(error.value)


RUNS = [path for path in sorted(RECIPES.glob("*.toml")) if not path.stem.endswith("mapping")]


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_every_recipe_reads_and_survives_being_written_out(path: Path, tmp_path: Path) -> None:
    recipe = read_recipe(path, methods=read_method)
    assert read_recipe(written(tmp_path, to_toml(recipe)), methods=read_method) == recipe


@pytest.mark.parametrize(
    ("added", "message"),
    [
        ("[model]\nranks = 3", "model.ranks: unknown key; allowed: "),
        ("[engine]\nrank = 3", "engine: unknown key; allowed: answers, ask, assignment, behaviors, "),
        ('[method]\nkind = "easq"\nrank = -1', "method.rank: got -1; expected `int` >= 0"),
        ('[method]\nkind = "easq"\nrank = 999', "method.rank: got 999; allowed: 0 to 31"),
        (
            "[method]\nrank = 3",
            "method.kind: got none, which is 'probe' and was 'easq' until easq 0.2; for that write kind",
        ),
        (
            '[method]\nkind = "magic"',
            "method.kind: got 'magic'; allowed: auto, behavior, behavior_2026_11, easq, ",
        ),
        ("[training]\nlearning_rate = -1.0", "training.learning_rate: got -1.0; expected `float` > 0"),
        ("[training]\nlearning_rate = nan", "training.learning_rate: got nan"),
        ("[training]\nlearning_rate = inf", "training.learning_rate: got inf; allowed: finite numbers"),
        ('[training]\nbatch_rows = "many"', "training.batch_rows: got 'many'; expected `int`, got `str`"),
        ("[join]\nanswer_window = 1.0", "join.answer_window: got 1.0; allowed: at least"),
        ("[ask]\nrates = 0.1", "ask.rates: unknown key; allowed: "),
        ("[ask]\nrate = 1.5", "ask.rate: got 1.5; expected `float` <= 1"),
        ("[ask]\nmax_per_day = 0", "ask.max_per_day: got 0; expected `int` >= 1"),
        ("[ask]\nadaptive_floor = 0.0", "ask.adaptive_floor: got 0.0; expected `float` >= 0.05"),
        (
            '[ask]\npolicy = "adaptive"\nadaptive_half_life_hours = 25.0',
            "ask.adaptive_half_life_hours: got 25.0; allowed: at most 24, see ask.memory_days",
        ),
        ('[ask]\norder = "up"', "ask.order: got 'up'; allowed: fixed, random"),
        ('[ask]\norigins = ["example.com"]', "ask.origins.0: got 'example.com'"),
        (
            "[ask]\ncool_down_minutes = 20000.0",
            "ask.cool_down_minutes: got 20000.0; allowed: at most 10080, see ask.memory_days",
        ),
        (
            "[ask]\nreserve_seconds = 1000.0",
            "ask.reserve_seconds: got 1000.0; allowed: at most 900, see ask.token_minutes",
        ),
        (
            '[[ask.questions]]\nname = "mood"\noptions = ["a", "b"]',
            "ask.questions.mood.wording: got none; it needs ask.default_locale (en)",
        ),
        (
            '[[ask.questions]]\nname = "satisfaction"\noptions = ["a", "b"]',
            "ask.questions.satisfaction.options: got ('a', 'b'); those of [question] are given already",
        ),
        (
            '[[ask.questions]]\nname = "come_back"',
            "ask.questions.come_back.kind: got 'options'; allowed with its options: scale5",
        ),
        (
            '[[ask.questions]]\nname = "mood"\noptions = ["a"]\n'
            'wording.en = {text = "Mood?", labels = ["A"], thanks = "Thanks"}',
            "ask.questions.mood.options: got ('a',); allowed: two or more, each once",
        ),
        (
            '[[ask.questions]]\nname = "worth_time"\n[[ask.questions]]\nname = "worth_time"',
            "ask.questions: worth_time stands there more than once",
        ),
        (
            '[[ask.questions]]\nname = "worth_time"\n'
            'wording.en = {text = "Was it?", labels = ["No"], thanks = "Thanks"}',
            "ask.questions.worth_time.wording.en.labels: got 1; allowed: 3, one for each of no, partly, yes",
        ),
        ('[[behaviors]]\nname = "like"', "behaviors: like stands there more than once"),
        ('[[features]]\nname = "x"\nkind = "sound"', "features.x.kind: got 'sound'; allowed: categorical, "),
        ('[[features]]\nname = "x"', "features.x.kind: got nothing; allowed: categorical, "),
        (
            '[[features]]\nname = "x"\nkind = "numeric"\nside = "viewer"\nboundaries = [2.0, 1.0]',
            "features.x.boundaries: got (2.0, 1.0); they must rise",
        ),
        (
            '[[features]]\nname = "x"\nkind = "history"\nof = "nobody"\nlength = 3',
            "features.x.of: got 'nobody'; allowed are the categorical features of the candidate: item_id",
        ),
        (
            '[[features]]\nname = "x"\nkind = "categorical"\nside = "viewer"',
            "features.x.rows: required, but nothing was given",
        ),
        (
            "[method]\nkind = 'emer'\nwatch = 'gaze'",
            "method.watch: got 'gaze'; allowed are the behaviors: like",
        ),
        (
            "[model]\nhidden = 30\n[method]\nkind = 'emer'",
            "method.heads: got 4; allowed: numbers that divide model.hidden (30)",
        ),
        ('[data]\nloader = "csv"', "data.loader: got 'csv'; allowed: kuairand, eeg_svrec, table"),
    ],
)
def test_refusals_name_key_value_given_and_values_allowed(tmp_path: Path, added: str, message: str) -> None:
    assert problem(tmp_path, SMALLEST + added).startswith(message)


def test_recipe_that_orders_nothing_is_refused(tmp_path: Path) -> None:
    assert "behaviors: at least one needs a weight" in problem(tmp_path, SMALLEST + "weight = 0.0")


def test_saqrec_without_a_history_is_refused(tmp_path: Path) -> None:
    text = SMALLEST.replace('kind = "history"', 'kind = "multi"\nside = "viewer"\nrows = 9').replace(
        'of = "item_id"', ""
    )
    message = problem(tmp_path, text, "method.kind=saqrec")
    assert "features needs one of kind 'history'" in message


def test_missing_file_and_broken_toml_have_different_messages(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no recipe at"):
        read_recipe(tmp_path / "none.toml")
    assert "is not TOML" in problem(tmp_path, "name = ")


def test_overrides_reach_tables_and_named_entries(tmp_path: Path) -> None:
    path = written(tmp_path, SMALLEST)
    changes = ["model.dim=4", "features.item_id.rows=99", 'method.kind="behavior"', "order.cap=3.0"]
    recipe = read_recipe(path, changes)
    assert (recipe.model.dim, recipe.features[0].rows) == (4, 99)  # type: ignore[union-attr]
    assert (recipe.method.kind, recipe.order.cap) == ("behavior", 3.0)
    assert read_recipe(path, ["method.kind=behavior"]).method.kind == "behavior"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("method.rank", "--set takes key=value"),
        ("features.nothing.rows=3", "no entry is named 'nothing'; allowed: item_id, recent"),
        ("name.first=3", "'first' does not name a key of a table"),
        ("method.rnk=3", "method.rnk: unknown key"),
        ("model.dmi=3", "model.dmi: unknown key; allowed: dim, "),
        ("model.rank=3", "--set model.rank: this key of easq 0.1 is now method.rank"),
        ("baselines.emer_top=3", "--set baselines.emer_top: this key of easq 0.1 is now method.top"),
    ],
)
def test_override_that_leads_nowhere_is_refused(tmp_path: Path, override: str, message: str) -> None:
    assert message in problem(tmp_path, SMALLEST, override)


def test_feature_kinds_are_distinguished_by_their_tag() -> None:
    features = {f.name: f for f in read_recipe(RECIPES / "world.toml").features}
    assert isinstance(features["tags"], Multi)
    assert isinstance(features["duration_s"], Numeric)


EXPERIMENT = """
[[experiments]]
name = "easq"
arms = [{ name = "control" }, { name = "easq", version = "v7" }]
"""


@pytest.mark.parametrize(
    ("added", "message"),
    [
        (EXPERIMENT + "share = 1.2", "experiments.easq.share: got 1.2; expected `float` <= 1.0"),
        (EXPERIMENT + "share = 0.5\nreserved = 0.2", "experiments.easq.reserved: got 0.2; allowed: at least"),
        (EXPERIMENT + EXPERIMENT, "experiments: easq stands there more than once"),
        (
            EXPERIMENT + EXPERIMENT.replace('"easq"\narms', '"other"\narms'),
            "experiments: those of layer 'main' take 2 of its viewers; allowed: at most 1",
        ),
        (
            EXPERIMENT + EXPERIMENT.replace('"easq"\narms', '"other"\nlayer = "second"\narms'),
            "experiments: arms of the layers main, second name recipes or versions; allowed: those of one",
        ),
        (EXPERIMENT + 'metric = "joy"', "experiments.easq.metric: got 'joy'; allowed are the metrics: lt7"),
        (
            EXPERIMENT + '[[experiments.guardrails]]\nmetric = "likes"',
            "experiments.easq.guardrails: got 'likes'; allowed are the metrics: lt7",
        ),
        (
            EXPERIMENT + 'eligible = { feature = "segment" }',
            "experiments.easq.eligible.feature: got 'segment'",
        ),
        (
            EXPERIMENT + "least_days = 20",
            "experiments.easq.least_days: got 20; allowed: at most its days (14)",
        ),
        (
            EXPERIMENT.replace("version", 'recipe = "a.toml", version'),
            "experiments.easq.arms.easq: names a recipe and a version; allowed: one of them",
        ),
        (
            '[[metrics.own]]\nname = "like_rate"\nkind = "ratio"\nof = "like"',
            "metrics.own.like_rate.per: got None; allowed: a name with kind = 'ratio'",
        ),
        (
            '[[metrics.own]]\nname = "like"\nkind = "count"\nof = "like"',
            "metrics.own: like stands there more than once",
        ),
        (
            '[[metrics.own]]\nname = "visits"\nkind = "sum"\nof = "requests"',
            "metrics.own.visits.of: got 'requests'; allowed with kind = 'sum' are behaviors: like",
        ),
        ("[explore]\ntop = 11", "explore.top: got 11; allowed: at most explore.depth (10)"),
        (
            "[explore]\nshare = 0.1\ndepth = 30",
            "explore.depth: got 30; allowed: at most service.log_top (20)",
        ),
    ],
)
def test_impossible_experiments_are_refused(tmp_path: Path, added: str, message: str) -> None:
    assert message in problem(tmp_path, SMALLEST + added)


def test_an_experiment_survives_being_written_out(tmp_path: Path) -> None:
    own = '[[metrics.own]]\nname = "like_rate"\nkind = "ratio"\nof = "like"\nper = "views"'
    recipe = read_recipe(written(tmp_path, SMALLEST + EXPERIMENT + "start = 2026-03-01\n" + own))
    assert str(recipe.experiments[0].start) == "2026-03-01"
    assert read_recipe(written(tmp_path, to_toml(recipe))) == recipe


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    message = problem(
        tmp_path,
        SMALLEST + '[training]\nthreads = 0\n[ask]\nrates = 1\n[method]\nkind = "emer"\ntop = 0\nrank = 3\n',
    )
    first, *lines = message.splitlines()
    assert first == "the recipe has 4 problems:"
    assert [line.partition(":")[0].strip() for line in lines] == [
        "training.threads",
        "ask.rates",
        "method.top",
        "method.rank",
    ]
    checks = problem(
        tmp_path,
        SMALLEST + "weight = 0.0\n[join]\nanswer_window = 1.0\n[method]\nkind = 'easq'\nrank = 999\n",
    )
    assert checks.splitlines()[0] == "the recipe has 3 problems:"


def test_a_recipe_builds_on_another(tmp_path: Path) -> None:
    written(
        tmp_path, SMALLEST + "[training]\nthreads = 2\nbatch_rows = 7\n[method]\nkind = 'easq'\nrank = 3\n"
    )
    (tmp_path / "arms").mkdir()
    middle, top = tmp_path / "arms" / "middle.toml", tmp_path / "top.toml"
    middle.write_text('extends = "../recipe.toml"\nname = "middle"\n[method]\ndpo_weight = 0.5\n')
    top.write_text('extends = "arms/middle.toml"\n[training]\nthreads = 1\n[[behaviors]]\nname = "watch"\n')
    base, recipe = (read_recipe(p, methods=read_method) for p in (tmp_path / "recipe.toml", top))
    assert (recipe.name, recipe.training.threads, recipe.training.batch_rows) == ("middle", 1, 7)
    assert recipe.features == base.features
    assert [b.name for b in recipe.behaviors] == ["watch"], "a list is replaced whole"
    assert (recipe.method.rank, recipe.method.dpo_weight) == (3, 0.5)  # type: ignore[attr-defined]
    assert base.method.dpo_weight != 0.5  # type: ignore[attr-defined]


def test_a_recipe_extends_an_existing_recipe_other_than_itself(tmp_path: Path) -> None:
    for name, base in (("a", "b"), ("b", "c"), ("c", "a")):
        (tmp_path / f"{name}.toml").write_text(f'extends = "{base}.toml"\n')
    with pytest.raises(
        SettingsError, match=r"c.toml: extends: got 'a.toml', which extends this recipe itself"
    ):
        read_recipe(tmp_path / "a.toml")
    assert "extends: got 'no.toml'; there is no recipe at" in problem(tmp_path, 'extends = "no.toml"')
    assert "extends: got 3; allowed: the path of one recipe" in problem(tmp_path, "extends = 3")


def test_another_kind_of_method_brings_its_own_settings(tmp_path: Path) -> None:
    path = written(tmp_path, SMALLEST + "[method]\nkind = 'easq'\nrank = 3\n")
    assert (
        read_recipe(path, ["method.kind=mmoe", "method.experts=2"], methods=read_method).method.kind == "mmoe"
    )
    same = read_recipe(path, ["method.kind=easq"], methods=read_method)
    assert same.method.rank == 3  # type: ignore[attr-defined]
    overlay = tmp_path / "overlay.toml"
    overlay.write_text('[method]\nkind = "behavior"\n')
    assert read_recipe(path, (), [overlay], read_method).method.kind == "behavior"
    with pytest.raises(SettingsError, match=r"method.rank: unknown key; allowed: dim, embedding_floor, "):
        read_recipe(path, ["method.kind=behavior", "method.rank=3"], methods=read_method)


@pytest.mark.parametrize(
    ("added", "message"),
    [
        (
            "[ask]\npacing_minutes = 5.0",
            "ask.pacing_minutes = 5.0 has no effect: only ask.daily_quota above 0",
        ),
        (
            "[method]\nkind = 'easq'\nteacher_weight = 3.0",
            "method.teacher_weight = 3.0 has no effect: only method.teacher",
        ),
        (
            "[method]\nkind = 'easq'\ntop_k = 1",
            "method.top_k = 1 has no effect: only method.routing = 'softmax_top_k'",
        ),
        (
            '[answers]\nreplayed = 3\n[method]\nkind = "behavior"',
            "answers.replayed = 3 has no effect: the method behavior reads no answers",
        ),
        (
            '[method]\nkind = "probe"\nmax_share = 0.0',
            "method.behavior_budget has no effect: method.max_share is 0",
        ),
        (
            '[answers]\nreplayed = 3\n[method]\nkind = "probe"',
            "answers.replayed = 3 has no effect: the method probe does not read it",
        ),
        (
            '[model]\nhidden = 3\n[method]\nkind = "behavior"',
            "model.hidden = 3 has no effect: the method behavior does not read it",
        ),
    ],
)
def test_a_setting_without_effect_is_named(tmp_path: Path, added: str, message: str) -> None:
    with pytest.warns(SettingsWarning, match=re.escape(message)):
        read_recipe(written(tmp_path, SMALLEST + added), methods=read_method)


OLD = (
    SMALLEST
    + """
[model]
method = "probe"
probe_dim = 4
hidden = 32
rank = 8
[baselines]
satisfaction_share = 2.0
emer_top = 5
[alignment]
behavior_tolerance = 0.01
replayed = 9
scope = "batch"
"""
)


def test_a_recipe_of_an_older_easq_is_refused_with_its_new_form(tmp_path: Path) -> None:
    message = problem(tmp_path, OLD)
    assert "recipe.toml: this is of easq 0.1" in message
    new = message[message.index("[model]\nhidden") :]
    recipe = read_recipe(written(tmp_path, SMALLEST + new), methods=read_method)
    expected = TowerProbeSettings(probe_dim=4, max_share=2.0, behavior_budget=0.01, partners=False)
    assert recipe.method == expected
    assert (recipe.model.hidden, recipe.answers.replayed) == (32, 9)


def test_a_kept_recipe_of_an_older_easq_is_read(tmp_path: Path) -> None:
    recipe = read_kept_recipe(written(tmp_path, OLD), read_method)
    assert (recipe.method.kind, recipe.model.hidden, recipe.answers.replayed) == ("probe_2026_11", 32, 9)
    assert recipe == read_recipe(written(tmp_path, OLD), methods=read_method, kept=True)
    kept = '[method]\nkind = "behavior"\nexperts = 3\n'
    assert read_kept_recipe(written(tmp_path, SMALLEST + kept), read_method).method.kind == "behavior_2026_11"
    assert "what was 'behavior' until easq 0.2 is now called 'behavior_2026_11'" in problem(
        tmp_path, SMALLEST + kept
    )
    default = read_kept_recipe(written(tmp_path, SMALLEST + "[alignment]\nridge = 5.0\n"), read_method)
    assert default.method.kind == "easq"
