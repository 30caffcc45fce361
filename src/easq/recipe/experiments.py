"""What a recipe says of its experiments: who takes part, which arms there are, what decides."""

from datetime import date
from typing import Annotated, Literal

from msgspec import Meta

from easq.recipe.values import Count, Name, Rate, Share, Strict, Text, Weight

SATISFACTION = "satisfaction"
"""The metric that decides unless an experiment names another: what viewers say, weighted."""

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
"""The metrics of the EASQ paper's Table 2 and those beside it; docs/ab.md defines each."""

COUNTED = ("requests", "views", "days", "asked", "answered")
"""What a metric may count beside behaviours."""


class Eligible(Strict, frozen=True):
    """Only viewers whose told `feature` is one of `values`, or lies in [`at_least`, `below`)."""

    feature: Name
    values: tuple[int | str, ...] = ()
    at_least: float | None = None
    below: float | None = None


class Arm(Strict, frozen=True):
    """One arm: its part of an experiment's viewers is `weight` out of the sum of all weights.

    `recipe` is a file whose model serves the arm and `version` a fixed version of the running one. With
    neither the arm is served as everyone is, and the platform may act on its name in the reply.
    """

    name: Name
    weight: Rate = 1.0
    recipe: Text | None = None
    version: Text | None = None


class Guardrail(Strict, frozen=True):
    """A metric that may get worse by `tolerance` at most: a part of its value in the control arm."""

    metric: Name
    tolerance: Share = 0.01


class Experiment(Strict, frozen=True):
    """Arms over a share of viewers; the first arm is the control.

    layer        experiments of one layer never share a viewer; those of different layers are independent.
    share        of the layer's viewers that take part now. Raising it adds viewers and moves none.
    reserved     of the layer's viewers, kept for this experiment so that it may grow; `share` unless given.
    enabled      the kill switch: false serves everyone as outside of the experiment.
    metric       decides; `guardrails` must not get worse.
    days         how long it is planned to run; `least_days` must pass before it may ship.
    pre_days     days before the start that reduce variance (CUPED).
    start        the first UTC day that counts; without it the day of the first request of an arm.
    confidence   of all intervals; `power` is what `easq ab plan` plans with.
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
    def room(self) -> float:
        """Return the share of the layer that no other experiment may take."""
        return self.share if self.reserved is None else self.reserved


class Assignment(Strict, frozen=True):
    """How viewers are dealt out. `holdout` of all viewers takes part in no experiment of any layer.

    Another `salt` deals all of them anew.
    """

    salt: str = ""
    holdout: Annotated[float, Meta(ge=0, lt=1)] = 0.0


class Metric(Strict, frozen=True):
    """A metric of a platform's own, by viewer over the days of an experiment.

    count        views whose behaviour `of` reached `at_least`.
    sum          the sum of `of` over views.
    ratio        the sum of `of` over that of `per`.
    conversion   the share of viewers with at least `at_least` of `of`.
    `of` is a behaviour, or with ratio and conversion also requests, views, days, asked, answered.
    """

    name: Name
    kind: Literal["count", "sum", "ratio", "conversion"]
    of: Name
    per: Name | None = None
    at_least: float = 1.0
    better: Literal["up", "down"] = "up"


class MetricSettings(Strict, frozen=True):
    """Where the metrics of an experiment come from.

    watch                 the behaviour whose value is the time watched, in milliseconds.
    session_gap_minutes   a session ends when nothing is heard of a viewer for so long.
    own                   metrics of the platform's own.
    """

    watch: Name = "play_ms"
    session_gap_minutes: Weight = 30.0
    own: tuple[Metric, ...] = ()


class Explore(Strict, frozen=True):
    """Rankings that are drawn and not sorted, so that other rankings can be judged from the log.

    share         of requests that are drawn; 0 explores nothing.
    kind          uniform: any order is as likely; plackett_luce: places are drawn one after the other, an
                  item by exp(score / `temperature`), scores in deviations among those drawn.
    depth         the first so many of the sorted ranking are drawn, the others stay behind them.
    top           the logged propensity of an item is its chance to be among the first `top`.
    """

    share: Share = 0.0
    kind: Literal["uniform", "plackett_luce"] = "uniform"
    depth: Annotated[int, Meta(ge=2, le=100)] = 10
    top: Annotated[int, Meta(ge=1, le=50)] = 3
    temperature: Rate = 1.0
