"""Bodies of the calls about the questionnaire, and their reply; see `messages` for the rules."""

from typing import Annotated

from msgspec import Meta, Struct

from easq.service.http.messages import Id

Took = Annotated[
    int, Meta(ge=0, lt=1 << 31, description="Milliseconds between the question's appearance and this.")
]
_Played = Annotated[float, Meta(ge=0, le=1e12, description="Milliseconds played; pauses do not count.")]
_Ratio = Annotated[float, Meta(ge=0, le=1e6, description="The same as a part of the item, loops adding up.")]
_KeyText = Annotated[
    str, Meta(max_length=200, description="An API key, for beacons, which have no headers of their own.")
]
_Locale = Annotated[str, Meta(max_length=35)]
_Session = Annotated[str, Meta(max_length=128)]


class _AskBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    key: _KeyText = ""


class OfferCall(_AskBody, frozen=True, kw_only=True):
    """A view that may be asked about: an item of one ranking, and how much of it was watched."""

    user_id: Id
    request_id: Id
    item_id: Id
    play_ms: _Played
    ratio: _Ratio
    session_id: _Session = ""
    locale: _Locale = ""


class AskCall(_AskBody, frozen=True, kw_only=True):
    """What became of an ask. What is named beside the token must be what the token was made for."""

    token: Annotated[str, Meta(min_length=1, max_length=4096)]
    took_ms: Took = 0
    user_id: Id | None = None
    request_id: Id | None = None
    item_id: Id | None = None
    question: Id | None = None
    version: Id | None = None


class AnswerCall(AskCall, frozen=True, kw_only=True):
    """The option that the viewer chose."""

    option: Id


class AskReply(Struct, frozen=True):
    """It is on the log; `counted before` if it had been reported already."""

    status: Annotated[str, Meta(extra_json_schema={"enum": ["accepted", "counted before"]})]
