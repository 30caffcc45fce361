"""How long a view lasts: map a viewer's pull to a play ratio with the real quantiles.

A rank of pull among all views of the main feed becomes the same rank of play ratio among KuaiRand's views of
that duration (a copula). So the distribution is the real one by construction, whatever makes up the pull.
"""

import numpy as np

from easq.arrays import F32, I64, Bool
from easq.sources.world.calibration import CALIBRATION
from easq.sources.world.play import FEED_RATIO_DQ, LAB_RATIO_Q

# KuaiRand's click and long view: so many seconds, or the whole of a shorter video.
CLICK_S, LONG_VIEW_S = 7.0, 18.0
_STEPS, _REACH = 64, 6
_WIDTH = 2 * _REACH * _STEPS + 1


class PlayTable:
    """Log play ratio by class of duration and pull, tabulated at 64 steps per unit of pull.

    `rows` holds the quantiles of play ratios, `at` those of the pull at the same ranks.
    """

    def __init__(self, rows: tuple[str, ...], at: tuple[float, ...]) -> None:
        self.rows = rows
        grid = np.linspace(-_REACH, _REACH, _WIDTH)
        logs = [np.interp(grid, at, np.log([float(q) for q in row.split()])) for row in rows]
        self._log_ratio = np.concatenate(logs).astype(np.float32)
        # Between the outer quantiles, where a ratio says which pull it took.
        within = (grid >= at[0]) & (grid <= at[-1])
        self._inverses = [(log[within], grid[within]) for log in logs]
        self._nothing = np.float32(at[0])

    def ratio(self, length_RC: I64, pull_RC: F32) -> F32:
        """Return play ratios, 0 below the lowest quantile: the video was not played at all."""
        place_RC = np.clip((pull_RC + _REACH) * _STEPS, 0, _WIDTH - 1.001)
        below_RC = place_RC.astype(np.int32)
        weight_RC = place_RC - below_RC
        below_RC = below_RC + (length_RC * _WIDTH).astype(np.int32)
        low_RC = self._log_ratio[below_RC]
        ratio_RC = np.exp(low_RC + weight_RC * (self._log_ratio[below_RC + 1] - low_RC))
        ratio_RC *= pull_RC > self._nothing
        return ratio_RC

    def pull_for(self, length_RC: I64, ratio_RC: F32) -> F32:
        """Return the pull above which play ratios exceed `ratio_RC`; infinite if all do, or none."""
        pull_RC = np.full(ratio_RC.shape, -np.inf, np.float32)
        for length, (log, grid) in enumerate(self._inverses):
            here = (length_RC == length) & (ratio_RC > 0)
            pull_RC[here] = np.interp(np.log(ratio_RC[here]), log, grid, left=self._nothing, right=np.inf)
        return pull_RC


FEED = PlayTable(FEED_RATIO_DQ, CALIBRATION.pull_levels)
LAB = PlayTable((LAB_RATIO_Q,) * len(FEED_RATIO_DQ), CALIBRATION.lab_pull_levels)
"""EEG-SVRec's laboratory, where people had time: one distribution for all durations."""


def watched_for(play_s_RC: F32, duration_s_RC: F32, seconds: float) -> Bool:
    """Return whether a view lasted at least `seconds`, or the whole of a shorter video.

    KuaiRand's click is this with 7 seconds, its long view with 18: correct for 98 % and 99 % of its rows.
    """
    return np.asarray(play_s_RC >= np.minimum(np.float32(seconds), duration_s_RC))
