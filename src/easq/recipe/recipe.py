"""What a platform declares: features, behaviors, the question, the method and its training.

One TOML recipe is one run. It is decoded strictly: an unknown key, an impossible value or a reference to
nothing is refused with a message that names the key, what was given and what is allowed. Every choice that
the EASQ paper leaves open is a setting.

Each method's settings are declared beside its network (`easq.model.methods`), two floors above this room, so
whoever reads a recipe to build a model says who understands the table `[method]`: `methods=read_method`.
Whoever only reads the rest keeps the table as it is written.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Protocol

from msgspec import Meta, field

from easq.recipe.experiments import Assignment, Experiment, Explore, MetricSettings
from easq.recipe.features import BehaviorKind, Feature, OrderSettings, Reference
from easq.recipe.learning import Answers, Model, Training
from easq.recipe.operations import Clock, Data, Evaluation, Join, Live, Retention, Service
from easq.recipe.questionnaire import AskSettings, Quality, Question
from easq.recipe.values import Name, Strict, TomlTable

DEFAULT_KIND = "probe"
DEFAULT_KIND_UNTIL_0_2 = "easq"


class MethodSettings(Strict, frozen=True):
    """Settings of one method; a subclass with a tag declares the keys that the method reads."""

    @property
    def kind(self) -> str:
        """The method's name in recipes, bench rows and reports."""
        return str(self.__struct_config__.tag)

    @property
    def reader(self) -> "MethodReader":
        """What reads a table as this one was read."""
        return unread_method

    def problems(self, recipe: "Recipe") -> Iterator[str]:
        """Yield what is wrong with these settings in this recipe: key, value given, values allowed."""
        del recipe
        yield from ()

    @property
    def reads_answers(self) -> bool:
        """Whether the method learns from answers; an unread table may."""
        return True

    @property
    def reads_reference(self) -> bool:
        """Whether the method serves `[reference]` as its behavior score; an unread table may."""
        return True

    @property
    def reads_dense(self) -> bool:
        """Whether the method reads dense features; a recipe with such features and another is refused."""
        return True

    @property
    def unread_keys(self) -> tuple[str, ...]:
        """Keys of shared tables that this method does not read, such as `model.hidden`."""
        return ()

    def without_effect(self) -> Iterator[str]:
        """Yield a warning for each setting that nothing reads, because another one switches it off."""
        yield from ()


class MethodReader(Protocol):
    """Turns the table `[method]` into settings; adds what is wrong with it to `problems`."""

    def __call__(self, table: Mapping[str, Any], problems: list[str]) -> MethodSettings:
        """Return the settings; where there are problems they only stand in for the table's."""
        ...


class UnreadMethod(MethodSettings, frozen=True):
    """The table as it is written, unchecked: for commands that build no model."""

    table: TomlTable = field(default_factory=lambda: {"kind": DEFAULT_KIND})

    @property
    def kind(self) -> str:
        """The method's name."""
        return str(self.table.get("kind", DEFAULT_KIND))


def unread_method(table: Mapping[str, Any], problems: list[str]) -> MethodSettings:
    """Keep the table as it is."""
    del problems
    return UnreadMethod(table={"kind": DEFAULT_KIND, **table})


class Recipe(Strict, frozen=True):
    """One run, whole.

    name          of the run, in reports.
    features      what is known of viewers and candidates before a view.
    behaviors     what viewers do, and what it is worth.
    seed          of first parameters and of all draws; equal seeds give equal runs.
    row_salt      spreads ids over rows of the embedding table. A live system draws its own when it is made,
                  so that nobody can choose an id that shares the row of another; 0: as it is published.
    data          how `easq replay --data` reads a data set.
    order         which candidates behavior puts above which.
    reference     the ranker that you have.
    question      what viewers are asked, as far as it trains.
    ask           when the questionnaire is shown.
    join          how long events are waited for.
    model         sizes that methods share.
    method        the method and what it alone reads; its `kind` decides which keys there are.
    answers       which answers a step holds.
    training      how the learner steps.
    live          how the learner follows a live log.
    service       limits of the HTTP service.
    quality       which answers are trusted less.
    retention     how long events are kept.
    evaluation    how a run is measured.
    clock         which clock stamps events.
    experiments   A/B tests.
    assignment    how viewers are assigned to arms.
    metrics       metrics of experiments.
    explore       rankings that are drawn at random.
    """

    name: Name
    features: Annotated[tuple[Feature, ...], Meta(min_length=1)]
    behaviors: Annotated[tuple[BehaviorKind, ...], Meta(min_length=1)]
    seed: Annotated[int, Meta(ge=0, le=1 << 62)] = 1
    row_salt: Annotated[int, Meta(ge=0, lt=1 << 62)] = 0
    data: Data | None = None
    order: OrderSettings = OrderSettings()
    reference: Reference | None = None
    question: Question = Question()
    ask: AskSettings = AskSettings()
    join: Join = Join()
    model: Model = Model()
    method: MethodSettings = UnreadMethod()
    answers: Answers = Answers()
    training: Training = Training()
    live: Live = Live()
    service: Service = Service()
    quality: Quality = Quality()
    retention: Retention = Retention()
    evaluation: Evaluation = Evaluation()
    clock: Clock = Clock()
    experiments: tuple[Experiment, ...] = ()
    assignment: Assignment = Assignment()
    metrics: MetricSettings = MetricSettings()
    explore: Explore = Explore()
