"""Which arm of which experiment a viewer is in: a pure function of the settings and the viewer.

A viewer has a point in [0, 1) for each layer, and another for each experiment. The experiments of a layer
own intervals of the first, so they share no viewer. The second chooses the arm, so raising a share moves no
viewer from one arm to another. Every point is a hash, salted by the name of the layer or the experiment.
Shapes: U viewers.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from easq.arrays import F64, I64, Bool
from easq.log.ids import category_ids, mix, stable_id
from easq.recipe.experiments import Assignment, Eligible, Experiment
from easq.recipe.recipe import Recipe

ViewerFeatures = Mapping[str, I64 | F64]

NO_EXPERIMENT, HOLDOUT = "default", "holdout"
"""The labels of viewers in no experiment, and of those that are kept out of all experiments."""

_ARM_SEPARATOR, _NAME_SEPARATOR = ",", "/"


@dataclass(frozen=True)
class _Place:
    """An experiment's interval of its layer, and the ends of its arms' intervals."""

    experiment: Experiment
    low: float
    arm_ends: F64


class Arms:
    """Assigns viewers to the arms of all experiments.

    `features` holds what eligibility reads: by name, an int64 id (`ids.category_ids`) or a float number of
    each viewer, NaN where it is unknown.
    """

    def __init__(self, experiments: Iterable[Experiment], assignment: Assignment) -> None:
        self._salt, self._holdout = assignment.salt, assignment.holdout
        self._places: list[_Place] = []
        ends: dict[str, float] = {}
        for experiment in experiments:
            low = ends.get(experiment.layer, 0.0)
            ends[experiment.layer] = low + experiment.reserved_share
            weights = list(accumulate(arm.weight for arm in experiment.arms))
            self._places.append(_Place(experiment, low, np.array(weights) / weights[-1]))

    @staticmethod
    def of(recipe: Recipe) -> "Arms":
        """Return the arms of a recipe."""
        return Arms(recipe.experiments, recipe.assignment)

    @property
    def reads(self) -> tuple[str, ...]:
        """Return the features of the viewer that decide who is eligible."""
        names = [p.experiment.eligible.feature for p in self._places if p.experiment.eligible]
        return tuple(dict.fromkeys(names))

    def held_out(self, viewer_U: I64) -> Bool:
        """Return who is in the holdout; `viewer_U` is `stable_id` of each viewer's id."""
        return np.asarray(self._points(viewer_U, "holdout") < self._holdout)

    def assign(self, viewer_U: I64, features: ViewerFeatures) -> dict[str, I64]:
        """Return, by experiment, the number of each viewer's arm, -1 where a viewer has none.

        Raises KeyError when a feature of `reads` is missing.
        """
        free_U = ~self.held_out(viewer_U)
        return {p.experiment.name: self._assign(p, viewer_U, features, free_U) for p in self._places}

    def label(self, user_id: str, features: ViewerFeatures) -> str:
        """Return the label of one viewer's requests, see `join_label`; `features` has one row."""
        viewer_U = np.array([stable_id(user_id)])
        arm_of_experiment = self.assign(viewer_U, features)
        arms = {
            p.experiment.name: p.experiment.arms[number].name
            for p in self._places
            if (number := int(arm_of_experiment[p.experiment.name][0])) >= 0
        }
        return join_label(arms) or (HOLDOUT if self.held_out(viewer_U)[0] else NO_EXPERIMENT)

    def _assign(self, place: _Place, viewer_U: I64, features: ViewerFeatures, free_U: Bool) -> I64:
        experiment = place.experiment
        if not experiment.enabled:
            return np.full(len(viewer_U), -1)
        point_U = self._points(viewer_U, f"layer {experiment.layer}")
        in_U = free_U & (point_U >= place.low) & (point_U < place.low + experiment.share)
        if experiment.eligible:
            in_U &= _is_eligible(experiment.eligible, features)
        arm_U = np.searchsorted(place.arm_ends, self._points(viewer_U, f"arm {experiment.name}"), "right")
        return np.where(in_U, np.minimum(arm_U, len(experiment.arms) - 1), -1)

    def _points(self, viewer_U: I64, what: str) -> F64:
        salt = np.uint64(stable_id(f"{self._salt} {what}") & 0xFFFFFFFFFFFFFFFF)
        point_U: F64 = (mix(viewer_U, salt) >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return point_U


def _is_eligible(eligible: Eligible, features: ViewerFeatures) -> Bool:
    value_U = features[eligible.feature]
    if eligible.values:
        return np.isin(value_U, category_ids(eligible.values))
    low = -np.inf if eligible.at_least is None else eligible.at_least
    high = np.inf if eligible.below is None else eligible.below
    return np.asarray((value_U >= low) & (value_U < high))


def join_label(arms: Mapping[str, str]) -> str:
    """Return the label that names a viewer's arms by experiment.

    >>> join_label({"easq": "treatment", "layout": "wide"})
    'easq/treatment,layout/wide'
    """
    return _ARM_SEPARATOR.join(f"{experiment}{_NAME_SEPARATOR}{arm}" for experiment, arm in arms.items())


def arms_in(label: str) -> list[str]:
    """Return the parts of a label, one for each experiment that the viewer is in.

    >>> arms_in("easq/treatment,layout/wide"), arms_in("default")
    (['easq/treatment', 'layout/wide'], ['default'])
    """
    return label.split(_ARM_SEPARATOR)


def arm_of(label: str, experiment: str) -> str:
    """Return the arm of an experiment that a label names, empty where it names none.

    >>> arm_of("easq/treatment,layout/wide", "layout"), arm_of("default", "layout")
    ('wide', '')
    """
    head = experiment + _NAME_SEPARATOR
    return next((part[len(head) :] for part in arms_in(label) if part.startswith(head)), "")
