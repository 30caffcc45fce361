"""What an offer says: the service writes it, clients read it."""

from msgspec import Struct


class OptionReply(Struct, frozen=True):
    """One option, in the order to be shown."""

    value: str
    label: str


class QuestionReply(Struct, frozen=True):
    """What the viewer reads."""

    name: str
    version: str
    text: str
    options: list[OptionReply]
    thanks: str


class OfferReply(Struct, frozen=True):
    """Whether to ask; `reason` is `asked` or the name of the gate that is closed."""

    show: bool
    reason: str
    question: QuestionReply | None
    locale: str
    token: str | None
    fade_ms: int
