"""What an offer says: the service writes it, clients read it."""

from msgspec import Struct


class OptionShown(Struct, frozen=True):
    """One option, in the order to be shown."""

    value: str
    label: str


class QuestionShown(Struct, frozen=True):
    """What the viewer reads."""

    name: str
    version: str
    text: str
    options: list[OptionShown]
    thanks: str


class OfferReply(Struct, frozen=True):
    """Whether to ask; `reason` is `asked` or the name of the gate that is closed."""

    show: bool
    reason: str
    question: QuestionShown | None
    locale: str
    token: str | None
    fade_ms: int
