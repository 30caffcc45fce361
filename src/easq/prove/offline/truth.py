"""True satisfaction with a model's first items, in simulated worlds.

The truth lies in a file of its own, keyed by request; only this measuring side opens it.
Shapes: R rows of viewed requests.
"""

import sqlite3
from pathlib import Path

import numpy as np

from easq.arrays import F32, F64
from easq.features.batch import Batch
from easq.prove.offline.metrics import row_ranks
from easq.prove.offline.tally import Tally

TOPS = (1, 3, 10)


class Truth:
    """Looks up the true satisfaction of every candidate of a request."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise FileNotFoundError(f"there is no file of true satisfaction at {path}")
        self._db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)

    def of(self, batch: Batch) -> F32:
        """Return the truth of each viewed row.

        Raises KeyError for a request that is not in the file, and ValueError for one with too few candidates
        there.
        """
        num = batch.num_viewed
        if not num:
            return np.zeros(0, np.float32)
        request_R, position_R = batch.rows.request_N[:num], batch.position_N[:num]
        truths = []
        for request_id in batch.request_ids[: int(request_R[-1]) + 1]:
            row = self._db.execute(
                "SELECT satisfaction FROM truth WHERE request_id = ?", (request_id,)
            ).fetchone()
            if row is None:
                raise KeyError(
                    f"the truth file knows nothing of request {request_id!r}; is it of another world?"
                )
            truths.append(np.frombuffer(row[0], "<f4"))
        start = np.cumsum([0, *map(len, truths)])
        beyond = np.flatnonzero(position_R >= np.diff(start)[request_R])
        if len(beyond):
            short = request_R[beyond[0]]
            raise ValueError(
                f"the truth file holds {len(truths[short])} candidates of request"
                f" {batch.request_ids[short]!r}, which had more; is it of another world?"
            )
        return np.concatenate(truths)[start[request_R] + position_R]

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def tally_tops(tally: Tally, batch: Batch, truth_R: F32, scores: dict[str, F64]) -> None:
    """Add mean truth and mean level of the first k of each request, ranked by each scorer.

    `oracle` ranks by the truth itself, which no model can beat. A tie counts by its expected value. Requests
    of k rows or fewer tell nothing about a ranking and are left out.
    """
    num, level_R = batch.num_viewed, batch.level_M
    request_R = batch.rows.request_N[:num]
    size_B = np.bincount(request_R)
    user_B = batch.user_B[: len(size_B)]
    for scorer, score_N in {**scores, "oracle": truth_R.astype(np.float64)}.items():
        ranks = row_ranks(request_R, score_N[:num])
        prefix = "" if scorer == "model" else f"{scorer}/"
        for k in TOPS:
            in_top_R, wide_B = ranks.hit(k), size_B > k
            for name, values in ((f"true_sat@{k}", truth_R), (f"behavior@{k}", level_R)):
                sum_B = np.bincount(request_R, in_top_R * values, len(size_B))
                tally.add(prefix + name, user_B[wide_B], sum_B[wide_B] / k)
