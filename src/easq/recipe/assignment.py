"""Which arm of which experiment a viewer is in: a pure function of the settings and the viewer.

A viewer has a point in [0, 1) for each layer, and another for each experiment. Experiments of a layer own
intervals of the first, so they share nobody; the second chooses the arm, so raising a share moves
nobody from one arm to another. Every point is a hash, salted by the layer's or the experiment's name.
Shapes: U viewers.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from easq.arrays import F64, I64, Bool
from easq.log.ids import mix, stable_id, stable_ids
from easq.recipe.experiments import Assignment, Eligible, Experiment
from easq.recipe.recipe import Recipe

Told = Mapping[str, I64 | F64]

NOBODYS, HOLDOUT = "default", "holdout"
"""The labels of viewers in no experiment and of those that are kept out of all."""

_ASIDE, _WITHIN = ",", "/"


@dataclass(frozen=True)
class _Place:
    """An experiment's interval of its layer, and the ends of its arms' intervals."""

    experiment: Experiment
    low: float
    arm_ends: F64


class Arms:
    """Deals viewers out to the arms of all experiments.

    `told` holds what eligibility reads: by feature, an int64 id (`events.stable_ids`) or a float number for
    each viewer, NaN where nothing was told.
    """

    def __init__(self, experiments: Iterable[Experiment], assignment: Assignment) -> None:
        self._salt, self._holdout = assignment.salt, assignment.holdout
        self._places: list[_Place] = []
        taken: dict[str, float] = {}
        for experiment in experiments:
            low = taken.get(experiment.layer, 0.0)
            taken[experiment.layer] = low + experiment.room
            weights = list(accumulate(arm.weight for arm in experiment.arms))
            self._places.append(_Place(experiment, low, np.array(weights) / weights[-1]))

    @staticmethod
    def of(recipe: Recipe) -> "Arms":
        """Return what a recipe says."""
        return Arms(recipe.experiments, recipe.assignment)

    @property
    def reads(self) -> tuple[str, ...]:
        """Return the told features of the viewer that decide who is eligible."""
        names = [p.experiment.eligible.feature for p in self._places if p.experiment.eligible]
        return tuple(dict.fromkeys(names))

    def held_out(self, viewer_U: I64) -> Bool:
        """Return who is in the holdout; `viewer_U` is `stable_id` of each viewer's id."""
        return np.asarray(self._points(viewer_U, "holdout") < self._holdout)

    def deal(self, viewer_U: I64, told: Told) -> dict[str, I64]:
        """Return, by experiment, the number of each viewer's arm, -1 where a viewer has none.

        Raises KeyError when a feature of `reads` is not told.
        """
        free_U = ~self.held_out(viewer_U)
        return {place.experiment.name: self._deal(place, viewer_U, told, free_U) for place in self._places}

    def label(self, user_id: str, told: Told) -> str:
        """Return the label that one viewer's requests bear, see `join_label`; `told` has one row."""
        viewer_U = np.array([stable_id(user_id)])
        dealt = self.deal(viewer_U, told)
        arms = {
            p.experiment.name: p.experiment.arms[number].name
            for p in self._places
            if (number := int(dealt[p.experiment.name][0])) >= 0
        }
        return join_label(arms) or (HOLDOUT if self.held_out(viewer_U)[0] else NOBODYS)

    def _deal(self, place: _Place, viewer_U: I64, told: Told, free_U: Bool) -> I64:
        experiment = place.experiment
        if not experiment.enabled:
            return np.full(len(viewer_U), -1)
        point_U = self._points(viewer_U, f"layer {experiment.layer}")
        in_U = free_U & (point_U >= place.low) & (point_U < place.low + experiment.share)
        if experiment.eligible:
            in_U &= _is_eligible(experiment.eligible, told)
        arm_U = np.searchsorted(place.arm_ends, self._points(viewer_U, f"arm {experiment.name}"), "right")
        return np.where(in_U, np.minimum(arm_U, len(experiment.arms) - 1), -1)

    def _points(self, viewer_U: I64, what: str) -> F64:
        salt = np.uint64(stable_id(f"{self._salt} {what}") & 0xFFFFFFFFFFFFFFFF)
        point_U: F64 = (mix(viewer_U, salt) >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return point_U


def _is_eligible(eligible: Eligible, told: Told) -> Bool:
    value_U = told[eligible.feature]
    if eligible.values:
        return np.isin(value_U, stable_ids(eligible.values))
    low = -np.inf if eligible.at_least is None else eligible.at_least
    high = np.inf if eligible.below is None else eligible.below
    return np.asarray((value_U >= low) & (value_U < high))


def join_label(arms: Mapping[str, str]) -> str:
    """Return what a request's `arm` says of a viewer's arms by experiment.

    >>> join_label({"easq": "treatment", "layout": "wide"})
    'easq/treatment,layout/wide'
    """
    return _ASIDE.join(f"{experiment}{_WITHIN}{arm}" for experiment, arm in arms.items())


def arms_in(label: str) -> list[str]:
    """Return the parts of a label, one for each experiment that the viewer is in.

    >>> arms_in("easq/treatment,layout/wide"), arms_in("default")
    (['easq/treatment', 'layout/wide'], ['default'])
    """
    return label.split(_ASIDE)


def arm_of(label: str, experiment: str) -> str:
    """Return the arm of an experiment that a label names, empty where it names none.

    >>> arm_of("easq/treatment,layout/wide", "layout"), arm_of("default", "layout")
    ('wide', '')
    """
    head = experiment + _WITHIN
    return next((part[len(head) :] for part in arms_in(label) if part.startswith(head)), "")
