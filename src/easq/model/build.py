"""Build a model from settings; training and serving use the same function."""

from typing import NamedTuple

from easq.features.encode import Layout
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
