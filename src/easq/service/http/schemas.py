"""Pieces of JSON Schema and of example calls that depend on a recipe's features."""

from collections.abc import Callable

from easq.features.columns import LONGEST, Shape
from easq.log.packing import FLOAT
from easq.recipe.features import Categorical, Feature, History, Multi, Vector, platform_features
from easq.recipe.recipe import Recipe
from easq.recipe.values import Side
from easq.service.http.messages import Json

REF = "#/components/schemas/{name}"


def object_schema(properties: Json) -> Json:
    """Return the schema of an optional object with these properties and no others."""
    return {"type": "object", "properties": properties, "additionalProperties": False, "default": {}}


def feature_schema(feature: Feature) -> Json:
    """Return the schema of one value of a feature."""
    integer = {"type": "integer", "minimum": -(1 << 63), "maximum": (1 << 63) - 1}
    category = {"anyOf": [{"type": "string"}, integer]}
    if isinstance(feature, Categorical):
        return {"anyOf": [*category["anyOf"], {"type": "null"}]}
    if isinstance(feature, Multi | History):
        return {"type": ["array", "null"], "items": category, "maxItems": LONGEST}
    if isinstance(feature, Vector):
        number = {"type": "number", "minimum": -3.4e38, "maximum": 3.4e38}
        numbers = {"type": "array", "items": number, "minItems": feature.dim, "maxItems": feature.dim}
        size = 4 * -(-feature.dim * FLOAT.itemsize // 3)
        packed = {"type": "string", "contentEncoding": "base64", "minLength": size, "maxLength": size}
        return {"anyOf": [numbers, packed, {"type": "null"}]}
    return {"type": ["number", "null"], "minimum": -3.4e38, "maximum": 3.4e38}


def values_schema(shape: Shape, column: Callable[[Json], Json] = lambda value: value) -> Json:
    """Return the schema of an object with the features of a side, each as `column` makes it of a value's."""
    features = (*shape.singles, *shape.numbers, *shape.lists, *shape.vectors)
    return object_schema({feature.name: column(feature_schema(feature)) for feature in features})


def platform_schema(recipe: Recipe, side: Side) -> Json:
    """Return the schema of an object with the features of a side that the platform sends."""
    features = platform_features(recipe.features, side)
    return object_schema({name: feature_schema(feature) for name, feature in features.items()})


def example_features(recipe: Recipe, side: Side) -> Json:
    """Return a valid value of every feature of a side that the platform sends, except of the id itself."""
    values: Json = {}
    for name, feature in platform_features(recipe.features, side).items():
        if name in ("user_id", "item_id"):
            continue
        if isinstance(feature, Categorical):
            values[name] = f"some {name}"
        elif isinstance(feature, Multi):
            values[name] = ["one", "another"]
        elif isinstance(feature, Vector):
            values[name] = [0.125] * feature.dim
        else:
            values[name] = 12.5
    return values
