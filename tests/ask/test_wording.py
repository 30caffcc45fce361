"""Which question a viewer reads, in which words and order."""

from pathlib import Path

import pytest

from easq.ask.wording import Questions
from easq.recipe.read import read_recipe
from easq.recipe.recipe import Recipe
from tests.support.small_worlds import RECIPES

SALT = bytes(32)
SEVERAL = """
[ask]
order = "random"
[[ask.questions]]
name = "satisfaction"
share = 2.0
version = "2"
wording.de = {text = "Zufrieden?", labels = ["Nein", "Weiss nicht", "Ja"], thanks = "Danke!"}
[[ask.questions]]
name = "come_back"
kind = "scale5"
[[ask.questions]]
name = "mood"
options = ["bad", "good"]
wording.en = {text = "How do you feel?", labels = ["Bad", "Good"], thanks = "Thanks!"}
"""


def recipe(tmp_path: Path, added: str) -> Recipe:
    path = tmp_path / "recipe.toml"
    path.write_text((RECIPES / "world.toml").read_text() + added)
    return read_recipe(path)


def test_without_questions_the_one_that_trains_is_asked(tmp_path: Path) -> None:
    questions = Questions(recipe(tmp_path, ""))
    posed = questions.pick(SALT, "u", "r", "i")
    assert (posed.name, posed.share) == ("satisfaction", 1.0)
    assert posed.values == ("dissatisfied", "uncertain", "satisfied")
    assert sorted(posed.wording) == ["en", "zh"]
    assert questions.order(posed, SALT, "u") == list(posed.values)


def test_a_custom_training_question_has_the_recipes_wording(tmp_path: Path) -> None:
    own = '\n[question]\nname = "liking"\ntext = "Liked it?"\noptions = ["no", "yes"]\n'
    posed = Questions(recipe(tmp_path, own)).pick(SALT, "u")
    assert (posed.name, posed.wording["en"].text, posed.wording["en"].labels) == (
        "liking",
        "Liked it?",
        ("no", "yes"),
    )


def test_questions_come_by_their_shares_and_stay_with_a_view(tmp_path: Path) -> None:
    questions = Questions(recipe(tmp_path, SEVERAL))
    picked = [questions.pick(SALT, "u", str(n)).name for n in range(4000)]
    assert picked == [questions.pick(SALT, "u", str(n)).name for n in range(4000)]
    for name, share in (("satisfaction", 0.5), ("come_back", 0.25), ("mood", 0.25)):
        assert abs(picked.count(name) / 4000 - share) < 0.03
        assert next(q for n in range(99) if (q := questions.pick(SALT, str(n))).name == name).share == share


def test_options_are_shuffled_for_each_view_but_a_scale_is_not(tmp_path: Path) -> None:
    questions = Questions(recipe(tmp_path, SEVERAL))
    posed = {q.name: q for n in range(99) if (q := questions.pick(SALT, str(n)))}
    orders = {tuple(questions.order(posed["satisfaction"], SALT, str(n))) for n in range(200)}
    assert len(orders) == 6
    assert {tuple(questions.order(posed["come_back"], SALT, str(n))) for n in range(50)} == {tuple("12345")}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [("", "en"), ("zh", "zh"), ("zh-Hans-CN", "zh"), ("ZH_tw", "zh"), ("de-AT", "de"), ("fr", "en")],
)
def test_the_nearest_locale_is_taken(tmp_path: Path, wanted: str, expected: str) -> None:
    questions = Questions(recipe(tmp_path, SEVERAL))
    posed = next(q for n in range(99) if (q := questions.pick(SALT, str(n))).name == "satisfaction")
    assert questions.locale(posed, wanted) == expected


def test_without_the_default_locale_the_first_is_taken(tmp_path: Path) -> None:
    questions = Questions(
        recipe(
            tmp_path,
            SEVERAL.replace("[ask]", '[ask]\ndefault_locale = "zh"', 1).replace("wording.en", "wording.zh"),
        )
    )
    posed = next(q for n in range(99) if (q := questions.pick(SALT, str(n))).name == "mood")
    assert questions.locale(posed, "fr") == "zh"


def test_a_wording_is_found_by_its_version_only(tmp_path: Path) -> None:
    questions = Questions(recipe(tmp_path, SEVERAL))
    assert questions.wording("satisfaction", "1", "de") is None
    assert questions.wording("worth_time", "1", "en") is None
    assert questions.wording("satisfaction", "2", "fr") is None
    result = questions.wording("satisfaction", "2", "de")
    assert result is not None
    assert result[1].labels == ("Nein", "Weiss nicht", "Ja")
