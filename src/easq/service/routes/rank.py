"""POST /v1/rank: candidates in, a ranking out."""

from easq.features.columns import Shape
from easq.recipe.recipe import Recipe
from easq.service.http.messages import Json, RankCall, RankReply
from easq.service.http.route import SERVER, CallRoute
from easq.service.http.schemas import values_schema


def _example(_: Recipe) -> Json:
    return {"user_id": "u1", "candidates": ["i1", "i2", "i3"], "limit": 2}


def _refine(operation: Json, schemas: Json, recipe: Recipe) -> None:  # noqa: ARG001 - only the schemas
    call = schemas["RankCall"]["properties"]
    call["candidates"]["maxItems"] = recipe.service.max_candidates
    call["context"] = values_schema(Shape.of(recipe.features, "viewer"))
    call["features"] = values_schema(
        Shape.of(recipe.features, "candidate"), lambda value: {"type": "array", "items": value}
    )
    schemas["RankReply"]["properties"]["scores"] = {"type": "array", "items": {"type": "number"}}


RANK = CallRoute(
    method="POST",
    path="/v1/rank",
    scopes=SERVER,
    summary="Rank candidates for a viewer",
    call=RankCall,
    reply=RankReply,
    handler=lambda service: service.ranker.rank,
    example=_example,
    refine=_refine,
)
