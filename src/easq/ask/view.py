"""A view that may be asked about, and the ids that are made from it."""

import hashlib
import re
from dataclasses import dataclass
from typing import NamedTuple

_KEY_BYTES = 12
_OWN = re.compile(f"[oqadi][0-9a-f]{{{2 * _KEY_BYTES}}}")


class AskId(NamedTuple):
    """The ids of the events about one view. They share the view's key and differ in their first letter."""

    key: str

    @classmethod
    def of(cls, event_id: str) -> "AskId":
        """Return the ids that belong to an event about an ask.

        >>> AskId.of("o1f").ask
        'q1f'
        """
        return cls(event_id[1:])

    @staticmethod
    def is_one(event_id: str) -> bool:
        """Return whether an id looks like one that the service makes: no one else's event may have it.

        >>> AskId.is_one("a" + 24 * "0"), AskId.is_one("a1")
        (True, False)
        """
        return _OWN.fullmatch(event_id) is not None

    @property
    def offer(self) -> str:
        """Return the id of the decision on the view."""
        return f"o{self.key}"

    @property
    def ask(self) -> str:
        """Return the id of the ask, which is also that of the event that it was shown."""
        return f"q{self.key}"

    @property
    def answer(self) -> str:
        """Return the id of the viewer's answer."""
        return f"a{self.key}"

    @property
    def dismissal(self) -> str:
        """Return the id of the event that the viewer closed the question."""
        return f"d{self.key}"

    @property
    def ignoring(self) -> str:
        """Return the id of the event that the question faded without a reaction."""
        return f"i{self.key}"


@dataclass(frozen=True)
class View:
    """One view as a client reports it: `ratio` is the share of the item that was played."""

    user_id: str
    request_id: str
    item_id: str
    play_ms: float
    ratio: float
    session: str = ""

    @property
    def names(self) -> tuple[str, str, str]:
        """Return the names that identify the view."""
        return self.user_id, self.request_id, self.item_id

    @property
    def key(self) -> str:
        """Return the key of the view: a digest of its names."""
        text = "".join(f"{len(name)}:{name}" for name in self.names)
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_KEY_BYTES).hexdigest()
