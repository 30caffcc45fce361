"""Bounded memories: dicts whose last key is the one used last, and viewers' recent answers."""

from typing import Any, TypeVar

MAX_KEYS = 1 << 16
"""Keys remembered (viewers, authors, items); those unused for longest are forgotten."""

MAX_ANSWERS = 32
"""Answers remembered of a viewer, if the caller does not ask for more."""

K = TypeVar("K")
V = TypeVar("V")


def renew(memory: dict[K, V], key: K, default: V) -> V:
    """Move a key to the end, with `default` if it is new, and return its value.

    >>> memory = {"a": 1, "b": 2}
    >>> renew(memory, "a", 0), list(memory)
    (1, ['b', 'a'])
    """
    value = memory[key] = memory.pop(key, default)
    return value


def forget_oldest(memory: dict[Any, Any], max_keys: int | None = None) -> None:
    """Delete keys from the start until at most `max_keys` are left, or MAX_KEYS if not given."""
    while len(memory) > (MAX_KEYS if max_keys is None else max_keys):
        del memory[next(iter(memory))]


def add_answer(answers: dict[str, list[V]], user_id: str, answer: V, max_answers: int = MAX_ANSWERS) -> None:
    """Append an answer to the viewer's, and forget what is over `max_answers` and over `MAX_KEYS` viewers."""
    past = renew(answers, user_id, [])
    past.append(answer)
    del past[:-max_answers]
    forget_oldest(answers)
