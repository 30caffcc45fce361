"""The metrics of an experiment: the columns summed by viewer and day, and the quotients of them.

docs/ab.md defines each in words. Source of the built-in ones: EASQ (arXiv 2601.20215), Table 2.
"""

from dataclasses import dataclass

from easq.recipe.experiments import COUNTED, SATISFACTION, Metric
from easq.recipe.recipe import Recipe

OBSERVED = "observed"
"""Days from a viewer's first day in the experiment to the day of the look; no column of the log's."""
WEIGHTED_SATISFIED, WEIGHTED = "weighted_satisfied", "weighted"
"""Satisfied answers and all answers, each weighted for being asked and for answering."""
FIXED = (*COUNTED, "stay_ms", "satisfied", "dissatisfied")
"""The columns that every log has."""

_MINUTES = 1 / 60_000
_SIMPLE = ("like", "comment", "follow", "forward", "hate")
_TITLES = dict(zip(_SIMPLE, ("Like", "Comment", "Follow", "Forward", "Hate"), strict=True))


@dataclass(frozen=True)
class Spec:
    """A metric: the mean over viewers of a column, or the quotient of two columns' means.

    `least` makes the column an indicator of whether a viewer reached it. `better` is 1 or -1; a change of a
    metric that is no goal is neither a gain nor a cost.
    """

    name: str
    title: str
    unit: str
    numerator: str
    denominator: str | None = None
    better: int = 1
    least: float | None = None
    scale: float = 1.0
    is_goal: bool = True


@dataclass(frozen=True)
class CountedBehavior:
    """A column of behavior: the sum of its values over views, or the views where it reached `at_least`."""

    behavior: str
    at_least: float | None = None

    @property
    def name(self) -> str:
        """Return the column's name."""
        return f"sum {self.behavior}" if self.at_least is None else f"count {self.behavior} {self.at_least:g}"


@dataclass(frozen=True)
class ExperimentMetrics:
    """The metrics of an experiment, and the behavior columns they need."""

    specs: tuple[Spec, ...]
    counted: tuple[CountedBehavior, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Return all columns in the order of the tables."""
        weighted = (WEIGHTED_SATISFIED, WEIGHTED)
        return (*FIXED, *dict.fromkeys(c.name for c in self.counted), *weighted)

    @property
    def behaviors(self) -> tuple[str, ...]:
        """Return the behaviors whose values are read."""
        return tuple(dict.fromkeys(c.behavior for c in self.counted))

    def spec(self, name: str) -> Spec:
        """Return a metric by its name."""
        return next(s for s in self.specs if s.name == name)

    @staticmethod
    def of(recipe: Recipe) -> "ExperimentMetrics":
        """Return the metrics of Table 2 and the platform's own."""
        thresholds = {b.name: b.at_least for b in recipe.behaviors}
        watched = CountedBehavior(recipe.metrics.watch)
        counted = [watched, *(CountedBehavior(name, thresholds.get(name, 1.0)) for name in _SIMPLE)]
        specs = [
            Spec("lt7", "LT7", "days active in seven", "days", OBSERVED, scale=7.0),
            Spec("app_stay_time", "AppStayTime", "minutes", "stay_ms", scale=_MINUTES),
            Spec("watch_time", "WatchTime", "minutes", watched.name, scale=_MINUTES),
            Spec("video_view", "VideoView", "views", "views"),
        ]
        for name, column in zip(_SIMPLE, counted[1:], strict=True):
            specs.append(Spec(name, _TITLES[name], "views", column.name, better=-1 if name == "hate" else 1))
        specs += [
            # Less satisfied viewers answer more readily, so fewer answers may be good news.
            Spec("q_rate", "Q-rate", "of asks", "answered", "asked", is_goal=False),
            Spec("q_satisfied", "Q-Satisfied", "of answers", "satisfied", "answered"),
            Spec("q_dissatisfied", "Q-Dissatisfied", "of answers", "dissatisfied", "answered", better=-1),
            Spec(
                SATISFACTION, "Satisfaction", "of views that may be asked about", WEIGHTED_SATISFIED, WEIGHTED
            ),
        ]
        for metric in recipe.metrics.own:
            numerator = _column(metric.of, metric.at_least if metric.kind == "count" else None, counted)
            denominator = _column(metric.per, None, counted) if metric.per else None
            specs.append(_own(metric, numerator, denominator))
        return ExperimentMetrics(tuple(specs), tuple(dict.fromkeys(counted)))


def _column(name: str, at_least: float | None, counted: list[CountedBehavior]) -> str:
    if name in COUNTED:
        return name
    counted.append(CountedBehavior(name, at_least))
    return counted[-1].name


def _own(metric: Metric, numerator: str, denominator: str | None) -> Spec:
    unit = {"count": "views", "sum": metric.of, "ratio": f"per {metric.per}", "conversion": "of viewers"}
    least = metric.at_least if metric.kind == "conversion" else None
    better = 1 if metric.better == "up" else -1
    return Spec(metric.name, metric.name, unit[metric.kind], numerator, denominator, better, least)
