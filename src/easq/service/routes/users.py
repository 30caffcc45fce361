"""PUT /v1/users: everything that the platform knows of viewers."""

from easq.recipe.recipe import Recipe
from easq.service.http.messages import BatchReply, Json, UserPut, UsersCall
from easq.service.http.route import SERVER, CallRoute
from easq.service.http.schemas import example_features, platform_schema


def _example(recipe: Recipe) -> Json:
    return {"users": [{"user_id": "u1", "features": example_features(recipe, "viewer")}]}


def _refine(operation: Json, schemas: Json, recipe: Recipe) -> None:  # noqa: ARG001 - only the schemas
    schemas["UserPut"]["properties"]["features"] = platform_schema(recipe, "viewer")


USERS = CallRoute(
    method="PUT",
    path="/v1/users",
    scopes=SERVER,
    summary="Tell who viewers are",
    call=UsersCall,
    entries=("users", UserPut),
    reply=BatchReply,
    handler=lambda service: service.users.put,
    example=_example,
    refine=_refine,
)
