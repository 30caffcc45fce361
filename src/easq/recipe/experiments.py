"""Settings of experiments: who takes part, the arms, the metric that decides."""

from datetime import date
from typing import Annotated, Literal

from msgspec import Meta

from easq.recipe.values import Count, Name, Rate, Share, Strict, Text, Weight

SATISFACTION = "satisfaction"
"""The default metric of an experiment: weighted answers."""

BUILT_IN_METRICS = (
    "lt7",
    "app_stay_time",
    "watch_time",
    "video_view",
    "like",
    "comment",
    "follow",
    "forward",
    "hate",
    "q_rate",
    "q_satisfied",
    "q_dissatisfied",
    SATISFACTION,
)
"""Built-in metrics: those of the EASQ paper's Table 2 and a few more; docs/ab.md defines each."""

COUNTED = ("requests", "views", "days", "asked", "answered")
"""What a metric may count beside behaviors."""


class Eligible(Strict, frozen=True):
    """Who may take part: viewers with one of some values of a feature, or with a number in a range.

    feature    of the viewer.
    values     of a feature of ids: the ids of those who take part.
    at_least   of a number: the smallest; none: no bound.
    below      of a number: what it must lie below; none: no bound.
    """

    feature: Name
    values: tuple[int | str, ...] = ()
    at_least: float | None = None
    below: float | None = None


class Arm(Strict, frozen=True):
    """One arm of an experiment.

    name      in logs and reports.
    weight    its share of the experiment's viewers, out of the sum of all weights.
    recipe    a file: the arm is served by a model of its own with these settings.
    version   the arm is served by this fixed version of the running model.
    With neither recipe nor version it is served like everyone, and the platform may act on the arm's name in
    the reply.
    """

    name: Name
    weight: Rate = 1.0
    recipe: Text | None = None
    version: Text | None = None


class Guardrail(Strict, frozen=True):
    """A metric that must not get worse by much.

    metric      which one.
    tolerance   how much worse it may get, as a share of its value in the control arm.
    """

    metric: Name
    tolerance: Share = 0.01


class Experiment(Strict, frozen=True):
    """Arms over a share of viewers; the first arm is the control.

    name         in logs and reports.
    arms         the first is the control.
    layer        experiments of one layer never share a viewer; those of different layers are independent.
    share        share of the layer's viewers that take part. Raising it adds viewers and moves none.
    reserved     share of the layer's viewers that no other experiment may take; `share` by default.
    enabled      the kill switch; false: everyone is served as outside of the experiment.
    eligible     who may take part; none: everyone.
    metric       decides: a built-in metric, or one of `[[metrics.own]]`.
    guardrails   metrics that must not get worse.
    days         planned length.
    least_days   so many days must pass before it may ship.
    pre_days     days before the start that reduce variance (CUPED).
    start        first UTC day that counts; by default the day of the first request of an arm.
    confidence   of all intervals.
    power        what `easq ab plan` plans with.
    """

    name: Name
    arms: Annotated[tuple[Arm, ...], Meta(min_length=2, max_length=20)]
    layer: Name = "main"
    share: Share = 1.0
    reserved: Share | None = None
    enabled: bool = True
    eligible: Eligible | None = None
    metric: Name = SATISFACTION
    guardrails: tuple[Guardrail, ...] = ()
    days: Count = 14
    least_days: Count = 7
    pre_days: Annotated[int, Meta(ge=0, le=366)] = 7
    start: date | None = None
    confidence: Annotated[float, Meta(ge=0.5, lt=1)] = 0.95
    power: Annotated[float, Meta(ge=0.5, lt=1)] = 0.8

    @property
    def reserved_share(self) -> float:
        """The share of the layer that no other experiment may take."""
        return self.share if self.reserved is None else self.reserved


class Assignment(Strict, frozen=True):
    """How viewers are assigned to arms.

    holdout   share of all viewers that take part in no experiment of any layer [share].
    salt      another salt assigns all viewers anew.
    """

    salt: str = ""
    holdout: Annotated[float, Meta(ge=0, lt=1)] = 0.0


class Metric(Strict, frozen=True):
    """A metric of the platform's own, per viewer over the days of an experiment.

    name       in reports.
    kind       count: number of views whose behavior `of` reached `at_least`; sum: sum of `of` over views;
               ratio: sum of `of` over the sum of `per`; conversion: share of viewers with at least `at_least`
               of `of`.
    of         a behavior; with ratio and conversion also requests, views, days, asked or answered.
    per        of a ratio: what it is divided by; as `of`.
    at_least   of a count and a conversion.
    better     which direction is good.
    """

    name: Name
    kind: Literal["count", "sum", "ratio", "conversion"]
    of: Name
    per: Name | None = None
    at_least: float = 1.0
    better: Literal["up", "down"] = "up"


class MetricSettings(Strict, frozen=True):
    """How the metrics of experiments are computed.

    watch                 behavior whose value is the time watched, in milliseconds.
    session_gap_minutes   a session ends after so long without an event of the viewer.
    own                   metrics of the platform's own.
    """

    watch: Name = "play_ms"
    session_gap_minutes: Weight = 30.0
    own: tuple[Metric, ...] = ()


class Explore(Strict, frozen=True):
    """Rankings that are drawn at random, so that the log can estimate what other rankings would do.

    share         share of requests whose ranking is drawn; 0: none.
    kind          uniform: every order is equally likely; plackett_luce: places are drawn one after another,
                  each item with weight exp(score / `temperature`), scores in standard deviations.
    depth         the first so many candidates of the sorted ranking are drawn; the others keep their places.
    top           the logged propensity of an item is its chance to be among the first `top`.
    temperature   of plackett_luce: how far the draw departs from the order of scores.
    """

    share: Share = 0.0
    kind: Literal["uniform", "plackett_luce"] = "uniform"
    depth: Annotated[int, Meta(ge=2, le=100)] = 10
    top: Annotated[int, Meta(ge=1, le=50)] = 3
    temperature: Rate = 1.0
