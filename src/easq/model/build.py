"""Settings to a model: what trains and what serves is built by the same functions."""

from typing import NamedTuple

from easq.features.encode import Layout
from easq.model.method import Objective, Task, method_of
from easq.model.pooling import Pooling
from easq.model.serving import RankingNetwork
from easq.recipe.recipe import Recipe


class BuiltMethod(NamedTuple):
    """An untrained method: how features become inputs, the network, and what trains it."""

    pooling: Pooling
    network: RankingNetwork
    objective: Objective


def build_method(recipe: Recipe, layout: Layout) -> BuiltMethod:
    """Return the recipe's method; its first parameters come from torch's global random state."""
    method, task = method_of(recipe), Task.of(recipe, layout)
    pooling = method.pooling(task)
    network = method.network(task, pooling)
    return BuiltMethod(pooling, network, method.objective(task, network))
