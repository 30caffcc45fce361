"""Example calls for one recipe: its own features and behaviours, so that they can be sent as they are."""

from typing import Any

from easq.recipe.features import Categorical, Multi
from easq.recipe.recipe import Recipe
from easq.recipe.values import Side
from easq.service.values import told_features


class Examples:
    """Bodies that a service of this recipe accepts."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe

    def rank(self) -> dict[str, Any]:
        """Return a body of POST /v1/rank."""
        return {"user_id": "u1", "candidates": ["i1", "i2", "i3"], "limit": 2}

    def items(self) -> dict[str, Any]:
        """Return a body of PUT /v1/items."""
        return {"items": [{"item_id": "i1", "features": self._features("candidate")}]}

    def users(self) -> dict[str, Any]:
        """Return a body of PUT /v1/users."""
        return {"users": [{"user_id": "u1", "features": self._features("viewer")}]}

    def events(self) -> dict[str, Any]:
        """Return a body of POST /v1/events, one event of each type."""
        question = self._recipe.question
        view = {"user_id": "u1", "request_id": "r1"}
        ask = {**view, "item_id": "i1", "question": question.name, "propensity": 0.1}
        values = {self._recipe.behaviors[0].name: [1.0, 0.0]}
        return {
            "events": [
                {"type": "behavior", "event_id": "e1", **view, "items": ["i1", "i2"], "values": values},
                {"type": "asked", "event_id": "e2", **ask},
                {"type": "answered", "event_id": "e3", **ask, "option": question.options[-1]},
            ]
        }

    def offer(self) -> dict[str, Any]:
        """Return a body of POST /v1/questionnaire/offer."""
        view = {"user_id": "u1", "request_id": "r1", "item_id": "i1"}
        return {**view, "play_ms": 8000, "ratio": 0.6, "locale": "en"}

    def ask(self) -> dict[str, Any]:
        """Return a body about an ask; its token stands for one of an offer."""
        return {"token": "eyJ...", "took_ms": 1800}

    def answer(self) -> dict[str, Any]:
        """Return a body of POST /v1/questionnaire/answer."""
        return {**self.ask(), "option": self._recipe.question.options[-1]}

    def _features(self, side: Side) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, feature in told_features(self._recipe.features, side).items():
            if name in ("user_id", "item_id"):
                continue  # the id itself stands for it
            if isinstance(feature, Categorical):
                values[name] = f"some {name}"
            elif isinstance(feature, Multi):
                values[name] = ["one", "another"]
            else:
                values[name] = 12.5
        return values
