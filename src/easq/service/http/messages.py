"""Bodies of calls and replies: strict structs, in JSON and in MessagePack.

Unknown fields are refused: a misspelled one would be lost silently. The entries of a batch are decoded one by
one, so that a bad one is refused alone.
"""

import re
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from easq.errors import InputError, cut
from easq.log.ids import LONGEST_ID, plain_name
from easq.rank.query import MOST_SHOWN

T = TypeVar("T")

Json = dict[str, Any]
"""A JSON object of any form."""

_ID_PATTERN = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"
_LONGEST = 200  # characters of a decoder's message, which quotes what it read
_BYTE = re.compile(r"\(byte (\d+)\)$")  # the end of a decoder's message
_HALF_PAIR = re.compile(rb"\\u[dD][89abAB]..(?!\\u[dD][c-fC-F])")
_BEFORE, _AFTER = 40, 10  # bytes that are quoted of a place
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

Id = Annotated[str, Meta(min_length=1, max_length=LONGEST_ID, extra_json_schema={"pattern": _ID_PATTERN})]
Time = Annotated[int, Meta(ge=0, lt=1 << 53, description="Milliseconds UTC; now, if not given.")]


class _Body(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class RankCall(_Body, frozen=True, kw_only=True):
    """Rank candidates for a viewer.

    `context` holds viewer features of this moment and `features[name]` one value per candidate; both
    go before what is stored. In MessagePack a column may be raw little-endian int64 or float32. With
    `limit` only the first so many are returned.

    With `mode` "shadow" the caller shows candidates of its own, `shown`, in this order: these are logged with
    their features, so that what happens to them teaches, and the ranking is only a proposal.
    """

    user_id: Id
    candidates: Annotated[list[Id], Meta(min_length=1, extra_json_schema={"uniqueItems": True})]
    context: dict[str, Raw] = {}
    features: dict[str, Raw] = {}
    limit: Annotated[int, Meta(ge=1, lt=1 << 31)] | None = None
    mode: Literal["serve", "shadow"] = "serve"
    shown: (
        Annotated[
            list[Id], Meta(min_length=1, max_length=MOST_SHOWN, extra_json_schema={"uniqueItems": True})
        ]
        | None
    ) = None


class RankReply(Struct, frozen=True):
    """The ranking, best first, with the version of the parameters and the arm of the experiment.

    `logged` is false only where the operator chose to serve while the log is down.
    """

    request_id: str
    items: list[str]
    scores: list[float] | bytes
    version: str
    arm: str
    logged: bool = True


class ItemPut(_Body, frozen=True, kw_only=True):
    """All that is known of one item; a feature that is not named is unknown."""

    item_id: Id
    features: dict[str, Raw] = {}


class UserPut(_Body, frozen=True, kw_only=True):
    """All that is known of one viewer; a feature that is not named is unknown."""

    user_id: Id
    features: dict[str, Raw] = {}


class _Event(_Body, frozen=True, kw_only=True, tag_field="type"):
    event_id: Id
    user_id: Id
    request_id: Id
    ts: Time | None = None


class BehaviorBody(_Event, frozen=True, kw_only=True, tag="behavior"):
    """What a viewer did with some items of one ranking; to name an item says that it was shown.

    `values[name]` holds one number per entry of `items`; a behavior that is not named did not happen.
    """

    items: Annotated[list[Id], Meta(min_length=1, extra_json_schema={"uniqueItems": True})]
    values: dict[str, list[float]] = {}


class _Asking(_Event, frozen=True, kw_only=True):
    item_id: Id
    question: Id
    propensity: Annotated[float, Meta(gt=0, le=1, description="The probability of this ask.")]


class AskedBody(_Asking, frozen=True, kw_only=True, tag="asked"):
    """A platform's own questionnaire was shown on one view."""


class AnsweredBody(_Asking, frozen=True, kw_only=True, tag="answered"):
    """The viewer chose an option of a platform's own questionnaire."""

    option: Id


EventBody = BehaviorBody | AskedBody | AnsweredBody


class ItemsCall(_Body, frozen=True, kw_only=True):
    """Items to be stored."""

    items: list[Raw]


class UsersCall(_Body, frozen=True, kw_only=True):
    """Viewers to be stored."""

    users: list[Raw]


class EventsCall(_Body, frozen=True, kw_only=True):
    """Events in the order in which they happened."""

    events: list[Raw]


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one entry. It carries the entry's id if that could be read."""

    status: Annotated[str, Meta(extra_json_schema={"enum": ["accepted", "refused"]})]
    event_id: str | None = None
    item_id: str | None = None
    user_id: str | None = None
    reason: str | None = None


class BatchReply(Struct, frozen=True):
    """What became of each entry, in the order given."""

    accepted: int
    refused: int
    results: list[Result]


def batch_reply(results: list[Result]) -> BatchReply:
    """Return the reply to a batch with these results."""
    accepted = sum(result.status == "accepted" for result in results)
    return BatchReply(accepted, len(results) - accepted, results)


class Format:
    """JSON or MessagePack: decodes bodies and encodes replies."""

    def __init__(self, media_type: str, module: Any) -> None:
        self.media_type, self._module = media_type, module
        self._encoder = module.Encoder()

    def encode(self, reply: object) -> bytes:
        """Return the encoded reply."""
        data: bytes = self._encoder.encode(reply)
        return data

    def reader(self, kind: Any) -> "Reader[Any]":
        """Return a reader of one type of body."""
        return Reader(self._module.Decoder(kind))


class Reader(Generic[T]):
    """Decodes one type of body or entry."""

    def __init__(self, decoder: Any) -> None:
        self._decode = decoder.decode

    def read(self, data: bytes | Raw, place: str = "") -> T:
        """Return the decoded `data`; raise InputError, naming `place`, what was given and what is allowed."""
        try:
            value: T = self._decode(data)
        except msgspec.ValidationError as error:
            what, _, within = str(error).partition(" - at `$")
            what, where = cut(what, _LONGEST), f"{place}{cut(within.rstrip('`'))}".lstrip(".")
            raise InputError(f"{where}: {what[:1].lower()}{what[1:]}" if where else what) from None
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            # Of a whole body nothing is quoted: it may hold a key.
            near = _near(data, error) if isinstance(data, Raw) else ""
            message = f"{place or 'it'} cannot be decoded: {cut(str(error), _LONGEST)}{near}"
            raise InputError(message) from None
        except RecursionError:
            raise InputError(f"{place or 'it'} is nested too deeply") from None
        return value


def _near(entry: Raw, error: Exception) -> str:
    """Return what stands where JSON became malformed, and what is allowed; empty for other errors."""
    # The decoder reads on behind half of a pair, and may say of it that the data ends too early.
    if (half := _HALF_PAIR.search(entry)) is not None:
        byte = half.start()
    elif (place := _BYTE.search(str(error))) is not None and str(error).startswith("JSON"):
        byte = int(place[1])
    else:
        return ""
    text = bytes(entry)[max(0, byte - _BEFORE) : byte + _AFTER].decode(errors="replace")
    return f", near {text!a}; allowed is JSON: no NaN, no Infinity, no half of a surrogate pair"


JSON = Format("application/json", msgspec.json)
MSGPACK = Format("application/msgpack", msgspec.msgpack)


def check_ids(field: str, ids: str | list[str]) -> None:
    """Refuse control characters, which no log, header or screen shows; raise InputError."""
    if _CONTROL.search(ids if isinstance(ids, str) else "".join(ids)):
        raise InputError(f"{field}: holds a control character; allowed are ids without any")


def check_names(field: str, names: str | list[str]) -> None:
    """Check ids of viewers or items: one that is a whole number has one form, as in files; raise InputError.

    `1003.0` has the embedding row of `1003`, and would have a history, caps and an erasure of its own.
    """
    check_ids(field, names)
    for name in (names,) if isinstance(names, str) else names:
        if name.endswith("0") and (plain := plain_name(name)) != name:
            raise InputError(f"{field}: got {name!r}; allowed: {plain!r}, the whole number without a point")


# Reads only the id of a refused entry, whatever else it holds.
_ID_READERS = {
    (form, field): form.reader(msgspec.defstruct("EntryId", [(field, str)]))
    for form in (JSON, MSGPACK)
    for field in ("event_id", "item_id", "user_id")
}


def entry_id(entry: Raw, form: Format, field: str) -> str | None:
    """Return the id of an entry, cut to 128 characters; None if it has none that can be read."""
    try:
        value: str = getattr(_ID_READERS[form, field].read(entry), field)
    except InputError:
        # An entry that is no JSON may show its id all the same.
        written = re.search(rb'"%s"\s*:\s*"([^"\\]*)"' % field.encode(), entry) if form is JSON else None
        if written is None:
            return None
        value = written[1].decode(errors="replace")
    return value[:128]
