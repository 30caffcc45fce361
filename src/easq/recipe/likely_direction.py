"""Which way a behavior points: what viewers who are satisfied do more of, or less."""

import re

_MORE = (
    *("like", "liked", "likes", "follow", "followed", "favorite", "favourite", "collect", "save", "saved"),
    *("share", "shared", "forward", "long", "finish", "finished", "complete", "completed"),
)
_LESS = (
    *("hate", "hated", "dislike", "disliked", "skip", "skipped", "report", "reported"),
    *("block", "blocked", "hide", "hidden", "uninterested"),
)


def likely_direction(name: str, valence: float = 0.0) -> int:
    """Return 1 for a behavior that goes with satisfaction, -1 for one that goes against it, 0 for neither.

    `valence` tells, and where it is 0 the name does, if it is one that platforms use with one meaning.
    Clicks, comments and seconds point either way.

    >>> [likely_direction(name) for name in ("long_view", "is_hate", "not_interested", "click", "un_like")]
    [1, -1, -1, 0, 0]
    """
    if valence:
        return 1 if valence > 0 else -1
    words = set(re.split(r"[^a-z]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()))
    if {"not", "interested"} <= words:
        return -1
    if words & {"not", "no", "un", "non"}:
        return 0
    return (not words.isdisjoint(_MORE)) - (not words.isdisjoint(_LESS))
