"""Compute the figures of KuaiRand, Wikimedia and EASQ's paper on a simulated world, in bounded memory.

"Later behavior" is what the viewer did in the same view after the questionnaire was shown: it appears while
the video plays, and the world's behaviors come at the end of the view. It is compared with the same
viewer's other eligible views, so that habit and mere watching cancel.
Shapes: U viewers, R requests, C candidates.
"""

import numpy as np
from numpy.typing import NDArray

from easq.arrays import F32, F64
from easq.sources.world import real_figures
from easq.sources.world.answering import eligible, level
from easq.sources.world.react import bands
from easq.sources.world.simulate import World, WorldChunk

_LATER = ("like", "comment", "forward", "follow")
_FINISHED = 0.95


class FigureSums:
    """Sums over chunks. `values` returns the simulated figures by group and name."""

    def __init__(self, world: World) -> None:
        self._world = world
        num_viewers = len(world.viewers.segment_U)
        self._views = self._played = self._log_sum = self._log_squares = 0.0
        self._did = dict.fromkeys(real_figures.RATE, 0.0)
        self._both = dict.fromkeys(real_figures.GIVEN, 0.0)
        # Per duration: views, play ratio, finished, likes. Per band of play ratio: views, then behaviors.
        self._durations = np.zeros((4, len(real_figures.DURATIONS)))
        self._bands = np.zeros((1 + len(real_figures.BY_RATIO), len(real_figures.RATIOS)))
        self._asked, self._replied = np.zeros(5), np.zeros(5)
        # Per viewer: eligible views and their behavior, and the same for views with each answer.
        self._own_U = np.zeros((1 + len(_LATER), num_viewers))
        self._answered_OU = np.zeros((3, 1 + len(_LATER), num_viewers))

    def add(self, chunk: WorldChunk) -> None:
        """Count one chunk."""
        items, did = self._world.catalogue, chunk.behaviors
        ratio_RC = chunk.play_s_RC / items.duration_s_I[chunk.item_RC]
        self._views += ratio_RC.size
        logs = np.log(chunk.play_ms_RC[chunk.play_ms_RC > 0].astype(np.float64))
        self._played += len(logs)
        self._log_sum += float(logs.sum())
        self._log_squares += float((logs**2).sum())
        for name in self._did:
            self._did[name] += float(did[name].sum())
        for name, given in self._both:
            self._both[name, given] += float((did[name] * did[given]).sum())
        length = items.length_I[chunk.item_RC].ravel()
        for row, weight in enumerate((None, ratio_RC, ratio_RC >= _FINISHED, did["like"])):
            self._durations[row] += _sums(length, weight, len(real_figures.DURATIONS))
        band = bands(ratio_RC).ravel()
        for row, weight in enumerate((None, *(did[name] for name in real_figures.BY_RATIO))):
            self._bands[row] += _sums(band, weight, len(real_figures.RATIOS))
        self._add_answers(chunk, ratio_RC)

    def _add_answers(self, chunk: WorldChunk, ratio_RC: F32) -> None:
        level_E = level(chunk.felt_RC[chunk.asked_RC])
        self._asked += np.bincount(level_E, minlength=5)
        self._replied += np.bincount(level_E, chunk.option_RC[chunk.asked_RC] >= 0, 5)
        # A viewer has one request in a chunk, so sums over a request are sums of its viewer.
        columns = (np.ones_like(ratio_RC), *(chunk.behaviors[name] for name in _LATER))
        eligible_RC = eligible(chunk.play_s_RC, ratio_RC)
        for row, column_RC in enumerate(columns):
            self._own_U[row, chunk.user_R] += (column_RC * eligible_RC).sum(1)
            for option in range(3):
                has_option_RC = chunk.option_RC == option
                self._answered_OU[option, row, chunk.user_R] += (column_RC * has_option_RC).sum(1)

    def values(self) -> dict[tuple[str, str], float]:
        """Return every simulated figure of the feed and of people's answers, by group and name."""
        values = {("rate", name): num / self._views for name, num in self._did.items()}
        mean = self._log_sum / self._played
        values["play", "log play ms, mean"] = mean
        values["play", "log play ms, sd"] = float(np.sqrt(self._log_squares / self._played - mean**2))
        values["play", "not played at all"] = 1 - self._played / self._views
        for d, name in enumerate(real_figures.DURATIONS):
            num, ratio, finished, liked = self._durations[:, d].tolist()
            values["mean play ratio", name] = _share(ratio, num)
            values["finished", name] = _share(finished, num)
            values["like by duration", name] = _share(liked, num)
        for row, behavior in enumerate(real_figures.BY_RATIO, 1):
            for b, name in enumerate(real_figures.RATIOS):
                values[f"{behavior} by play ratio", name] = _share(*self._bands[(row, 0), b])
        for (name, given), both in self._both.items():
            with_it, all_of_it = self._did[given], self._did[name]
            values["one given another", f"{name} given {given}"] = _share(both, with_it)
            without = _share(all_of_it - both, self._views - with_it)
            values["one given another", f"{name} without {given}"] = without
        response = [_share(*pair) for pair in zip(self._replied, self._asked, strict=True)]
        for name, value in zip(real_figures.RESPONSE_LABELS, response, strict=True):
            values["relative response by truth", name] = _share(value * len(response), sum(response))
        for option, word in ((0, "dissatisfied"), (2, "satisfied")):
            for row, name in enumerate(_LATER, 1):
                values[f"later behavior, {word}", name] = self._relative(option, row)
        return values

    def _relative(self, option: int, row: int) -> float:
        num_U, sum_U = self._own_U[0], self._own_U[row]
        answers_U, behavior_U = self._answered_OU[option, 0], self._answered_OU[option, row]
        many = num_U > 1
        other = ((answers_U * sum_U - behavior_U)[many] / (num_U[many] - 1)).sum()
        return _share(behavior_U[many].sum(), other)


def _share(part: float, whole: float) -> float:
    """Return a quotient, NaN if the divisor is 0: a world may be too short for a figure."""
    return float(part) / float(whole) if whole else float("nan")


def _sums(place: NDArray[np.integer], weight: NDArray[np.generic] | None, num: int) -> F64:
    weights = None if weight is None else weight.ravel().astype(np.float64)
    return np.bincount(place, weights, num).astype(np.float64)
