"""The rules of the encoder as data, for those who write it in another language: docs/export.md.

Whole numbers of 64 bits are texts, because many readers of JSON keep only 53 bits of a number.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from easq.features.columns import UNKNOWN
from easq.features.layout import DenseSlot, Layout, Slot
from easq.log.packing import FLOAT
from easq.recipe.features import History, Multi, Numeric
from easq.recipe.recipe import Recipe

KEYS = {"viewer": "user_id", "candidate": "item_id"}
"""The categorical feature of each side that is the id of the viewer or the item, unless it is given."""


def encoder_rules(recipe: Recipe) -> dict[str, Any]:
    """Return how the features of a request become the scorer's inputs: docs/export.md explains each key."""
    layout = Layout.of(recipe.features, recipe.row_salt)
    chances = getattr(recipe.method, "chances", ())
    reference = None if recipe.reference is None else recipe.reference.feature
    return {
        "ids": {"text": "blake2b-64", "row": "splitmix64", "unknown": str(UNKNOWN)},
        "padding_row": 0,
        "table_rows": layout.num_rows,
        "viewer": [_rule(slot, "viewer") for slot in layout.viewer],
        "candidate": [_rule(slot, "candidate") for slot in layout.candidate],
        "scores": [
            {
                "name": score.name,
                "column": column,
                "is_reference": score.name == reference,
                "is_chance": score.name in chances,
            }
            for column, score in enumerate(layout.scores)
        ],
        **_dense_rules("viewer_dense", layout.viewer_dense),
        **_dense_rules("candidates_dense", layout.candidate_dense),
    }


def _dense_rules(key: str, slots: Sequence[DenseSlot]) -> dict[str, Any]:
    """Return where a side's dense features stand; nothing for a side without any."""
    rules = [
        {
            "name": slot.feature.name,
            "kind": str(slot.feature.__struct_config__.tag),
            "column": slot.start,
            "numbers": slot.stop - slot.start,
            **(_rate_rule(slot.feature) if isinstance(slot.feature, Numeric) else {}),
        }
        for slot in slots
    ]
    return {key: rules} if rules else {}


def _rate_rule(feature: Numeric) -> dict[str, Any]:
    if feature.rate is None:
        return {}
    rate = feature.rate
    names = {"behavior": rate.behavior, "half_life_hours": rate.half_life_hours}
    return {"rate": {**names, "prior_views": rate.prior_views}}


def _rule(slot: Slot, side: str) -> dict[str, Any]:
    feature = slot.feature
    rule: dict[str, Any] = {
        "name": feature.name,
        "kind": str(feature.__struct_config__.tag),
        "column": slot.start,
        "first_row": slot.offset,
        "rows": slot.num_rows,
    }
    if isinstance(feature, Numeric):
        # As the encoder compares them: in 32 bits, which a number of JSON holds exactly.
        rule["boundaries"] = np.asarray(feature.fixed, FLOAT).astype(float).tolist()
        return rule | _rate_rule(feature)
    rule["salt"] = str(slot.salt)
    if isinstance(feature, Multi | History):
        rule["length"] = slot.stop - slot.start
        rule["takes"] = "last, newest first" if isinstance(feature, History) else "first"
    if isinstance(feature, History):
        rule |= {"of": feature.of, "where": feature.where, "at_least": feature.at_least}
    elif feature.name == KEYS[side]:
        rule["is_key"] = True
    return rule
