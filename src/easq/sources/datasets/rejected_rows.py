"""The rows and cells of a data set that cannot be used, and why."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from easq.errors import cut

_encode = msgspec.json.Encoder().encode
_MOST_EXAMPLES = 3


class Rejects:
    """Rejected rows and the reasons, each on one JSON line of `path`: source, row, reason, values.

    `rows` counts the rejected rows, `answers` the rows used without their answer, and `cells` the features'
    cells that count as empty, by reason; `examples` are a few of those cells' texts. Always
    `read == used + sum(rows.values())`. `passed_over` names the files of a folder that are of no known kind.
    Without a path nothing is written.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.read = 0
        self.used = 0
        self.rows: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self.cells: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = {}
        self.passed_over: list[str] = []
        self.path = path
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")

    def note_examples(self, cells: Iterable[tuple[str, str]]) -> None:
        """Keep of (reason, text) pairs the first texts that differ, cut to a length that can be shown."""
        for reason, text in cells:
            known, shown = self.examples.setdefault(reason, []), cut(text)
            if len(known) < _MOST_EXAMPLES and shown not in known:
                known.append(shown)

    def write(
        self,
        source: str,
        lines: Iterator[tuple[int, str, Mapping[str, str | list[str] | list[float] | None]]],
    ) -> None:
        """Add a line for each (row number from 1, reason, values as read) of one source."""
        if self.path is None:
            return
        with self.path.open("ab") as file:
            for row, reason, values in lines:
                file.write(
                    _encode({"source": source, "row": row, "reason": reason, "values": values}) + b"\n"
                )
