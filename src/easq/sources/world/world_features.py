"""The features of a world, by name: what a platform knows of viewers and items when it serves.

Shapes: R requests, C candidates, G tags of an item.
"""

from easq.arrays import F32, I64
from easq.sources.world.population import Catalogue, Viewers

Column = I64 | F32


def viewer_columns(viewers: Viewers, user_R: I64, ts_R: I64) -> dict[str, I64]:
    """Return one id per request and feature, without histories."""
    return {
        "user_id": user_R,
        "segment": viewers.segment_U[user_R],
        "device": viewers.device_U[user_R],
        "hour": ts_R // 3_600_000 % 24,
    }


def candidate_columns(catalogue: Catalogue, item_RC: I64, age_days_RC: F32) -> dict[str, Column]:
    """Return ids (int64) and numbers (float32) of each candidate."""
    return {
        "item_id": item_RC,
        "author_id": catalogue.author_I[item_RC],
        "topic": catalogue.topic_I[item_RC],
        "style": catalogue.style_I[item_RC],
        "duration_s": catalogue.duration_s_I[item_RC],
        "age_days": age_days_RC,
    }


def tags(catalogue: Catalogue, item_RC: I64) -> I64:
    """Return the tags of each candidate, equally many for every item: one more axis than `item_RC`."""
    return catalogue.tags_I[item_RC]
