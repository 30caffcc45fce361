"""What the A/B analyses find: the content of `easq ab report --json`, `plan --json` and `aa --json`."""

from msgspec import Struct

from easq.prove.ab.answer_weights import NoAsks, ResponseSummary
from easq.prove.ab.effects import Difference, Effect
from easq.prove.ab.experiment_metrics import Spec
from easq.prove.ab.verdict import GuardrailState, Verdict
from easq.recipe.experiments import Experiment


class TreatmentEffect(Effect, frozen=True, kw_only=True):
    """An effect at the last day, with its p-value adjusted for the number of metrics."""

    p_adjusted: float


class TreatmentDifference(Difference, frozen=True, kw_only=True):
    """An absolute change at the last day, with its p-value adjusted for the number of metrics."""

    p_adjusted: float


class DayEffect(Effect, frozen=True, kw_only=True):
    """An effect by the end of a UTC day (ISO date)."""

    day: str


class DayLevel(Struct, frozen=True):
    """An arm's own value of a metric by the end of a UTC day (ISO date), with the interval of one look."""

    arm: str
    day: str
    value: float
    low: float
    high: float


class ArmViewers(Struct, frozen=True):
    """The viewers of an arm, and the p-value of their number against the control's."""

    arm: str
    viewers: int
    p_value: float


class SampleRatioCheck(Struct, frozen=True):
    """Whether viewers were assigned as declared: a p-value below `level` blocks every verdict."""

    level: float
    arms: tuple[ArmViewers, ...]


class GuardrailResult(Struct, frozen=True):
    """A guardrail metric, the relative loss it allows, and whether it held."""

    metric: str
    tolerance: float
    state: GuardrailState


class TreatmentResult(Struct, frozen=True):
    """One arm against the control: the verdict, and effects by metric at the end and day by day.

    metrics        relative changes, of the metrics that have one.
    differences    absolute changes, in the metric's unit.
    not_measured   by metric, why it has no relative or no absolute change.
    warnings       by metric, what makes its change less certain than its interval says.
    """

    arm: str
    verdict: Verdict
    reasons: tuple[str, ...]
    metrics: dict[str, TreatmentEffect]
    differences: dict[str, TreatmentDifference]
    not_measured: dict[str, str]
    warnings: dict[str, tuple[str, ...]]
    guardrails: tuple[GuardrailResult, ...]
    over_time: dict[str, list[DayEffect]]


class ExperimentResult(Struct, frozen=True):
    """The results of the analysis of an experiment.

    start, end      the first and the last UTC day that count (ISO dates); `days_run` of `days` planned.
    confidence      of each interval, after the correction for several arms.
    counts          events of the log by kind.
    viewers_kept    share of the viewers that the analysis uses, to bound memory.
    crossed         viewers of the experiment seen in more than one arm.
    levels          by metric, each arm's own value day by day.
    """

    name: str
    arms: tuple[str, ...]
    metric: str
    start: str
    end: str
    days_run: int
    days: int
    confidence: float
    experiment: Experiment
    counts: dict[str, int]
    viewers_kept: float
    crossed: int
    response: ResponseSummary | NoAsks
    sample_ratio: SampleRatioCheck
    specs: tuple[Spec, ...]
    levels: dict[str, list[DayLevel]]
    treatments: tuple[TreatmentResult, ...]

    def spec(self, metric: str) -> Spec:
        """Return the description of a metric."""
        return next(spec for spec in self.specs if spec.name == metric)


class DetectableLift(Struct, frozen=True):
    """The smallest relative lift detected after `days`: with one planned look, and with daily looks."""

    days: int
    fixed: float
    always: float


class MetricPlan(Struct, frozen=True):
    """Detectable lifts of a metric by day, and the days needed for the wanted lift; None if unknown."""

    smallest_lift: list[DetectableLift]
    days_needed: int | None


class ExperimentPlan(Struct, frozen=True):
    """What an experiment could detect: its parameters, the expected viewers by day, and each metric."""

    name: str
    days_of_log: int
    pre_days: int
    lift: float
    power: float
    confidence: float
    share: float
    viewers: list[int]
    metrics: dict[str, MetricPlan]


class FalsePositives(Struct, frozen=True):
    """Shares of the A/A runs that measured a metric, with a false positive; 0 if none did.

    fixed     one look at the end.
    peeking   the interval of one look, read every day.
    always    the interval that is valid on all days, read every day.
    measured  number of runs in which the metric was measured.
    """

    fixed: float
    peeking: float
    always: float
    measured: int


class AaResult(Struct, frozen=True):
    """An A/A test: how many runs, the confidence of the intervals, and the false positives by metric."""

    runs: int
    confidence: float
    metrics: dict[str, FalsePositives]
