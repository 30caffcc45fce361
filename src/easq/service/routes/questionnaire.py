"""POST /v1/questionnaire/*: the only routes that a viewer's own device may call."""

from functools import partial

from easq.ask.offer import OfferReply
from easq.recipe.recipe import Recipe
from easq.service.http.ask_messages import AnswerCall, AskCall, AskReply, OfferCall
from easq.service.http.messages import Json
from easq.service.http.route import VIEWER, CallRoute

_TOKEN_REFUSALS = {
    403: "The key's scope does not allow this, or the token is forged or for something else.",
    409: "The token was used: the ask was answered, dismissed or ignored before.",
    410: "The token has expired, or the ask was not shown in time.",
}


def _offer_example(_: Recipe) -> Json:
    view = {"user_id": "u1", "request_id": "r1", "item_id": "i1"}
    return {**view, "play_ms": 8000, "ratio": 0.6, "locale": "en"}


def _ask_example(_: Recipe) -> Json:
    """Return a body about an ask; its token stands for one from an offer."""
    return {"token": "eyJ...", "took_ms": 1800}


def _answer_example(recipe: Recipe) -> Json:
    return {**_ask_example(recipe), "option": recipe.question.options[-1]}


_route = partial(CallRoute, method="POST", scopes=VIEWER, body_limit=16 << 10, is_beacon=True)
_ask_route = partial(_route, reply=AskReply, refusals=_TOKEN_REFUSALS)

OFFER = _route(
    path="/v1/questionnaire/offer",
    summary="Decide whether a view is asked",
    call=OfferCall,
    reply=OfferReply,
    handler=lambda service: service.questionnaire.offer,
    example=_offer_example,
)
SHOWN = _ask_route(
    path="/v1/questionnaire/shown",
    summary="Say that an ask was shown",
    call=AskCall,
    handler=lambda service: service.questionnaire.shown,
    example=_ask_example,
)
ANSWER = _ask_route(
    path="/v1/questionnaire/answer",
    summary="Say what the viewer chose",
    call=AnswerCall,
    handler=lambda service: service.questionnaire.answer,
    example=_answer_example,
)
DISMISS = _ask_route(
    path="/v1/questionnaire/dismiss",
    summary="Say that the viewer closed the question",
    call=AskCall,
    handler=lambda service: service.questionnaire.dismiss,
    example=_ask_example,
)
IGNORED = _ask_route(
    path="/v1/questionnaire/ignored",
    summary="Say that the question went away by itself",
    call=AskCall,
    handler=lambda service: service.questionnaire.ignored,
    example=_ask_example,
)
