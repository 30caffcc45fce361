"""Build a model from settings; training and serving use the same function."""

from typing import NamedTuple

from easq.features.layout import Layout
from easq.model.crosses import CrossTable
from easq.model.method import Objective, Task, method_of
from easq.model.pooling import Pooling
from easq.model.serving import RankingNetwork
from easq.recipe.recipe import Recipe


class BuiltMethod(NamedTuple):
    """An untrained method: pooling of features to inputs, network, and objective."""

    pooling: Pooling
    network: RankingNetwork
    objective: Objective


def build_method(recipe: Recipe, layout: Layout) -> BuiltMethod:
    """Return the recipe's method; its first parameters come from torch's global random state."""
    method, task = method_of(recipe), Task.of(recipe, layout)
    pooling = method.pooling(task)
    network = method.network(task, pooling)
    return BuiltMethod(pooling, network, method.objective(task, network))


def crosses_of(recipe: Recipe, layout: Layout) -> CrossTable | None:
    """Return the untrained table of crosses of a recipe's method, if it has one."""
    use = method_of(recipe).answer_use
    return CrossTable(layout) if use is not None and use.cross_rate else None
