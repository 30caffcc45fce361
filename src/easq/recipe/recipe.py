"""What a platform declares: features, behaviors, the question, the method and its training.

One TOML recipe is one run. It is decoded strictly: an unknown key, an impossible value or a reference to
nothing is refused with a message that names the key, what was given and what is allowed. Every choice that
the EASQ paper leaves open is a setting.
"""

from typing import Annotated

from msgspec import Meta

from easq.recipe.experiments import Assignment, Experiment, Explore, MetricSettings
from easq.recipe.features import BehaviorKind, Feature, OrderSettings
from easq.recipe.learning import Answers, Model, Training
from easq.recipe.method import MethodSettings, UnreadMethod
from easq.recipe.operations import Clock, Data, Evaluation, Join, Live, Retention, Service
from easq.recipe.questionnaire import AskSettings, Quality, Question
from easq.recipe.values import Name, Strict


class Recipe(Strict, frozen=True):
    """One run, whole."""

    name: Name
    features: Annotated[tuple[Feature, ...], Meta(min_length=1)]
    behaviors: Annotated[tuple[BehaviorKind, ...], Meta(min_length=1)]
    seed: Annotated[int, Meta(ge=0, le=1 << 62)] = 1
    data: Data | None = None
    order: OrderSettings = OrderSettings()
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
