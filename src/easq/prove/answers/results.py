"""What a log shows about its questionnaire: the content of `easq validity --json`."""

from msgspec import Struct

from easq.prove.offline.tally import MetricValue
from easq.recipe.questionnaire import Question


class AskCounts(Struct, frozen=True):
    """Asks by outcome.

    silent         nothing was reported.
    described      asks with covariates, which the response model reads.
    viewers_kept   share of the viewers that is counted, to bound memory.
    """

    asked: int
    answered: int
    dismissed: int
    ignored: int
    silent: int
    described: int
    viewers_kept: float


class ViewsAfter(Struct, frozen=True):
    """Views after an answer with some option, and their viewers."""

    views: int
    viewers: int


class AnswerTimes(Struct, frozen=True):
    """Milliseconds from the question to the answer: quantiles, and bins (low, high, answers)."""

    answers: int
    p10: float | None
    p50: float | None
    p90: float | None
    bins: list[tuple[int, int, int]]


class AnswerQuality(Struct, frozen=True):
    """The mean weight of an answer, and how many answers bear each flag."""

    mean_weight: float
    flags: dict[str, int]


class CovariateBalance(Struct, frozen=True):
    """A covariate of the response model: its slope, and answered asks minus all asks in deviations.

    before, after   without weights, and weighted by the model.
    """

    name: str
    slope: float
    before: float
    after: float


class ResponseFit(Struct, frozen=True):
    """Who answers, by a logistic model: its AUC, and what the weighted answers are worth."""

    asks: int
    answers: int
    auc: float
    effective_answers: float
    covariates: list[CovariateBalance]


class ValidityResult(Struct, frozen=True):
    """Who answers, and whether answers mean what they say.

    window_hours   how long after an answer behavior counts as later.
    readiness      how many times as readily the worst option is answered as the best.
    after          by option.
    metrics        by name: `response/...`, `chosen/...`, `share/...`, `later/OPTION/BEHAVIOR`.
    took_ms        by option.
    model          None without both answered and unanswered asks.
    """

    name: str
    question: Question
    behaviors: list[str]
    window_hours: float
    readiness: float
    confidence: float
    counts: AskCounts
    after: dict[str, ViewsAfter]
    metrics: dict[str, MetricValue]
    took_ms: dict[str, AnswerTimes]
    quality: AnswerQuality
    model: ResponseFit | None
