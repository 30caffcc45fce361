"""The entries of a JSON batch, cut apart by their brackets alone: one that is no JSON is refused alone.

NaN, half of a surrogate pair, a control character: a parser stops there and says nothing of the rest.
"""

import re

from msgspec import Raw

_MOST = 100_000  # the most that any setting allows

# A string that does not end takes all that is left: looked for from each of its quotes, it would take
# quadratic time.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{},]', re.DOTALL)
_END = re.compile(rb"\s*\}\s*\Z")


def entries_of(body: bytes, field: str) -> list[Raw] | None:
    """Return the entries of `{field: [...]}` as they stand; None if the body has not that form.

    Takes time in proportion to the body, up to a second for 4 MB of brackets.
    """
    head = re.match(rb'\s*\{\s*"%s"\s*:\s*\[' % field.encode(), body)
    if head is None:
        return None
    entries: list[Raw] = []
    start, depth = head.end(), 0
    for token in _TOKEN.finditer(body, start):
        mark = body[token.start()]
        if mark in b"[{":
            depth += 1
        elif depth and mark in b"]}":
            depth -= 1
        elif not depth and mark in b",]":
            entries.append(Raw(body[start : token.start()]))
            start = token.end()
            if mark in b"]":
                return entries if _END.match(body, start) else None
            if len(entries) > _MOST:
                return None
    return None
