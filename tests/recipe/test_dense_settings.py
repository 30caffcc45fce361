"""Features that a recipe cannot state are refused by their key, with what is allowed."""

from pathlib import Path

import pytest

from tests.recipe.test_read import SMALLEST, problem


@pytest.mark.parametrize(
    ("added", "message"),
    [
        (
            '[[features]]\nname = "x"\nkind = "numeric"\nside = "viewer"',
            'features.x.boundaries: got none; allowed: rising numbers, "quantiles", or standardized = true',
        ),
        (
            '[[features]]\nname = "x"\nkind = "numeric"\nside = "viewer"\nboundaries = "deciles"',
            "features.x.boundaries: got 'deciles'; allowed: a list, or quantiles",
        ),
        (
            '[[features]]\nname = "x"\nkind = "numeric"\nside = "viewer"\nboundaries = [1.0, nan]',
            "features.x.boundaries.1: got nan; allowed: finite numbers",
        ),
        (
            '[[features]]\nname = "x"\nkind = "numeric"\nside = "viewer"\nboundaries = [1.0, "b"]',
            "features.x.boundaries.1: got 'b'; expected `float`, got `str`",
        ),
        (
            '[[features]]\nname = "x"\nkind = "numeric"\nside = "viewer"\nboundaries = "quantiles"\n'
            "standardized = true",
            "features.x.standardized: got true; allowed: false, because the number has boundaries",
        ),
        (
            '[[features]]\nname = "x"\nkind = "vector"\nside = "viewer"',
            "features.x.dim: required, but nothing was given",
        ),
        (
            '[[features]]\nname = "x"\nkind = "vector"\nside = "viewer"\ndim = 0',
            "features.x.dim: got 0; expected `int` >= 1",
        ),
        (
            '[[features]]\nname = "x"\nkind = "vector"\nside = "viewer"\ndim = 1025',
            "features.x.dim: got 1025; expected `int` <= 1024",
        ),
    ],
)
def test_what_a_number_or_a_vector_cannot_be_is_refused(tmp_path: Path, added: str, message: str) -> None:
    assert problem(tmp_path, SMALLEST + added).startswith(message)
