"""What a recipe reads and a mapping does not give is told, all of it, before a row is read."""

from pathlib import Path

import pytest

from easq.errors import InputError
from easq.recipe.read import SettingsWarning, decode_recipe, read_recipe
from easq.recipe.recipe import Recipe
from easq.recipe.values import TomlTable
from easq.sources.datasets.mapping_fit import check_fit
from tests.sources.datasets.test_table import ANSWER, mapping
from tests.support.paths import RECIPES

ITEM = {"name": "item", "kind": "categorical", "side": "candidate", "rows": 64}
OPTIONS = ["dissatisfied", "satisfied"]


def recipe(*features: TomlTable, **others: object) -> Recipe:
    data = {
        "name": "shop",
        "features": [ITEM, *features],
        "behaviors": [{"name": "like"}],
        "question": {"options": OPTIONS},
        **others,
    }
    return decode_recipe(data)


def refusal(folder: Path, wanted: Recipe, answer: str = ANSWER, *, is_live: bool = False) -> list[str]:
    with pytest.raises(InputError, match="does not give what the recipe reads") as refused:
        check_fit(wanted, mapping(folder, answer=answer), is_live=is_live)
    return [line.strip() for line in str(refused.value).splitlines()[1:]]


def test_everything_that_is_missing_or_of_another_kind_or_side_is_named(tmp_path: Path) -> None:
    wanted = recipe(
        {"name": "author", "kind": "categorical", "side": "candidate", "rows": 64},
        {"name": "age", "kind": "numeric", "side": "viewer", "boundaries": [1.0]},
        {"name": "tags", "kind": "categorical", "side": "candidate", "rows": 64},
        {"name": "country", "kind": "categorical", "side": "candidate", "rows": 64},
        {"name": "shared", "kind": "history", "of": "item", "length": 3},
        {"name": "recent", "kind": "history", "of": "author", "length": 3},
        {"name": "liked", "kind": "history", "of": "item", "length": 3, "where": "like", "at_least": 2.0},
        behaviors=[{"name": "like"}, {"name": "hate"}],
    )
    assert refusal(tmp_path, wanted) == [
        "features.author (categorical of the candidate) is missing; of the candidate the mapping has item "
        "(categorical), tags (multi), seconds (numeric)",
        "features.age (numeric of the viewer) is missing; of the viewer the mapping has country "
        "(categorical)",
        "features.tags (categorical of the candidate): in the mapping its kind is 'multi'",
        "features.country (categorical of the candidate): in the mapping it is of the viewer",
        "features.shared (history of item) is missing; the mapping has recent (of item), liked (of item)",
        "features.recent (history of author): in the mapping it is a history of item",
        "features.liked (history of item) holds views whose like is at least 2; in the mapping it holds "
        "views whose like is at least 1",
        "behaviors.hate is missing; the mapping has like",
    ]


def test_another_question_and_other_options_are_named(tmp_path: Path) -> None:
    others = recipe(question={"options": ["bad", "satisfied"]})
    assert refusal(tmp_path, others) == [
        "question.options: the mapping's answers are also dissatisfied (answer.options); the recipe has bad, "
        "satisfied"
    ]
    another = recipe(question={"name": "joy", "options": OPTIONS})
    assert refusal(tmp_path, another) == [
        "question.name: the recipe's is 'joy'; the mapping's answers are to 'satisfaction' (answer.question)"
    ]


def test_a_number_of_either_kind_a_score_and_fewer_features_fit(tmp_path: Path) -> None:
    check_fit(recipe(), mapping(tmp_path, answer=ANSWER))
    check_fit(recipe({"name": "seconds", "kind": "score"}), mapping(tmp_path, answer=ANSWER))


def test_a_live_system_needs_the_same_rule_of_histories_and_a_replay_does_not(tmp_path: Path) -> None:
    wanted = recipe({"name": "liked", "kind": "history", "of": "item", "length": 3})
    check_fit(wanted, mapping(tmp_path, answer=ANSWER))
    assert refusal(tmp_path, wanted, is_live=True) == [
        "features.liked (history of item) holds every view; in the mapping it holds views whose like is at "
        "least 1"
    ]


def test_rates_and_answers_that_a_table_lacks_are_warned_about(tmp_path: Path) -> None:
    rate = {"behavior": "like"}
    wanted = recipe(
        {"name": "likes", "kind": "numeric", "side": "candidate", "boundaries": [0.1], "rate": rate}
    )
    with pytest.warns(SettingsWarning) as warned:
        check_fit(wanted, mapping(tmp_path))
    messages = [str(warning.message) for warning in warned]
    assert "likes: the live service computes them, and the table's views lack them" in messages[0]
    assert "there is no table [answer]" in messages[1]


def test_the_packaged_recipe_fits_its_mapping_live_too() -> None:
    check_fit(read_recipe(RECIPES / "table.toml"), RECIPES / "table_mapping.toml", is_live=True)
