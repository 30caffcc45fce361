"""What viewers can be expected to do, without drawing it: exact but for a quadrature over mood.

Behaviors follow what is shown, and so does this; in a silent scenario its mood is not the one that is felt.
All that is fixed before a view is given. Then a view's behaviors depend on each other through mood, which
moves both watching and feeling, through the play ratio, and through the like. Mood is integrated by
quadrature. The pull has a normal chance of its own, and play ratios rise with the pull: so between two
neighboring cuts of the pull all that depends on watching is fixed, and the probability of being there is
known. There, and given whether the view is liked, all other behaviors are independent.

Shapes: R viewers, C items of each; N = Q x R, the viewers once for each of Q moods.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from functools import cache
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from easq.arrays import F32, F64, Bool
from easq.recipe.features import BehaviorKind
from easq.sources.world import react
from easq.sources.world.calibration import CALIBRATION, WorldConstants
from easq.sources.world.react import FEED_PLACE, Exposure, Surroundings
from easq.sources.world.real_figures import RATIO_EDGES
from easq.sources.world.watching import CLICK_S, LONG_VIEW_S

_BELOW_CAP, _ABOVE_CAP = 10, 6
_NUM_MOODS = _BELOW_CAP + _ABOVE_CAP
_FARTHEST = 4.5
_REACH, _STEPS = 6, 128
_WATCHED_S = {"click": CLICK_S, "long_view": LONG_VIEW_S}


class _Slice(NamedTuple):
    """The views whose pull lies between two neighboring cuts, in each mood.

    `watched_WRC` says for each of the wanted play times whether they last that long.
    """

    probability_NC: F32
    band_NC: NDArray[np.int8]
    watched_WRC: Bool


class _Moods:
    """Views in every mood: how content viewers are, and slices of the pull. Chances are those of react.py."""

    def __init__(self, exposure: Exposure, place: Surroundings, calibration: WorldConstants) -> None:
        mood_Q, self._weight_Q = _nodes(calibration.mood_cap)
        self._one, self._place, self._known = exposure, place, calibration
        shown = exposure.as_shown()
        arrays: dict[str, Any] = {
            f.name: _repeated(getattr(shown, f.name)) for f in fields(Exposure) if f.name != "impulse"
        }
        self._all = Exposure(**arrays)
        self._mood_N1 = np.repeat(mood_Q, len(exposure.patience_R))[:, None]
        expected_NC = _repeated(react.expected_content(exposure, place, calibration))
        self._content_NC = react.felt_in(expected_NC, self._mood_N1)

    def slices(self, seconds: Sequence[float]) -> Iterator[_Slice]:
        """Yield the slices, cut at the edges of play ratios and at play times in `seconds`."""
        length_RC, duration_s_RC = self._one.length_RC, self._one.duration_s_RC
        ratio_RC = [np.full(length_RC.shape, edge, np.float32) for edge in RATIO_EDGES]
        # The whole of a shorter video is enough (watching.watched_for).
        ratio_RC += [np.minimum(np.float32(s) / duration_s_RC, 1) for s in seconds]
        cut_JRC = np.array([self._place.table.pull_for(length_RC, one_RC) for one_RC in ratio_RC])
        edge_ERC, watched_WRC = cut_JRC[: len(RATIO_EDGES)], cut_JRC[len(RATIO_EDGES) :]
        pull_NC = react.expected_pull(self._all, self._mood_N1, self._known)
        spread = np.float32(react.own_spread(self._known))
        low_RC, low_NC = np.full(length_RC.shape, -np.inf, np.float32), np.zeros_like(pull_NC)
        for high_RC in [*np.sort(cut_JRC, 0), np.full_like(low_RC, np.inf)]:
            high_NC = _normal_below((_repeated(high_RC) - pull_NC) / spread)
            band_RC = (edge_ERC <= low_RC).sum(0, dtype=np.int8)
            yield _Slice(high_NC - low_NC, _repeated(band_RC), watched_WRC <= low_RC)
            low_RC, low_NC = high_RC, high_NC

    def chance(self, behavior: str, band_NC: NDArray[np.int8], liked: bool) -> F32:
        """Return the probability of a rare behavior in every mood."""
        return react.chance(behavior, self._all, band_NC, self._content_NC, liked, self._place, self._known)

    def mean(self, value_NC: F32) -> F32:
        """Return the mean over moods, (R, C)."""
        value_QRC = value_NC.reshape(_NUM_MOODS, *self._one.interest_RC.shape)
        mean_RC: F32 = np.tensordot(self._weight_Q, value_QRC, 1)
        return mean_RC

    def zeros(self) -> F32:
        """Return zeros in every mood, to sum over slices."""
        return np.zeros_like(self._content_NC)


def expected_level(
    exposure: Exposure,
    behaviors: Sequence[BehaviorKind],
    cap: float,
    place: Surroundings | None = None,
    calibration: WorldConstants = CALIBRATION,
) -> F32:
    """Return the expected level of each view, (R, C): of its behaviors' weights, summed, at most `cap`.

    `behaviors` and `cap` are a recipe's (easq.features.batch.levels). A behavior that the world does not have
    has the value 0.
    """
    moods = _Moods(exposure, place or FEED_PLACE, calibration)
    always, watched, rare = _sorted_out(behaviors)
    # Sums that have reached the cap are one, unless a negative weight may come.
    capped = cap if all(b.weight >= 0 for b in behaviors) else np.inf
    level_NC = moods.zeros()
    for part in moods.slices([seconds for seconds, _ in watched]):
        sure_RC = np.full(part.watched_WRC.shape[1:], always, np.float32)
        for (_, weight), watched_RC in zip(watched, part.watched_WRC, strict=True):
            sure_RC += np.float32(weight) * watched_RC
        sure_NC = _repeated(sure_RC)
        for more, chance_NC in _sums(moods, part.band_NC, rare, capped):
            above_NC = np.minimum(sure_NC + np.float32(more), np.float32(cap))
            level_NC += part.probability_NC * chance_NC * above_NC
    return moods.mean(level_NC)


def _sorted_out(
    behaviors: Sequence[BehaviorKind],
) -> tuple[float, list[tuple[float, float]], dict[str, float]]:
    """Return the weight of all views, play times in seconds with weights, and rare behaviors' weights."""
    always = 0.0
    watched: list[tuple[float, float]] = []
    rare: dict[str, float] = {}
    for one in behaviors:
        if not one.weight:
            continue
        if one.name == "play_ms" and one.at_least > 0:
            # Milliseconds are rounded.
            watched.append(((one.at_least - 0.5) / 1000, one.weight))
        elif one.at_least <= 0:
            always += one.weight
        elif one.at_least <= 1 and one.name in _WATCHED_S:
            watched.append((_WATCHED_S[one.name], one.weight))
        elif one.at_least <= 1 and one.name in react.BEHAVIORS:
            rare[one.name] = one.weight
    return always, watched, rare


def _sums(
    moods: _Moods, band_NC: NDArray[np.int8], weight_of: Mapping[str, float], capped: float
) -> Iterator[tuple[float, F32]]:
    """Yield sums of the rare behaviors' weights, and the probability of each; a sum may come twice."""
    like_NC = moods.chance("like", band_NC, False)
    for liked, share_NC in ((False, 1 - like_NC), (True, like_NC)):
        chances = {min(weight_of.get("like", 0.0), capped) if liked else 0.0: share_NC}
        for name, weight in weight_of.items():
            if name == "like":
                continue
            brought_NC = moods.chance(name, band_NC, liked)
            before, chances = chances, {}
            for total, chance_NC in before.items():
                with_NC = chance_NC * brought_NC
                for key, more_NC in ((total, chance_NC - with_NC), (min(total + weight, capped), with_NC)):
                    chances[key] = chances[key] + more_NC if key in chances else more_NC
        yield from chances.items()


def _repeated(array: NDArray[Any]) -> NDArray[Any]:
    """Return rows once for each mood."""
    return np.concatenate([array] * _NUM_MOODS)


@cache
def _nodes(cap: float) -> tuple[F32, F32]:
    """Return moods and their weights: Gauss-Legendre below and above the cap, where the pull has a bend."""
    moods, weights = [], []
    for low, high, num in ((-_FARTHEST, cap, _BELOW_CAP), (cap, _FARTHEST, _ABOVE_CAP)):
        node_Q, weight_Q = np.polynomial.legendre.leggauss(num)
        mood_Q = (low + high + (high - low) * node_Q) / 2
        moods.append(mood_Q)
        weights.append(weight_Q * (high - low) * np.exp(-(mood_Q**2) / 2))
    weight_Q = np.concatenate(weights)
    return np.concatenate(moods).astype(np.float32), (weight_Q / weight_Q.sum()).astype(np.float32)


@cache
def _normal_table() -> tuple[F64, F64]:
    at = np.arange(-_REACH * _STEPS, _REACH * _STEPS + 1) / _STEPS
    return at, np.array([NormalDist().cdf(x) for x in at.tolist()])


def _normal_below(x: F32) -> F32:
    """Return the normal distribution function, within 2e-6: NumPy has none."""
    return np.interp(x, *_normal_table()).astype(np.float32)
