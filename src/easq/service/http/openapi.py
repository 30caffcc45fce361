"""The OpenAPI document of one service, from its routes and the features of its recipe."""

from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Any

import msgspec

from easq.recipe.recipe import Recipe
from easq.service.http.error_replies import ErrorReply
from easq.service.http.messages import JSON, MSGPACK, Json
from easq.service.http.route import CallRoute, Route
from easq.service.http.schemas import REF

_ABOUT = (
    "Ranking that aligns with what viewers say. Bodies are JSON or MessagePack (application/msgpack, the "
    "same fields; columns of features and the scores of the reply may be raw little-endian bytes there). "
    "Every refusal is JSON with a code and a message."
)


def describe(recipe: Recipe, routes: Sequence[Route]) -> Json:
    """Return the document, OpenAPI 3.1, with examples that this service accepts."""
    schemas = _schemas([route for route in routes if isinstance(route, CallRoute)])
    paths: dict[str, Json] = {}
    for route in routes:
        if not route.summary:
            continue
        operation = _operation(route, recipe)
        route.refine(operation, schemas, recipe)
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "easq", "version": version("easq"), "description": _ABOUT},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "An API key."}},
        },
    }


def _schemas(routes: Iterable[CallRoute]) -> Json:
    """Return the schemas of all calls, entries and replies by name."""
    kinds: list[Any] = [ErrorReply]
    for route in routes:
        kinds += [route.call, route.reply, *([route.entries[1]] if route.entries else [])]
    shapes, schemas = msgspec.json.schema_components(kinds, ref_template=REF)
    for route in routes:
        if route.entries:
            name, kind = route.entries
            schemas[route.call.__name__]["properties"][name]["items"] = shapes[kinds.index(kind)]
    return schemas


def _operation(route: Route, recipe: Recipe) -> Json:
    operation = _call(route, recipe) if isinstance(route, CallRoute) else _page(route)
    operation["responses"].update(_refusals(route))
    if route.scopes:
        operation["security"] = [{"key": []}, {}]
    return operation


def _call(route: CallRoute, recipe: Recipe) -> Json:
    body, reply = (
        {"$ref": REF.format(name=route.call.__name__)},
        {"$ref": REF.format(name=route.reply.__name__)},
    )
    content = {
        JSON.media_type: {"schema": body, "example": route.example(recipe)},
        MSGPACK.media_type: {"schema": body},
    }
    if route.is_beacon:  # the same JSON under another name
        content["text/plain"] = {"schema": {"type": "string"}}
    answer = {
        JSON.media_type: {"schema": reply},
        MSGPACK.media_type: {"schema": {"type": "string", "format": "binary"}},
    }
    return {
        "summary": route.summary,
        "requestBody": {"required": True, "content": content},
        "responses": {"200": {"description": "Done.", "content": answer}},
    }


def _page(route: Route) -> Json:
    schema = {"type": "object" if route.media_type == JSON.media_type else "string"}
    content = {route.media_type: {"schema": schema}}
    return {"summary": route.summary, "responses": {"200": {"description": "It is so.", "content": content}}}


def _refusals(route: Route) -> Json:
    content = {JSON.media_type: {"schema": {"$ref": REF.format(name=ErrorReply.__name__)}}}
    return {
        str(status): {"description": text, "content": content} for status, text in route.all_refusals.items()
    }
