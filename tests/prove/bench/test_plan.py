from pathlib import Path

import msgspec
import pytest

from easq.errors import InputError
from easq.model.method import read_method
from easq.model.methods.easq import EasqSettings
from easq.prove.bench.plan import (
    REFERENCES,
    BenchExperiment,
    BenchWorld,
    Cell,
    arms_of,
    passes,
    places_of,
    read_plan,
    scenario_name,
)
from easq.recipe.read import read_recipe
from tests.support.small_plan import PLAN, RECIPES, small_bench


def cells_of(folder: Path, **chosen: tuple[str, ...]) -> list[Cell]:
    bench = small_bench(folder)
    return [cell for group in passes(bench.plan, bench.size, **chosen) for cell in group]


def test_every_cell_is_run_once(tmp_path: Path) -> None:
    cells = cells_of(tmp_path)
    assert len(set(cells)) == len(cells)
    compared = [c for c in cells if c.place.answers == 0.02 and c.arm.name == "probe"]
    assert sorted((c.place.scenario, c.seed) for c in compared) == [
        ("bait", 1), ("bait", 2), ("main", 1), ("main", 2)
    ]  # fmt: skip


def test_a_pass_is_of_one_world_and_holds_few_methods(tmp_path: Path) -> None:
    bench = small_bench(tmp_path)
    for group in passes(bench.plan, bench.size):
        assert len({(cell.place, cell.seed) for cell in group}) == 1
        assert sum(cell.arm.method not in REFERENCES for cell in group) <= bench.plan.together


def test_only_what_is_asked_for_is_run(tmp_path: Path) -> None:
    assert {c.arm.method for c in cells_of(tmp_path, methods=("oracle",))} == {"oracle"}
    assert {c.place.answers for c in cells_of(tmp_path, only=("rates",))} == {0.01, 0.02}


def test_names_of_worlds_distinguish_them(tmp_path: Path) -> None:
    bench = small_bench(tmp_path)
    places = places_of(bench.plan.experiments["rates"], bench.size)
    assert [scenario_name(place, bench.size) for place in places] == ["main, 0.01 answers a view", "main"]


def regime(**changes: object) -> BenchExperiment:
    settings = {"num_answers": (50, 500), "warm": (0, 2000), "scenarios": ("main",)} | changes
    return msgspec.convert({"title": "Title", "methods": ("behavior", "probe"), **settings}, BenchExperiment)


def test_numbers_of_answers_count_the_views_after_the_warm_ones(tmp_path: Path) -> None:
    size = small_bench(tmp_path).size
    places = places_of(regime(), size)
    assert [(p.num_answers, p.warm, p.views) for p in places] == [
        (50, 0, 6000), (500, 0, 6000), (50, 2000, 8000), (500, 2000, 8000)
    ]  # fmt: skip
    assert [scenario_name(place, size) for place in places] == [
        f"main, {50 / 6000:g} answers a view",
        f"main, {500 / 6000:g} answers a view",
        "main, warm 2,000 views, 50 answers, 8,000 views",
        "main, warm 2,000 views, 500 answers, 8,000 views",
    ]


def test_an_experiment_may_have_all_its_methods_in_one_pass(tmp_path: Path) -> None:
    bench = small_bench(tmp_path)
    plan = msgspec.structs.replace(bench.plan, experiments={"compare": regime(together=2), "rates": regime()})
    assert {len(group) for group in passes(plan, bench.size, only=("compare",))} == {2}
    one = msgspec.structs.replace(plan, together=1)
    assert {len(group) for group in passes(one, bench.size, only=("rates",))} == {1}
    assert {len(group) for group in passes(one, bench.size, only=("compare",))} == {2}


def test_a_cold_world_is_named_as_it_was_without_warm_views() -> None:
    place = BenchWorld("main", 0.001, 1.0, 1000)
    assert repr(place) == "BenchWorld(scenario='main', answers=0.001, bias=1.0, views=1000)"
    assert repr(place._replace(warm=500)).endswith("views=1000, warm=500)")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("answers = 0.02", "answers = 2.0", "answers"),
        ('"compare", "rates"', '"compare", "other"', "'other' is not an experiment"),
        ("answers = [0.01, 0.02]", "num_answers = [5_000]", r"rates.num_answers: got 5,000 of 6,000 views"),
        ("answers = [0.01, 0.02]", "answers = [0.01]\nnum_answers = [60]", "got both this and answers"),
        ("together = 2", "togetherness = 2", "togetherness"),
    ],
)
def test_an_impossible_plan_is_refused_with_the_reason(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(PLAN.replace(old, new))
    with pytest.raises(InputError, match=message):
        read_plan(path)


def test_every_setting_of_the_shipped_plan_makes_a_recipe() -> None:
    plan, base = read_plan(RECIPES / "bench" / "plan.toml"), RECIPES / "world.toml"
    for experiment in plan.experiments.values():
        for arm in arms_of(experiment):
            if arm.method not in REFERENCES:
                read_recipe(
                    base, arm.set, [RECIPES / "bench" / "methods" / f"{arm.method}.toml"], read_method
                )


def test_validation_seeds_are_used_for_nothing_else() -> None:
    sizes = read_plan(RECIPES / "bench" / "plan.toml").sizes
    others = {seed for name, size in sizes.items() if name != "tuning" for seed in size.seeds}
    assert not others & set(sizes["tuning"].seeds)


def test_paper_recipe_differs_from_the_worlds_in_what_the_paper_says_alone() -> None:
    paper, world = (read_recipe(RECIPES / f"{name}.toml", methods=read_method) for name in ("paper", "world"))
    assert (paper.features, paper.behaviors, paper.join) == (world.features, world.behaviors, world.join)
    method = paper.method
    assert isinstance(method, EasqSettings)
    assert (method.scope, paper.answers.buffer, method.unasked) == ("batch", 0, "none")
    ours = (method.teacher, method.propensity_weights, method.pair_accuracy_budget)
    assert ours == (False, False, 0)
    assert not method.satisfaction_variance


def test_recommended_recipe_is_the_world_with_the_benchs_probe() -> None:
    recommended = read_recipe(RECIPES / "recommended.toml", methods=read_method)
    overlay = RECIPES / "bench" / "methods" / "probe.toml"
    benched = read_recipe(RECIPES / "world.toml", (), [overlay], read_method)
    assert msgspec.structs.replace(recommended, name="") == msgspec.structs.replace(benched, name="")
