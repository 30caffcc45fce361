"""PUT /v1/items: everything that the platform knows of items."""

from easq.recipe.recipe import Recipe
from easq.service.http.messages import BatchReply, ItemPut, ItemsCall, Json
from easq.service.http.route import SERVER, CallRoute
from easq.service.http.schemas import example_features, platform_schema


def _example(recipe: Recipe) -> Json:
    return {"items": [{"item_id": "i1", "features": example_features(recipe, "candidate")}]}


def _refine(operation: Json, schemas: Json, recipe: Recipe) -> None:  # noqa: ARG001 - only the schemas
    schemas["ItemPut"]["properties"]["features"] = platform_schema(recipe, "candidate")


ITEMS = CallRoute(
    method="PUT",
    path="/v1/items",
    scopes=SERVER,
    summary="Tell what items are",
    call=ItemsCall,
    entries=("items", ItemPut),
    reply=BatchReply,
    handler=lambda service: service.items.put,
    example=_example,
    refine=_refine,
)
