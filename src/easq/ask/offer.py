"""The reply to a client that reports a view: whether to ask, and the question."""

from msgspec import Struct


class OptionReply(Struct, frozen=True):
    """One option of a question."""

    value: str
    label: str


class QuestionReply(Struct, frozen=True):
    """The question as the viewer reads it, with the options in the order to be shown."""

    name: str
    version: str
    text: str
    options: list[OptionReply]
    thanks: str


class OfferReply(Struct, frozen=True):
    """Whether to ask. `reason` is `asked` or the name of the closed gate."""

    show: bool
    reason: str
    question: QuestionReply | None
    locale: str
    token: str | None
    fade_ms: int
