"""`easq ab freeze` and `easq ab estimate` as an operator meets them: real homes, learners and logs."""

import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest

from easq.home.arm_homes import open_arms
from easq.home.home import Home, open_home
from easq.learn.live_learner import LiveLearner
from easq.log.events import EVENTS, Event, Request
from easq.log.packing import pack_counts, pack_floats
from easq.prove.offpolicy.arm_estimates import _may_learn_from, warnings
from easq.prove.offpolicy.drawn_log import read_explored, scores_of
from easq.prove.offpolicy.estimators import Support, estimate
from easq.rank.explore import explore
from easq.rank.pinned_model import frozen
from easq.recipe.assignment import Arms, arms_in
from easq.recipe.experiments import Arm, Experiment, Explore
from easq.recipe.read import to_toml
from easq.recipe.recipe import Recipe
from tests.cli.test_cli import easq
from tests.support.live_home import LIVE, Clock
from tests.support.small_worlds import small_recipe, world_events

DRAWN = Explore(share=1.0, depth=10, top=3)
CONTROL = "easq/control"


@dataclass
class Stage:
    """A home with two arms, each with a model, and the events of a world in the order in which they come."""

    home: Home
    events: list[Event]

    def live(self, events: list[Event]) -> None:
        """Let events come, and both learners learn all of them."""
        with self.home.open_events() as log:
            log.append(EVENTS, events)
            for home in (self.home, *open_arms(self.home).values()):
                clock = Clock()
                with home.open_updates() as updates:
                    learner = LiveLearner(home, log, updates, clock, clock)
                    learner.recover()
                    learner.tick()
                    learner.close()

    def estimate(self, *words: object) -> dict[str, object]:
        done = easq("ab", "estimate", "easq", "--home", self.home.folder, "--json", *words)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    def refused(self, *words: object, command: str = "estimate", name: str = "easq") -> str:
        done = easq("ab", command, name, "--home", self.home.folder, *words)
        assert (done.returncode, done.stdout) == (2, ""), done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr


def drawn(event: Event, arms: Arms, random: np.random.Generator, settings: Explore | None) -> Event:
    """Return the event; a request with its arm, and as if it had been drawn."""
    if not isinstance(event, Request):
        return event
    scores = random.random(len(event.items)).astype(np.float32)
    order = np.argsort(-scores, kind="stable")
    label = arms.label(event.user_id, {})
    if settings is None:
        return msgspec.structs.replace(event, arm=label)
    result = explore(scores, order, settings, random)
    rank, propensity = np.empty(len(order), np.int64), np.empty(len(order), np.float32)
    rank[result.order_N] = np.arange(len(order))
    propensity[result.order_N] = result.propensity_N
    return msgspec.structs.replace(
        event, arm=label, scores=pack_floats(scores), ranks=pack_counts(rank), top=settings.top,
        propensities=pack_floats(propensity), num_candidates=len(order),
    )  # fmt: skip


def stage_in(folder: Path, settings: Explore | None = DRAWN, answer: float = 0.6) -> Stage:
    (folder / "arm.toml").write_text('[method]\nkind = "behavior"\n')
    arms = (Arm(name="control", recipe=str(folder / "arm.toml")), Arm(name="treatment"))
    recipe = small_recipe(*LIVE)
    recipe = msgspec.structs.replace(recipe, experiments=(Experiment(name="easq", arms=arms),))
    home = open_home(folder / "home", recipe)
    open_arms(home)
    return Stage(home, drawn_events(recipe, settings, answer))


def drawn_events(recipe: Recipe, settings: Explore | None, answer: float = 0.6) -> list[Event]:
    """Return the events of a world in the order in which they come."""
    random = np.random.default_rng(1)
    events = sorted(world_events(600, ask=0.8, answer=answer), key=lambda event: event.ts)
    return [drawn(event, Arms.of(recipe), random, settings) for event in events]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """Let a third be learned, freeze both models, and let the rest come and be learned too."""
    stage = stage_in(tmp_path_factory.mktemp("stage"))
    third = len(stage.events) // 3
    stage.live(stage.events[:third])
    done = easq("ab", "freeze", "easq", "--home", stage.home.folder, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["frozen"].keys() == {"control", "treatment"}
    stage.live(stage.events[third:])
    return stage


def test_frozen_models_are_judged_on_what_came_after_them_and_on_nothing_else(stage: Stage) -> None:
    result = stage.estimate()
    third = len(stage.events) // 3
    after = [e for e in stage.events[third:] if isinstance(e, Request) and CONTROL in arms_in(e.arm)]
    assert 50 < result["requests"] == len(after)
    assert result["arms"] == {"treatment": "treatment", "control": "control"}
    control = open_arms(stage.home)[CONTROL]
    models = [frozen(home) for home in (stage.home, control)]
    assert result["models"] == {"treatment": models[0].name, "control": models[1].name}
    with stage.home.open_events() as log:
        scored = read_explored(
            stage.home.recipe, log, scores_of(stage.home.recipe, *(m.parameters for m in models)),
            lambda request: CONTROL in arms_in(request.arm), models[0].until,
        )  # fmt: skip
    new, old = (estimate(scored.explored, score_N) for score_N in scored.score_NM.T)
    assert result["values"]["treatment"]["snips"] == msgspec.structs.asdict(new.snips)
    assert result["values"]["control"]["doubly_robust"] == msgspec.structs.asdict(old.doubly_robust)
    for value in result["lift"].values():
        assert value["low"] < value["value"] < value["high"]
    assert result["reached"] == 1
    days = [datetime.fromtimestamp(e.ts / 1000, UTC).date().isoformat() for e in after]
    assert (result["from"], result["to"]) == (min(days), max(days))
    assert result["support"]["control"]["answers"] < result["answers"]


def test_before_anybody_is_in_an_arm_the_running_models_rankings_are_read(tmp_path: Path) -> None:
    """The control is served like everyone, so all drawn rankings are its own."""
    (tmp_path / "arm.toml").write_text('[method]\nkind = "behavior"\n')
    arms = (Arm(name="control"), Arm(name="treatment", recipe=str(tmp_path / "arm.toml")))
    waiting = Experiment(name="easq", arms=arms, enabled=False)
    recipe = msgspec.structs.replace(small_recipe(*LIVE), experiments=(waiting,))
    stage = Stage(open_home(tmp_path / "home", recipe), drawn_events(recipe, DRAWN))
    third = len(stage.events) // 3
    stage.live(stage.events[:third])
    assert easq("ab", "freeze", "easq", "--home", stage.home.folder).returncode == 0
    stage.live(stage.events[third:])
    after = [event for event in stage.events[third:] if isinstance(event, Request)]
    assert {event.arm for event in after} == {"default"}
    assert stage.estimate()["requests"] == len(after)
    # The other arm has served nobody.
    assert "easq/treatment: no request came after" in stage.refused(
        "--arm", "control", "--against", "treatment"
    )


def test_the_other_arm_may_be_the_one_whose_log_is_read(stage: Stage) -> None:
    turned = stage.estimate("--arm", "control", "--against", "treatment")
    assert turned["arms"] == {"treatment": "control", "control": "treatment"}
    assert turned["requests"] != stage.estimate()["requests"]


def test_numbers_are_printed_in_words_with_their_weaknesses(stage: Stage) -> None:
    done = easq("ab", "estimate", "easq", "--home", stage.home.folder)
    assert done.returncode == 0, done.stderr
    text = " ".join(done.stdout.split())
    assert "drawn requests of" in text
    assert "had read them" in text
    assert "doubly robust" in text
    assert "even ones" in text
    assert "warning: treatment: its" in text


def test_a_model_that_has_read_everything_is_not_judged(stage: Stage, tmp_path: Path) -> None:
    copy = Stage(open_home(shutil.copytree(stage.home.folder, tmp_path / "home")), [])
    assert easq("ab", "freeze", "easq", "--home", copy.home.folder).returncode == 0
    assert "no request came after the models" in copy.refused()
    first = copy.home.frozen.names()[0]
    # One that had not does not help while the other had.
    assert "no request came after the models" in copy.refused("--version", first)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--arm", "other"], "--arm: got 'other'; allowed: control, treatment"),
        (["--arm", ""], "--arm: got ''; allowed: control, treatment"),
        (["--against", "other"], "--against: got 'other'; allowed: control, treatment"),
        (["--arm", "control"], "--arm: got 'control', which is the arm it is compared with"),
        (["--version", "v7"], "version: got 'v7'; "),
        (["--until", "tomorrow"], "--until: got 'tomorrow'; allowed: a date"),
        (["--until", "2001-01-01"], "no request before --until came after the models"),
    ],
)
def test_fault_of_the_user_is_a_message(words: list[str], message: str, stage: Stage) -> None:
    assert message in stage.refused(*words)


def test_a_model_that_is_damaged_or_of_another_log_is_a_message(stage: Stage, tmp_path: Path) -> None:
    copy = Stage(open_home(shutil.copytree(stage.home.folder, tmp_path / "home")), [])
    name = copy.home.frozen.names()[-1]
    notes = copy.home.folder / "frozen" / name / "notes.json"
    noted = copy.home.frozen.notes(name)
    # As of an easq that wrote no checksums: these notes are whole, and of another log.
    (notes.parent / "sums.json").unlink()
    for until in ([0] * 5, [10**9] * len(noted["until"])):
        notes.write_text(json.dumps({**noted, "until": until}))
        assert f"has read up to {until}, and events.log ends at [" in copy.refused()
    (notes.parent / "state.safetensors").write_bytes(b"")
    assert f"version {name} of" in copy.refused()


def test_an_arm_whose_folder_is_gone_is_a_message(stage: Stage, tmp_path: Path) -> None:
    copy = Stage(open_home(shutil.copytree(stage.home.folder, tmp_path / "home")), [])
    shutil.rmtree(copy.home.folder / "arms")
    for command in ("freeze", "estimate"):
        assert "holds no model of easq/control: start the system, which makes it" in copy.refused(
            command=command
        )


def test_an_experiment_or_a_home_that_is_not_there_is_a_message(stage: Stage, tmp_path: Path) -> None:
    for command in ("freeze", "estimate"):
        assert "experiment: got 'none'; allowed: easq" in stage.refused(command=command, name="none")
    done = easq("ab", "estimate", "easq", "--home", tmp_path / "nothing")
    assert (done.returncode, "holds no live system" in done.stderr) == (2, True)


def test_a_log_of_sorted_rankings_is_reported(tmp_path: Path) -> None:
    stage = stage_in(tmp_path, None)
    assert "holds no version of its model yet" in stage.refused(command="freeze")
    stage.live([])
    easq("ab", "freeze", "easq", "--home", stage.home.folder)
    stage.live(stage.events)
    assert "easq/control: no request of the log was drawn: see [explore]" in stage.refused()


def test_a_log_without_answers_is_reported(tmp_path: Path) -> None:
    stage = stage_in(tmp_path, answer=0.0)
    stage.live([])
    easq("ab", "freeze", "easq", "--home", stage.home.folder)
    stage.live(stage.events)
    assert "easq/control: no answer of the log is of a view" in stage.refused()


def test_arms_that_one_model_serves_do_not_differ(tmp_path: Path) -> None:
    stage = stage_in(tmp_path)
    plain = Experiment(name="easq", arms=(Arm(name="control"), Arm(name="treatment")))
    path = tmp_path / "next.toml"
    path.write_text(to_toml(msgspec.structs.replace(stage.home.recipe, experiments=(plain,))))
    stage.home = open_home(
        stage.home.folder, msgspec.structs.replace(stage.home.recipe, experiments=(plain,))
    )
    assert "are served by the same model: nothing differs" in stage.refused()


@pytest.mark.parametrize(
    ("arms", "may"),
    [
        ((), True),
        ((CONTROL,), True),
        (("easq/treatment",), False),
        (("easq/treatment", CONTROL), True),
        (("layout/wide",), True),  # the same viewers may be in it
        (("default",), True),
    ],
)
def test_which_model_learns_from_an_arm_follows_from_its_settings(arms: tuple[str, ...], may: bool) -> None:
    recipe = small_recipe()
    training = msgspec.structs.replace(recipe.training, arms=arms)
    assert _may_learn_from(msgspec.structs.replace(recipe, training=training), CONTROL) is may


def test_support_is_judged_in_words() -> None:
    good = Support(800, 400.0, 90, True, 0.01, 0.0, 0.0, 1.0)
    assert warnings(good) == []
    poor = Support(40, 12.0, 30, True, 0.3, 0.2, 0.1, 0.5)
    words = " ".join(warnings(poor))
    assert "too few to go by" in words
    assert "one answer has 30% of all weight" in words
    assert "20% of its places hold items that could not come up" in words
    assert "10% of the weight was cut off" in words
    assert "mean 0.50 and not 1" in words
    assert "too few" not in warnings(msgspec.structs.replace(good, effective=60.0))[0]
    few = msgspec.structs.replace(good, responders=3)
    assert warnings(few) == ["3 viewers gave its answers and 30 are needed"] == [few.lacking]
    alike = msgspec.structs.replace(good, differ=False)
    assert warnings(alike) == ["its answers are all alike, so chance cannot be measured"] == [alike.lacking]
    assert good.lacking == ""
