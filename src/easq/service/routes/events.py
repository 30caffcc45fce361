"""POST /v1/events: what viewers did and answered, as the platform reports it."""

from easq.recipe.recipe import Recipe
from easq.service.http.messages import BatchReply, EventBody, EventsCall, Json
from easq.service.http.route import SERVER, CallRoute


def _example(recipe: Recipe) -> Json:
    """Return one event of each type."""
    question = recipe.question
    view = {"user_id": "u1", "request_id": "r1"}
    ask = {**view, "item_id": "i1", "question": question.name, "propensity": 0.1}
    values = {recipe.behaviors[0].name: [1.0, 0.0]}
    return {
        "events": [
            {"type": "behavior", "event_id": "e1", **view, "items": ["i1", "i2"], "values": values},
            {"type": "asked", "event_id": "e2", **ask},
            {"type": "answered", "event_id": "e3", **ask, "option": question.options[-1]},
        ]
    }


EVENTS = CallRoute(
    method="POST",
    path="/v1/events",
    scopes=SERVER,
    summary="Say what viewers did",
    call=EventsCall,
    entries=("events", EventBody),
    reply=BatchReply,
    handler=lambda service: service.events.take,
    example=_example,
)
