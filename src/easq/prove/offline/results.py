"""Results of a replay: the content of a run's `metrics.json` and `run.json`."""

from msgspec import Struct, field

from easq.prove.offline.curve import Calibration
from easq.prove.offline.tally import MetricValue
from easq.recipe.questionnaire import Question
from easq.sources.datasets.order_doubt import OrderDoubt


class ProgressiveResult(Struct, frozen=True, kw_only=True):
    """Results of progressive validation.

    confidence    of all intervals.
    metrics       by name; a scorer other than the run's own model leads it: `popularity/sat/auc`.
    lead          by reference scorer and metric: the model's value minus the reference's, paired by viewer.
    validity      behavior on answered views, `validity/OPTION/BEHAVIOR`: 1 is the viewer's average.
    order_doubt   behaviors that contradict the order of the question's options.
    calibration   of pair probabilities: of `behavior` and of `satisfaction`.
    curve         sums by stretch of the run, in order.
    """

    views: int
    answers: int
    confidence: float = 0.95
    metrics: dict[str, MetricValue]
    lead: dict[str, dict[str, MetricValue]] = field(default_factory=dict)
    validity: dict[str, MetricValue]
    order_doubt: list[OrderDoubt] = field(default_factory=list)
    calibration: dict[str, Calibration]
    curve: list[dict[str, float]]


class CollisionCounts(Struct, frozen=True):
    """How ids of a feature share embedding rows: all rows, rows in use, lookups, and the collided share."""

    rows: int
    taken: int
    lookups: int
    collided_share: float


class ReplayResult(ProgressiveResult, frozen=True, kw_only=True):
    """The content of `metrics.json`.

    name, method   of the recipe and its model.
    log            the mark of the log that was replayed; empty in a result of an earlier easq.
    experts        main experts and satisfaction experts.
    counts         events of the log by what became of them.
    collisions     by feature.
    """

    name: str
    method: str
    log: str = ""
    experts: tuple[int, int]
    behaviors: list[str]
    question: Question
    steps: int
    counts: dict[str, int]
    collisions: dict[str, CollisionCounts]


class ReplayTimes(Struct, frozen=True):
    """The content of `run.json`: wall-clock seconds of this process, and views per second.

    `newest_ms` is how far the events had come that the parameters have learned from.
    """

    seconds: float
    views_per_second: float
    newest_ms: int = 0
