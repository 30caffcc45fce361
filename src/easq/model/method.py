"""The contract of a method: settings that build a network and the objective that trains it.

A file in `easq.model.methods` declares a subclass of `TrainableMethod` with a tag, its network and its loss.
All files there are discovered, so methods are registered nowhere else. docs/add_a_method.md shows how.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

import msgspec
import numpy as np
from numpy.typing import NDArray

from easq.errors import SettingsError, format_value
from easq.features.layout import Layout
from easq.model.moe import RELU, Routing
from easq.model.objective import Losses, OrderScope, Supervision
from easq.model.pooling import FeaturePooling, Inputs, Pooling
from easq.model.reference import ReferencePlace
from easq.model.scores import Scores
from easq.model.serving import RankingNetwork
from easq.recipe.features import BehaviorKind
from easq.recipe.learning import Model
from easq.recipe.recipe import (
    DEFAULT_KIND,
    DEFAULT_KIND_UNTIL_0_2,
    MethodReader,
    MethodSettings,
    Recipe,
)
from easq.recipe.type_problems import explain
from easq.recipe.upgrade import renamed_kind
from easq.recipe.values import Width

_METHODS = "easq.model.methods"
AUTO = "auto"
"""The kind that stands for the recommended method: docs/results.md, how many answers it takes."""

PairScope = Literal["user_first", "user", "batch"]
UnaskedPairs = Literal["none", "request"]
Unasked = Literal["none", "request", "distill"]


class Task(NamedTuple):
    """What a method is built for: features, sizes, behaviors and their order, options, reference."""

    layout: Layout
    sizes: Model
    behaviors: tuple[BehaviorKind, ...]
    order_scope: OrderScope
    num_options: int
    reference: ReferencePlace | None = None

    @staticmethod
    def of(recipe: Recipe, layout: Layout) -> "Task":
        """Return the task that a recipe states."""
        scope, num_options = recipe.order.scope, len(recipe.question.options)
        reference = None if recipe.reference is None else ReferencePlace.of(recipe.reference, layout)
        return Task(layout, recipe.model, recipe.behaviors, scope, num_options, reference)

    @property
    def num_behaviors(self) -> int:
        """Number of declared behaviors, including those without a weight."""
        return len(self.behaviors)

    @property
    def best(self) -> int:
        """The number of the best option; the worst is 0."""
        return self.num_options - 1


class Objective(Protocol):
    """Scores a step's rows and computes the losses to minimize."""

    def __call__(self, x: Inputs, supervision: Supervision) -> tuple[Scores, Losses]:
        """Return the scores of all rows, including those after the batch's own, and the losses."""
        ...


@runtime_checkable
class StatefulObjective(Protocol):
    """An objective with a state of its own, such as sums; it is in checkpoints and never served."""

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return what later steps depend on."""
        ...

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Continue from what `state` returned."""
        ...


class AnswerUse(NamedTuple):
    """Which answered rows a method needs in a step, and which pairs of them its losses read.

    partners         half of the replayed rows come with another row of the same viewer, if there is one.
    scope, unasked   scope of the pairs D+; see EasqSettings.
    list_length      candidates stored with each replayed answer, its own first.
    replays          whether replayed rows join a step.
    own_rate         rate of first-order weights that answers alone train, in the last column of the table; 0
                     where there is no such column.
    cross_rate       rate of weights of crosses, which answers train together with those, over the root of the
                     crosses of a row; 0: there are none.
    wait             how many answers wait for each other before they join a step; 0: none waits.
    reads_viewed     whether the viewed rows get a satisfaction score too.
    labelled         whether the step also holds rows with both behavior and an answer.
    """

    partners: bool = True
    scope: PairScope = "batch"
    unasked: Unasked = "none"
    list_length: int = 1
    replays: bool = True
    own_rate: float = 0.0
    cross_rate: float = 0.0
    wait: int = 0
    reads_viewed: bool = False
    labelled: bool = False

    @property
    def keeps_dense(self) -> bool:
        """Whether answered rows are kept with their dense features, because they come into a step again."""
        return self.replays or self.wait > 0


class AnswerPath(NamedTuple):
    """Parameters, by the prefix of their names, with an Adam of their own that steps only on a gradient."""

    parts: tuple[str, ...]
    rate: float


class Moves(NamedTuple):
    """Parameters that a loss trains, by the prefix of their names, except those of `but_not`.

    `table` is the embedding table, `pooling` the pooling of its rows, `model.` the method's network.
    """

    parts: tuple[str, ...]
    but_not: tuple[str, ...] = ()


EMBEDDINGS = ("table", "pooling")


class TrainableMethod(MethodSettings, frozen=True, tag_field="kind"):
    """Settings of a method that can be built; a subclass with a tag is one method."""

    label: ClassVar[str]
    """Name of the method in reports."""

    gradient_map: ClassVar[Mapping[str, Moves]]
    """Parameters that each loss trains; it leaves all others unchanged. Tests check this for every method."""

    @property
    def reader(self) -> MethodReader:
        """The reader of the settings of all methods."""
        return read_method

    @property
    def reads_answers(self) -> bool:
        """Whether the method learns from answers."""
        return self.answer_use is not None

    @property
    def reads_reference(self) -> bool:
        """Whether the method serves `[reference]` as its behavior score."""
        return False

    @property
    def answer_use(self) -> AnswerUse | None:
        """How the method uses answers; None if it reads none."""
        return None

    @property
    def loss_moves(self) -> Mapping[str, Moves]:
        """`gradient_map` with these settings; another one where a setting names a part of the network."""
        return self.gradient_map

    @property
    def answer_path(self) -> AnswerPath | None:
        """What answers train by an optimizer of its own; None if there is one optimizer."""
        return None

    @property
    def num_experts(self) -> tuple[int, int]:
        """How many gated experts stand behind the served score and behind the satisfaction score."""
        return 0, 0

    def pooling(self, task: Task) -> Pooling:
        """Return the pooling of features to inputs."""
        return FeaturePooling(task.layout, task.sizes.dim)

    def network(self, task: Task, pooling: Pooling) -> RankingNetwork:
        """Return an untrained network; its first parameters come from torch's global random state."""
        raise NotImplementedError

    def objective(self, task: Task, network: RankingNetwork) -> Objective:
        """Return the objective that trains the network."""
        raise NotImplementedError


class RoutedMethod(TrainableMethod, frozen=True):
    """Settings of methods whose served score has a tower of routed experts.

    experts        number of experts of the served score.
    expert_width   hidden width of each.
    routing        relu: gates are ReLU(W_gate h), as in EASQ; softmax_top_k: softmax over the `top_k`
                   largest; none: one plain network of the experts' size.
    top_k          how many experts softmax_top_k takes.
    """

    experts: Width = 6
    expert_width: Width = 32
    routing: Literal["relu", "softmax_top_k", "none"] = "relu"
    top_k: Width = 2

    @property
    def num_experts(self) -> tuple[int, int]:
        """How many gated experts stand behind the served score and behind the satisfaction score."""
        return self.experts, 0

    def without_effect(self) -> Iterator[str]:
        """Yield a warning if `top_k` is set but not read."""
        if self.routing != "softmax_top_k" and self.top_k != RELU.top_k:
            yield f"method.top_k = {self.top_k} has no effect: only method.routing = 'softmax_top_k' reads it"

    @property
    def how_routed(self) -> Routing:
        """The routing of every tower."""
        return Routing(self.routing, self.top_k)


@cache
def methods() -> Mapping[str, type[TrainableMethod]]:
    """Return the settings of every method by its name, in order of names."""
    for module in iter_modules(import_module(_METHODS).__path__):
        import_module(f"{_METHODS}.{module.name}")
    by_kind: dict[str, type[TrainableMethod]] = {}
    for settings in _subclasses(TrainableMethod):
        kind = str(settings.__struct_config__.tag)
        if kind != settings.__name__:  # a class without a tag of its own stands for no method
            if kind in by_kind:
                raise TypeError(f"two methods are called {kind!r}: {by_kind[kind]} and {settings}")
            by_kind[kind] = settings
    return dict(sorted(by_kind.items()))


def read_method(table: Mapping[str, Any], problems: list[str]) -> TrainableMethod:
    """Read the table `[method]`; a MethodReader. `kind = "auto"` becomes the method that it stands for."""
    if table.get("kind") == AUTO:
        table = {**table, "kind": DEFAULT_KIND}
    kind = table.get("kind", DEFAULT_KIND)
    known = methods()
    if not isinstance(kind, str) or kind not in known:
        allowed = ", ".join(sorted((*known, AUTO)))
        problems.append(f"method.kind: got {format_value(kind)}; allowed: {allowed}")
        return known[DEFAULT_KIND]()
    data = {"kind": kind, **table}
    if type_problems := list(explain(data, known[kind], "method")):
        if "kind" not in table and set(table) <= set(known[DEFAULT_KIND_UNTIL_0_2].__struct_fields__):
            problems.append(
                f"method.kind: got none, which is {DEFAULT_KIND!r} and was {DEFAULT_KIND_UNTIL_0_2!r} until "
                f'easq 0.2; for that write kind = "{DEFAULT_KIND_UNTIL_0_2}"'
            )
            return known[kind]()
        problems += type_problems
        if today := renamed_kind(data):
            problems.append(f"method.kind: what was {kind!r} until easq 0.2 is now called {today!r}")
        return known[kind]()
    return msgspec.convert(data, known[kind])


def method_of(recipe: Recipe) -> TrainableMethod:
    """Return the recipe's method, reading it now if the recipe was read without `read_method`.

    Raises SettingsError.
    """
    method = recipe.method
    if isinstance(method, TrainableMethod):
        return method
    problems: list[str] = []
    settings = read_method(getattr(method, "table", {}), problems)
    problems = problems or list(settings.problems(recipe))
    if problems:
        raise SettingsError("; ".join(problems))
    return settings


def label_of(kind: str) -> str:
    """Return the name of a method in reports; other names are returned unchanged."""
    settings = methods().get(kind)
    return kind if settings is None else settings.label


def _subclasses(kind: type[TrainableMethod]) -> Iterator[type[TrainableMethod]]:
    for subclass in kind.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)
