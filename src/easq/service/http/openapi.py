"""The OpenAPI description of one service, from the types of the wire and the features of its recipe."""

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import msgspec

from easq.ask.offer import OfferReply
from easq.features.columns import LONGEST, Shape
from easq.recipe.features import Categorical, Feature, History, Multi
from easq.recipe.recipe import Recipe
from easq.recipe.values import Side
from easq.service.http.ask_messages import AnswerCall, AskCall, AskReply, OfferCall
from easq.service.http.error_replies import ErrorReply
from easq.service.http.messages import (
    BatchReply,
    EventSaid,
    EventsCall,
    ItemPut,
    ItemsCall,
    RankCall,
    RankReply,
    UserPut,
    UsersCall,
)
from easq.service.http.request_examples import Examples
from easq.service.values import told_features

_REF = "#/components/schemas/{name}"
_REFUSALS = {
    400: "The body cannot be read or says what is not allowed; the message names it.",
    401: "There is no key, or it is not valid.",
    403: "The key's scope does not allow this.",
    404: "There is no experiment of this name; the message says which there are.",
    408: "The body did not come in time; the connection is closed.",
    413: "A limit is exceeded; the message says which.",
    415: "The body is neither JSON nor MessagePack.",
    429: "Too many requests with this key; `Retry-After` says how many seconds to wait.",
    500: "A fault of the service.",
    503: "Not now: the reason is in the message, `Retry-After` says when to try again.",
}
_ASK_REFUSALS = {
    403: "The key's scope does not allow this, or the token is forged or for something else.",
    409: "The token was used: the ask was answered, dismissed or ignored before.",
    410: "The token has expired, or the ask was not shown in time.",
}
_CALL = (400, 401, 403, 408, 413, 415, 429, 500, 503)
_LOOK = (401, 403, 429, 500)


def describe(recipe: Recipe) -> dict[str, Any]:
    """Return the description, OpenAPI 3.1, with examples that this service accepts."""
    examples = Examples(recipe)
    kinds = (
        RankCall,
        RankReply,
        ItemsCall,
        ItemPut,
        UsersCall,
        UserPut,
        EventsCall,
        EventSaid,
        BatchReply,
        OfferCall,
        OfferReply,
        AskCall,
        AnswerCall,
        AskReply,
        ErrorReply,
    )
    shapes, schemas = msgspec.json.schema_components(kinds, ref_template=_REF)
    schemas["RankReply"]["properties"]["scores"] = {"type": "array", "items": {"type": "number"}}
    schemas["EventsCall"]["properties"]["events"]["items"] = shapes[kinds.index(EventSaid)]
    sides: tuple[tuple[str, str, str, Side], ...] = (
        ("ItemsCall", "items", "ItemPut", "candidate"),
        ("UsersCall", "users", "UserPut", "viewer"),
    )
    for call, field, entry, side in sides:
        schemas[call]["properties"][field]["items"] = {"$ref": _REF.format(name=entry)}
        schemas[entry]["properties"]["features"] = _object(
            {name: _feature(feature) for name, feature in told_features(recipe.features, side).items()}
        )
    call = schemas["RankCall"]["properties"]
    call["candidates"]["maxItems"] = recipe.service.max_candidates
    call["context"] = _values(Shape.of(recipe.features, "viewer"), lambda value: value)
    call["features"] = _values(
        Shape.of(recipe.features, "candidate"), lambda value: {"type": "array", "items": value}
    )
    paths = {
        "/v1/rank": {"post": _call("Rank candidates for a viewer", "RankCall", "RankReply", examples.rank())},
        "/v1/events": {"post": _call("Say what viewers did", "EventsCall", "BatchReply", examples.events())},
        "/v1/items": {"put": _call("Tell what items are", "ItemsCall", "BatchReply", examples.items())},
        "/v1/users": {"put": _call("Tell who viewers are", "UsersCall", "BatchReply", examples.users())},
        **_questionnaire(examples),
        "/v1/status": {"get": _look("The essentials of this process", _LOOK)},
        "/v1/dashboard": {"get": _look("What the dashboard shows of this moment", _LOOK)},
        "/v1/dashboard/board": {"get": _board(recipe)},
        "/metrics": {"get": _look("Everything counted, for Prometheus", _LOOK, "text/plain")},
        "/health/live": {"get": _open("Does the process answer", (500,))},
        "/health/ready": {"get": _open("Can it rank", (500, 503))},
        "/schema": {"get": _open("This description", (500,))},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "easq", "version": version("easq"), "description": _ABOUT},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "An API key."}},
        },
    }


_ABOUT = (
    "Ranking that aligns with what viewers say. Bodies are JSON or MessagePack (application/msgpack, the "
    "same fields; columns of features and the scores of the reply may be raw little-endian bytes there). "
    "Every refusal is JSON with a code and a message."
)


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False, "default": {}}


def _values(shape: Shape, column: Callable[[Any], Any]) -> dict[str, Any]:
    features = (*shape.singles, *shape.numbers, *shape.lists)
    return _object({feature.name: column(_feature(feature)) for feature in features})


def _feature(feature: Feature) -> dict[str, Any]:
    integer = {"type": "integer", "minimum": -(1 << 63), "maximum": (1 << 63) - 1}
    category = {"anyOf": [{"type": "string"}, integer]}
    if isinstance(feature, Categorical):
        return category
    if isinstance(feature, Multi | History):
        return {"type": "array", "items": category, "maxItems": LONGEST}
    return {"type": ["number", "null"], "minimum": -3.4e38, "maximum": 3.4e38}


def _call(summary: str, body: str, reply: str, example: Any) -> dict[str, Any]:
    content = {
        "application/json": {"schema": {"$ref": _REF.format(name=body)}, "example": example},
        "application/msgpack": {"schema": {"$ref": _REF.format(name=body)}},
    }
    answer = {
        "application/json": {"schema": {"$ref": _REF.format(name=reply)}},
        "application/msgpack": {"schema": {"type": "string", "format": "binary"}},
    }
    return {
        "summary": summary,
        "security": [{"key": []}, {}],
        "requestBody": {"required": True, "content": content},
        "responses": {"200": {"description": "Done.", "content": answer}, **_refusals(_CALL)},
    }


def _questionnaire(examples: Examples) -> dict[str, Any]:
    verbs = {
        "offer": ("Decide whether a view is asked", "OfferCall", "OfferReply", examples.offer()),
        "shown": ("Say that an ask was shown", "AskCall", "AskReply", examples.ask()),
        "answer": ("Say what the viewer chose", "AnswerCall", "AskReply", examples.answer()),
        "dismiss": ("Say that the viewer closed the question", "AskCall", "AskReply", examples.ask()),
        "ignored": ("Say that the question went away by itself", "AskCall", "AskReply", examples.ask()),
    }
    paths = {}
    for name, words in verbs.items():
        call = _call(*words)
        # What a browser's beacon sends: the same JSON under another name.
        call["requestBody"]["content"]["text/plain"] = {"schema": {"type": "string"}}
        if name != "offer":
            for status, text in _ASK_REFUSALS.items():
                call["responses"][str(status)] = {**call["responses"]["400"], "description": text}
        paths[f"/v1/questionnaire/{name}"] = {"post": call}
    return paths


def _look(summary: str, refusals: tuple[int, ...], media_type: str = "application/json") -> dict[str, Any]:
    return {**_open(summary, refusals, media_type), "security": [{"key": []}, {}]}


def _board(recipe: Recipe) -> dict[str, Any]:
    """Describe what a child process read of the log for the dashboard."""
    look = _look("What the dashboard shows of the log", (*_LOOK, 404))
    names = [experiment.name for experiment in recipe.experiments]
    schema = {"type": "string", "enum": names} if names else {"type": "string"}
    experiment = {"name": "experiment", "in": "query", "required": False, "schema": schema}
    unchanged = {"description": "Nothing has changed since the ETag in `If-None-Match`."}
    responses = {**look["responses"], "304": unchanged}
    return {**look, "parameters": [experiment], "responses": responses}


def _open(summary: str, refusals: tuple[int, ...], media_type: str = "application/json") -> dict[str, Any]:
    schema = {"type": "object" if media_type == "application/json" else "string"}
    found = {"description": "It is so.", "content": {media_type: {"schema": schema}}}
    return {"summary": summary, "responses": {"200": found, **_refusals(refusals)}}


def _refusals(statuses: tuple[int, ...]) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": _REF.format(name="ErrorReply")}}}
    return {str(status): {"description": _REFUSALS[status], "content": content} for status in statuses}
