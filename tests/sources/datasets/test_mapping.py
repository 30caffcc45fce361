from pathlib import Path

import pytest

from easq.errors import InputError
from easq.sources.datasets.mapping import read_mapping

GOOD = """
name = "shop"
features = [{ name = "item", column = "video", side = "candidate", kind = "categorical" }]
behaviors = [{ name = "like", column = "liked" }]
[columns]
user = "viewer"
item = "video"
time = "seen_at"
"""

FEATURE = '{ name = "item", column = "video", side = "candidate", kind = "categorical" }'


def read(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mapping.toml"
    file.write_text(text)
    read_mapping(file)


def test_a_mapping_names_each_column_once(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(GOOD)
    assert read_mapping(tmp_path / "m.toml").needed() == ["viewer", "video", "seen_at", "liked"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'name = "shop"\n',
            'name = "shop"\nnames = 1\n',
            "unknown key names = 1; allowed: name, columns, features",
        ),
        ('user = "viewer"', 'usr = "viewer"', r"unknown key columns\.usr = 'viewer'; allowed: user, item"),
        ('user = "viewer"\n', "", r"columns\.user is missing; columns needs user, item, time"),
        ('name = "shop"\n', "", "name is missing; a mapping needs name, columns, features, behaviors"),
        ('name = "shop"\n', 'name = "My Shop"\n', "name = 'My Shop': Expected `str` matching regex"),
        ('time = "seen_at"', "time = 3", r"columns\.time = 3: Expected `str`, got `int`"),
        (
            'time = "seen_at"',
            'time = "seen_at"\ntime_unit = "ns"',
            r"columns\.time_unit = 'ns': .*; allowed: s, ms, us, iso",
        ),
        (
            'side = "candidate"',
            'side = "item"',
            r"features\[0\]\.side = 'item': .*; allowed: viewer, candidate",
        ),
        ('kind = "categorical"', 'kind = "text"', r"kind = 'text': .*; allowed: categorical, multi, numeric"),
        ('kind = "categorical" }', 'kind = "categorical", separator = "," }', "separator has no effect"),
        ('kind = "categorical" }', 'kind = "multi", separator = "" }', "give at least one character"),
        (
            f"[{FEATURE}]",
            f"[{FEATURE}, {FEATURE}]",
            "features and histories need distinct names; repeated: item",
        ),
        (f"[{FEATURE}]", "[]", "features hold none with side = 'candidate'"),
        ('side = "candidate"', 'side = "viewer"', "features hold none with side = 'candidate'"),
        (
            'column = "liked"',
            'column = "seen_at"',
            r"columns\.time = 'seen_at' is a numeric feature or a behavior too",
        ),
        (
            'column = "video"',
            'column = "liked"',
            "is the column of a view's behavior too; a feature is known before",
        ),
        (f"[{FEATURE}]", "3", "features = 3: Expected `array`, got `int`"),
        ("behaviors = [{", "behaviors = [1, {", r"behaviors\[0\] = 1: Expected `object`, got `int`"),
    ],
)
def test_a_wrong_mapping_is_explained(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(InputError, match=r"mapping\.toml: .*" + message):
        read(tmp_path, GOOD.replace(old, new, 1))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ('[[histories]]\nname = "h"\nof = "x"\nlength = 2', r"histories\[0\]\.of = 'x'; allowed: item"),
        (
            '[[histories]]\nname = "h"\nof = "item"\nlength = 2\nwhere = "buy"',
            r"histories\[0\]\.where = 'buy'; allowed: like",
        ),
        ('[[histories]]\nname = "h"\nof = "item"\nlength = 0', r"length = 0: Expected `int` >= 1"),
        ('[answer]\ncolumn = "survey"\noptions = {}', r"answer\.options is empty"),
        ('[answer]\ncolumn = "survey"', r"answer\.options is missing; answer needs column, options"),
        (
            '[answer]\ncolumn = "s"\noptions = { a = 1 }',
            r"answer\.options = \{'a': 1\}: Expected `str`, got `int`",
        ),
    ],
)
def test_wrong_histories_and_answers_are_explained(tmp_path: Path, more: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, f"{GOOD}\n{more}\n")


def test_a_mapping_that_is_not_there_or_no_toml_is_explained(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.toml does not exist; expected a TOML file"):
        read_mapping(tmp_path / "no.toml")
    with pytest.raises(InputError, match="is not TOML"):
        read(tmp_path, "name = ")
