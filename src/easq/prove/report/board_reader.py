"""The process that reads a home's log for the dashboard.

Run as `python -m easq.prove.report.board_reader HOME`. Each line of standard input is a `BoardQuery`. The
reply is a line for each `BoardPart` as soon as it is ready, and a line with `null` after the last one. The
process ends with its input, after an hour without a query, or at the first error.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from select import select

import msgspec

from easq.errors import InputError
from easq.home.arm_homes import arm_home, arms_with_models
from easq.home.board import BoardPart, BoardQuery
from easq.home.home import Home, open_home
from easq.log.base import EventLog
from easq.log.events import EVENTS
from easq.log.sqlite import SqliteLog
from easq.prove.answers.funnel import Funnel

MAX_EVENTS = 200_000
"""What goes event by event reads no more than the newest ones."""

_NUM_RANKINGS = 3  # of each arm
_NICENESS = 10  # the service and the learner go first
_IDLE_S = 3600.0


class NewestEvents(SqliteLog):
    """A log that begins with the newest events of its partitions, about `most` in all."""

    def __init__(self, path: Path, most: int) -> None:
        super().__init__(path, read_only=True)
        self._most = most

    def start_offsets(self, topic: str) -> list[int]:
        """Return, per partition, where the newest events begin."""
        starts, ends = super().start_offsets(topic), self.end_offsets(topic)
        share = self._most // len(ends)
        return [max(start, end - share) for start, end in zip(starts, ends, strict=True)]


class BoardReader:
    """Reads one home again and again; the funnel is counted on from the last reading."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / "events.log"
        self._funnel: Funnel | None = None

    def read(self, experiment: str) -> Iterator[BoardPart]:
        """Yield the parts, the quick ones first. Raises InputError for a home that cannot be opened."""
        from easq.model.method import read_method

        home = open_home(self._folder, methods=read_method)
        homes = {"": home} | {
            name: arm_home(home, name)
            for name, _ in arms_with_models(home)
            if (home.folder / "arms" / name.replace("/", ".") / "settings.toml").exists()
        }
        with SqliteLog(self._path, read_only=True) as log:
            yield _timed("learners", lambda: _learners(homes))
            yield _timed("questionnaire", lambda: self._questionnaire(home, log))
            yield _timed("rankings", lambda: _rankings(log, homes))
            if experiment:
                yield _timed("experiment", lambda: _experiment(home, log, experiment))
            yield _timed("shadow", lambda: self._shadow(home))
            yield _timed("validity", lambda: self._validity(home))

    def _questionnaire(self, home: Home, log: EventLog) -> str:
        from easq.prove.answers.funnel import read_funnel
        from easq.prove.report import board

        self._funnel = read_funnel(home.recipe, log, self._funnel)
        return board.funnel(self._funnel, home.recipe.question.text)

    def _validity(self, home: Home) -> str:
        from easq.prove.answers.validity import measure_validity
        from easq.prove.report import board

        with NewestEvents(self._path, MAX_EVENTS) as newest:
            html = board.validity(measure_validity(home.recipe, newest))
        return html + self._of_newest("easq validity")

    def _shadow(self, home: Home) -> str:
        """Return both orders of rankings in the shadow; nothing where none was made."""
        from easq.prove.offpolicy.shadow_orders import compare_orders
        from easq.prove.report import board

        with NewestEvents(self._path, MAX_EVENTS) as newest:
            compared = compare_orders(home.recipe, newest)
        return "" if compared is None else board.shadow(compared) + self._of_newest("easq shadow")

    def _of_newest(self, command: str) -> str:
        """Say that not all events were read, if so, and which command reads all of them."""
        from easq.prove.report import page

        with SqliteLog(self._path, read_only=True) as log:
            total = sum(log.end_offsets(EVENTS)) - sum(log.start_offsets(EVENTS))
        if total <= MAX_EVENTS:
            return ""
        words = f"Of the newest {MAX_EVENTS:,} of {total:,} events; `{command}` reads all of them."
        return page.text(words, "soft")


def _timed(name: str, make: Callable[[], str]) -> BoardPart:
    from easq.prove.report import page

    at_ms, began = time.time_ns() // 1_000_000, time.perf_counter()
    try:
        html = make()
    except InputError as error:  # such as a log without a request: nothing is wrong
        html = page.section(name.capitalize(), page.text(f"{error}."))
    return BoardPart(name, html, at_ms, time.perf_counter() - began)


def _learners(homes: Mapping[str, Home]) -> str:
    from easq.model.method import method_of
    from easq.prove.report import board

    named = {name or "main": home for name, home in homes.items()}
    num_experts = {name: method_of(home.recipe).num_experts for name, home in named.items()}
    statuses = {name: home.read_status("learner") for name, home in named.items()}
    return board.learners(statuses, num_experts)


def _rankings(log: EventLog, homes: Mapping[str, Home]) -> str:
    from easq.prove.report import board
    from easq.prove.report.explain_ranking import explain, newest_rankings, newest_scorer
    from easq.recipe.assignment import arms_in

    scorers = {name: scorer for name, home in homes.items() if (scorer := newest_scorer(home))}
    explained = []
    for request in newest_rankings(log, _NUM_RANKINGS):
        own = next((part for part in arms_in(request.arm) if part in homes), "")
        if own in scorers:
            explained.append(explain(request, scorers[own]))
    return board.rankings(explained, {arm: scorer.name for arm, scorer in scorers.items()})


def _experiment(home: Home, log: EventLog, name: str) -> str:
    from easq.prove.ab.analysis import analyse, find_experiment
    from easq.prove.ab.viewer_days import read_table
    from easq.prove.report import board

    experiment = find_experiment(home.recipe, name)
    return board.experiment(analyse(experiment, read_table(home.recipe, experiment, log)))


def main() -> None:
    """Answer the queries of standard input."""
    os.nice(_NICENESS)
    reader = BoardReader(Path(sys.argv[1]))
    queries, replies = sys.stdin.buffer, sys.stdout.buffer
    while select([queries], [], [], _IDLE_S)[0] and (line := queries.readline()):
        for part in reader.read(msgspec.json.decode(line, type=BoardQuery).experiment):
            replies.write(msgspec.json.encode(part) + b"\n")
            replies.flush()
        replies.write(b"null\n")
        replies.flush()


if __name__ == "__main__":
    main()
