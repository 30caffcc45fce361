"""What a platform knows of viewers and items when it serves: the world's features, by name.

Shapes: R requests, C candidates, G tags of an item.
"""

import numpy as np
from numpy.typing import NDArray

from easq.sources.world.population import Catalogue, Floats32, Ids, Viewers

Column = NDArray[np.int64] | NDArray[np.float32]


def viewer_columns(viewers: Viewers, user_R: Ids, ts_R: Ids) -> dict[str, Ids]:
    """Return one id per request and feature; histories are the world's own."""
    return {
        "user_id": user_R,
        "segment": viewers.segment_U[user_R],
        "device": viewers.device_U[user_R],
        "hour": ts_R // 3_600_000 % 24,
    }


def candidate_columns(catalogue: Catalogue, item_RC: Ids, age_days_RC: Floats32) -> dict[str, Column]:
    """Return ids (int64) and numbers (float32) of each candidate."""
    return {
        "item_id": item_RC,
        "author_id": catalogue.author_I[item_RC],
        "topic": catalogue.topic_I[item_RC],
        "style": catalogue.style_I[item_RC],
        "duration_s": catalogue.duration_s_I[item_RC],
        "age_days": age_days_RC,
    }


def tags(catalogue: Catalogue, item_RC: Ids) -> Ids:
    """Return the tags of each candidate, as many for every item: one axis more than `item_RC`."""
    return catalogue.tags_I[item_RC]
