"""Look up the arms of a viewer from the features of the current request."""

from functools import lru_cache

from easq.features.columns import Columns, Shape
from easq.recipe.assignment import Arms
from easq.recipe.recipe import Recipe

_CACHE_SIZE = 1 << 16


class ArmLookup:
    """Labels of viewers. Labels that depend only on the id are cached."""

    def __init__(self, recipe: Recipe) -> None:
        self._arms = Arms.of(recipe)
        shape = Shape.of(recipe.features, "viewer")
        self._singles = {f.name: k for k, f in enumerate(shape.singles) if f.name in self._arms.reads}
        self._numbers = {f.name: m for m, f in enumerate(shape.numbers) if f.name in self._arms.reads}
        self._by_id = lru_cache(_CACHE_SIZE)(lambda user_id: self._arms.label(user_id, {}))

    def label(self, user_id: str, viewer: Columns) -> str:
        """Return the label of a viewer, whose values are in one row."""
        if not self._arms.reads:
            return self._by_id(user_id)
        ids = {name: viewer.ids_NK[:, k] for name, k in self._singles.items()}
        numbers = {name: viewer.numbers_NM[:, m].astype(float) for name, m in self._numbers.items()}
        return self._arms.label(user_id, {**ids, **numbers})
