"""Estimate a treatment's gain from its control's log, on requests new to both models.

The rankings of both arms' models are judged on drawn requests of the control. No model is judged on a request
that it has learned from: only requests count that came after both models, by their place in the log and not
by a clock (docs/ab.md). Where the control is served like everyone, requests of viewers in no experiment count
too: so a platform estimates before anybody is in an arm.
"""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray

from easq.errors import InputError
from easq.home.arm_homes import serving_home
from easq.home.home import Home
from easq.log.events import EVENTS, Request
from easq.log.sqlite import SqliteLog
from easq.prove.ab.sums import DAY_MS
from easq.prove.ab.viewer_days import day_date
from easq.prove.answers.weight_bound import clipping
from easq.prove.offpolicy.drawn_log import DrawnLog, read_explored, scores_of
from easq.prove.offpolicy.estimators import (
    ByEstimator,
    OffPolicyEstimate,
    Support,
    ValueEstimate,
    estimate,
    lift,
)
from easq.rank.pinned_model import PinnedModel, freeze, frozen
from easq.recipe.assignment import NO_EXPERIMENT, arms_in
from easq.recipe.experiments import Arm, Experiment
from easq.recipe.recipe import Recipe

_GONE, _OFF = 0.02, 0.2

T = TypeVar("T")
OnScores = Callable[[Sequence[Request], NDArray[np.floating]], None]


class Sides(Struct, Generic[T], frozen=True):
    """The same quantity of both arms."""

    treatment: T
    control: T


class ArmEstimate(Struct, frozen=True):
    """What `easq ab estimate` finds: both arms' satisfaction by drawn requests of the control.

    arms, models          the names of the arms and of their models' versions.
    first_day, last_day   UTC days of the requests (ISO dates), `from` and `to` in JSON.
    top                   how many candidates come first in a ranking.
    reached               share of the candidates that could come up in the draw.
    supported             whether the log supports the estimate; `warnings` say what is weak.
    """

    experiment: str
    arms: Sides[str]
    models: Sides[str]
    confidence: float
    first_day: str = field(name="from")
    last_day: str = field(name="to")
    requests: int
    viewers: int
    answers: int
    top: int
    reached: float
    values: Sides[ByEstimator[ValueEstimate]]
    lift: ByEstimator[ValueEstimate]
    support: Sides[Support]
    supported: bool
    warnings: list[str]


class _Chosen:
    """Selects the requests with one of some labels before a time, and records their ids and days."""

    def __init__(self, labels: Sequence[str], until_ms: int | None) -> None:
        self._labels, self.until_ms = labels, until_ms
        self.ids: set[str] = set()
        self.first_ms = self.last_ms = 0

    def __call__(self, request: Request) -> bool:
        is_in = any(label in self._labels for label in arms_in(request.arm))
        if not is_in or (self.until_ms is not None and request.ts >= self.until_ms):
            return False
        self.ids.add(request.event_id)
        if request.propensities:
            self.first_ms = min(self.first_ms or request.ts, request.ts)
            self.last_ms = max(self.last_ms, request.ts)
        return True


def two_arms(experiment: Experiment, treatment: str | None, control: str | None) -> tuple[Arm, Arm]:
    """Return an experiment's treatment and control: by name, or its second and its first arm.

    Raises InputError for a name that it does not have, and for the same one twice.
    """
    by_name = {arm.name: arm for arm in experiment.arms}
    names = [
        arm.name if name is None else name
        for name, arm in zip((treatment, control), experiment.arms[1::-1], strict=True)
    ]
    for key, name in zip(("--arm", "--against"), names, strict=True):
        if name not in by_name:
            raise InputError(f"{key}: got {name!r}; allowed: {', '.join(by_name)}")
    if names[0] == names[1]:
        raise InputError(f"--arm: got {names[0]!r}, which is the arm it is compared with; name another")
    return by_name[names[0]], by_name[names[1]]


def freeze_arms(home: Home, experiment: Experiment) -> dict[str, str]:
    """Keep the model of every arm of an experiment as it is now; return each arm's version."""
    return {arm.name: freeze(serving_home(home, experiment.name, arm)) for arm in experiment.arms}


def estimate_arm(
    home: Home,
    experiment: Experiment,
    arms: tuple[Arm, Arm],
    versions: tuple[str | None, str | None] = (None, None),
    until_ms: int | None = None,
    on_scores: OnScores = lambda *_: None,
) -> ArmEstimate:
    """Return the values of two arms' rankings on the second one's log, and the lift.

    `arms` and `versions` are of the treatment and of the control; without a version it is the newest frozen
    one, or else the newest. `on_scores` is called with requests and their scores by both models. Raises
    InputError if the log holds no answers to judge by.
    """
    homes = [serving_home(home, experiment.name, arm) for arm in arms]
    if homes[0] == homes[1]:
        raise InputError(f"{arms[0].name} and {arms[1].name} are served by the same model: nothing differs")
    models = [frozen(of, version) for of, version in zip(homes, versions, strict=True)]
    labels = [f"{experiment.name}/{arms[1].name}", *([NO_EXPERIMENT] if homes[1] == home else [])]
    chosen, scores = _Chosen(labels, until_ms), scores_of(home.recipe, *(m.parameters for m in models))

    def observed_scores(requests: Sequence[Request]) -> NDArray[np.floating]:
        score_NM = scores(requests)
        on_scores(requests, score_NM)
        return score_NM

    with SqliteLog(home.folder / "events.log", read_only=True) as log:
        news = _news(models, labels, log.end_offsets(EVENTS))
        try:
            scored = read_explored(home.recipe, log, observed_scores, chosen, news)
        except InputError as error:
            raise _nothing(error, chosen, labels, models) from None
    try:
        new, old = (
            estimate(scored.explored, score_N, confidence=experiment.confidence)
            for score_N in scored.score_NM.T
        )
        lifts = lift(new, old, experiment.confidence)
    except ValueError as error:
        raise InputError(f"{labels[0]}: {error}") from None
    return _arm_estimate(experiment, arms, models, chosen, scored, (new, old), lifts)


def _news(models: Sequence[PinnedModel], labels: Sequence[str], ends: Sequence[int]) -> list[int]:
    """Return the offsets, by partition, from which no model has learned from requests with one of `labels`.

    Raises InputError for a model that has read what is not in the log, whose partitions end at `ends`.
    """
    for model in models:
        if len(model.until) != len(ends) or any(n > end for n, end in zip(model.until, ends, strict=True)):
            raise InputError(
                f"version {model.name} of {model.home.folder} has read up to {model.until}, and events.log "
                f"ends at {list(ends)}: it is of another log"
            )
    readers = [m.until for m in models if any(_may_learn_from(m.home.recipe, label) for label in labels)]
    return [max([0, *(until[p] for until in readers)]) for p in range(len(ends))]


def _may_learn_from(recipe: Recipe, label: str) -> bool:
    """Return whether requests with `label` may be learned from; other experiments' arms share viewers."""
    experiment = label.split("/", maxsplit=1)[0] + "/"
    apart = (arm for arm in recipe.training.arms if arm != label)
    return (
        not recipe.training.arms
        or label in recipe.training.arms
        or not all(arm.startswith(experiment) for arm in apart)
    )


def _nothing(
    error: InputError, chosen: _Chosen, labels: Sequence[str], models: Sequence[PinnedModel]
) -> InputError:
    if chosen.ids:
        return InputError(f"{labels[0]}: {error}")
    names = " and ".join(model.name for model in models)
    before = "" if chosen.until_ms is None else " before --until"
    return InputError(
        f"{' or '.join(labels)}: no request{before} came after the models {names} had read the log, and "
        "none is judged by what it has learned from. Keep models with `easq ab freeze`, let rankings be "
        "drawn ([explore]) for some days, and estimate then; or name an older version"
    )


def _arm_estimate(
    experiment: Experiment,
    arms: tuple[Arm, Arm],
    models: Sequence[PinnedModel],
    chosen: _Chosen,
    scored: DrawnLog,
    estimates: tuple[OffPolicyEstimate, OffPolicyEstimate],
    lifts: ByEstimator[ValueEstimate],
) -> ArmEstimate:
    explored = scored.explored
    new, old = estimates
    return ArmEstimate(
        experiment=experiment.name,
        arms=Sides(*(arm.name for arm in arms)),
        models=Sides(*(model.name for model in models)),
        confidence=experiment.confidence,
        first_day=day_date(chosen.first_ms // DAY_MS).isoformat(),
        last_day=day_date(chosen.last_ms // DAY_MS).isoformat(),
        requests=len(explored.user_Q),
        viewers=len(np.unique(explored.user_Q)),
        answers=int((explored.answer_N > 0).sum()),
        top=explored.top,
        reached=scored.reached,
        values=Sides(*(ByEstimator(e.snips, e.doubly_robust) for e in estimates)),
        lift=lifts,
        support=Sides(new.support, old.support),
        supported=not any(e.support.lacking for e in estimates),
        warnings=[
            *clipping(scored.clipped),
            *(
                f"{arm.name}: {text}"
                for arm, e in zip(arms, estimates, strict=True)
                for text in warnings(e.support)
            ),
        ],
    )


def warnings(support: Support) -> list[str]:
    """Return the weaknesses of an estimate's support in words; empty if there are none."""
    notes = support.weaknesses()
    if support.unsupported > _GONE:
        notes.append(f"{support.unsupported:.0%} of its places hold items that could not come up in the log")
    if support.clipped > _GONE:
        notes.append(f"{support.clipped:.0%} of the weight was cut off, which draws it to the log's ranking")
    if abs(support.mean_weight - 1) > _OFF:
        notes.append(
            f"weights have the mean {support.mean_weight:.2f} and not 1: either views were not seen, or the "
            "logged chances are not those of the draw"
        )
    return notes
