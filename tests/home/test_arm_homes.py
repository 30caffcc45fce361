"""Models of arms: their recipes, their folders, and what becomes of them when settings change."""

from pathlib import Path

import pytest

from easq.errors import InputError, SettingsError
from easq.home.arm_homes import arm_home, open_arms
from easq.home.home import Home, open_home
from easq.learn.live_learner import LiveLearner
from easq.model.method import read_method
from easq.recipe.arm_recipe import read_arm
from easq.recipe.read import read_recipe, to_toml
from tests.support.live_home import event_batches, live_system
from tests.support.paths import RECIPES
from tests.support.small_worlds import small_recipe

ARMS = '\n[[experiments]]\nname = "easq"\narms = [{ name = "control" }, { name = "treatment", %s }]\n'


def recipe_file(folder: Path, names: str, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.toml").write_text(text)
    path = folder / "recipe.toml"
    path.write_text(to_toml(small_recipe()).replace("experiments = []\n", "") + ARMS % names)
    return path


def home_of(folder: Path, names: str, **files: str) -> Home:
    return open_home(folder / "home", read_recipe(recipe_file(folder, names, **files), methods=read_method))


def test_an_arm_is_the_running_recipe_changed_by_its_file(tmp_path: Path) -> None:
    home = home_of(tmp_path, 'recipe = "arm.toml"', arm='[method]\nkind = "behavior"\n')
    (arm,) = open_arms(home).values()
    assert (home.recipe.method.kind, arm.recipe.method.kind) == ("easq", "behavior")
    assert arm.recipe.model.hidden == home.recipe.model.hidden
    assert arm.recipe.features == home.recipe.features
    with arm.open_events() as events, home.open_events():
        assert (home.folder / "events.log").exists()
        assert not (arm.folder / "events.log").exists()
        assert events.partitions("events") > 0
    assert arm_home(home, "easq/treatment") == arm


def test_an_arm_outlives_the_file_of_its_recipe(tmp_path: Path) -> None:
    home = home_of(tmp_path, 'recipe = "arm.toml"', arm='[method]\nkind = "behavior"\n')
    made = open_arms(home)
    (tmp_path / "arm.toml").unlink()
    assert open_arms(open_home(home.folder, methods=read_method)) == made


def test_an_arm_keeps_to_the_recipe_that_it_began_with(tmp_path: Path) -> None:
    home = home_of(tmp_path, 'recipe = "arm.toml"', arm='[method]\nkind = "behavior"\n')
    open_arms(home)
    (tmp_path / "arm.toml").write_text('[method]\nkind = "mmoe"\n')
    with pytest.raises(SettingsError, match="these differ: method"):
        open_arms(home)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[ask]\nask_share = 0.5\n", "ask.ask_share: unknown key"),
        ("[service]\nlog_top = 3\n", "these differ from its recipe: service. Allowed: name, seed"),
        ("[method]\nrank = -1\n", "method.rank: got -1"),
        ("[model\n", "is not TOML"),
        (ARMS % 'recipe = "x"', "these differ from its recipe: experiments"),
    ],
)
def test_an_impossible_arm_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        open_arms(home_of(tmp_path, 'recipe = "arm.toml"', arm=text))


def test_a_fixed_arm_keeps_its_version_when_the_system_has_gone_on(tmp_path: Path) -> None:
    with live_system(tmp_path, "live.keep_versions=2", "live.snapshot_seconds=0.5") as system:
        learner = system.learner()
        version = system.home.versions.names()[0]
        text = to_toml(system.home.recipe).replace("experiments = []\n", "")
        (tmp_path / "next.toml").write_text(text + ARMS % f'version = "{version}"')
        home = open_home(system.home.folder, read_recipe(tmp_path / "next.toml", methods=read_method))
        (arm,) = open_arms(home).values()
        for batch in event_batches():
            system.append(batch)
            learner.tick()
            system.clock.now += 1000
        learner.close()
        assert version not in home.versions.names()
        assert open_arms(home)["easq/treatment"].versions.names() == [version] == arm.versions.names()
        (tmp_path / "next.toml").write_text(text + ARMS % 'version = "v000000000099"')
        with pytest.raises(SettingsError, match=f"experiments.easq.arms.treatment.version: .* at {version}"):
            open_arms(open_home(system.home.folder, read_recipe(tmp_path / "next.toml", methods=read_method)))


def test_a_version_that_never_was_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"treatment\.version: got 'v7'; kept are none"):
        open_arms(home_of(tmp_path, 'version = "v7"'))
    with pytest.raises(InputError, match="--arm: got 'easq/other'; allowed: easq/treatment"):
        arm_home(home_of(tmp_path, 'version = "v7"'), "easq/other")


def test_arms_learn_from_the_shared_log_and_recover_alone(tmp_path: Path) -> None:
    with live_system(tmp_path) as system:
        (tmp_path / "arm.toml").write_text('[method]\nkind = "behavior"\n[training]\narms = ["default"]\n')
        text = to_toml(system.home.recipe).replace("experiments = []\n", "")
        path = str(tmp_path / "arm.toml")
        (tmp_path / "next.toml").write_text(text + ARMS % f'recipe = "{path}"')
        home = open_home(system.home.folder, read_recipe(tmp_path / "next.toml", methods=read_method))
        arm = open_arms(home)["easq/treatment"]
        with arm.open_updates() as updates:
            learner = LiveLearner(arm, system.events, updates, system.clock, system.clock)
            learner.recover()
            for batch in event_batches():
                system.append(batch)
                learner.tick()
            counts = learner.trainer.counts
            # The requests of this log bear no label, so none was served by `default`.
            assert counts.elsewhere > 0 == counts.requests
            assert learner.seq > 0
        assert not (system.home.folder / "learner.json").exists()


def test_the_arms_of_the_demo_have_their_settings() -> None:
    running = read_recipe(RECIPES / "loop.toml", methods=read_method)
    control, treatment = running.experiments[0].arms
    assert control.recipe is None
    assert treatment.recipe is not None
    arm = read_arm(Path(treatment.recipe), running)
    assert (running.method.kind, arm.method.kind) == ("behavior", "probe")
