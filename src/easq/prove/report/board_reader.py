"""One look at a home's log for the dashboard, in a process of its own.

Run as `python -m easq.prove.report.board_reader`.

Reads what is wanted from standard input and writes a line for each part as soon as it is there.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from easq.errors import InputError
from easq.home.arm_homes import arm_home, arms_with_models
from easq.home.board import BoardPart, BoardQuery
from easq.home.home import Home, open_home
from easq.log.base import EventLog
from easq.log.events import EVENTS
from easq.log.sqlite import SqliteLog
from easq.prove.answers.funnel import Funnel

MOST_EVENTS = 200_000
"""Of those that validity reads, the newest: it goes event by event."""

_RANKINGS = 3  # of each arm
_KIND = 10  # the service and the learner go first


class Newest:
    """The last events of a log's partitions, about `most` in all, as a log of their own."""

    def __init__(self, log: EventLog, most: int) -> None:
        self._log, self._most = log, most

    def start_offsets(self, topic: str) -> list[int]:
        """Return, per partition, where the last events begin."""
        starts, ends = self._log.start_offsets(topic), self._log.end_offsets(topic)
        share = self._most // len(ends)
        return [max(start, end - share) for start, end in zip(starts, ends, strict=True)]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


def look(wanted: BoardQuery) -> Iterator[BoardPart]:
    """Yield the parts, those that are there soon first."""
    home = open_home(Path(wanted.folder))
    homes = {"": home} | {
        name: arm_home(home, name)
        for name, _ in arms_with_models(home)
        if (home.folder / "arms" / name.replace("/", ".") / "settings.toml").exists()
    }
    with SqliteLog(home.folder / "events.log", read_only=True) as log:
        seen = Funnel([])
        before = None if wanted.funnel is None else msgspec.convert(wanted.funnel, Funnel)

        def funnel() -> str:
            nonlocal seen
            from easq.prove.answers.funnel import read_funnel
            from easq.prove.report import board

            seen = read_funnel(home.recipe, log, before)
            return board.funnel(seen, home.recipe.question.text)

        yield _timed("learners", lambda: _learners(homes))
        yield msgspec.structs.replace(_timed("questionnaire", funnel), funnel=msgspec.to_builtins(seen))
        yield _timed("rankings", lambda: _rankings(log, homes))
        if wanted.experiment:
            yield _timed("experiment", lambda: _experiment(home, log, wanted.experiment))
        yield _timed("validity", lambda: _validity(home, log))


def _timed(name: str, make: Callable[[], str]) -> BoardPart:
    from easq.prove.report import page

    at_ms, began = time.time_ns() // 1_000_000, time.perf_counter()
    try:
        html = make()
    except InputError as error:  # such as a log without a request: nothing is wrong
        html = page.section(name.capitalize(), page.text(f"{error}."))
    return BoardPart(name, html, at_ms, time.perf_counter() - began)


def _learners(homes: dict[str, Home]) -> str:
    from easq.model.method import method_of
    from easq.prove.report import board

    named = {name or "main": home for name, home in homes.items()}
    sizes = {name: method_of(home.recipe).num_experts for name, home in named.items()}
    return board.learners({name: home.read_status("learner") for name, home in named.items()}, sizes)


def _rankings(log: EventLog, homes: dict[str, Home]) -> str:
    from easq.prove.report import board
    from easq.prove.report.explain_ranking import explain, newest_rankings, newest_scorer
    from easq.recipe.assignment import arms_in

    scorers = {name: found for name, home in homes.items() if (found := newest_scorer(home))}
    explained = []
    for request in newest_rankings(log, _RANKINGS):
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


def _validity(home: Home, log: EventLog) -> str:
    from easq.prove.answers.validity import measure_validity
    from easq.prove.report import board, page

    total = sum(log.end_offsets(EVENTS)) - sum(log.start_offsets(EVENTS))
    html = board.validity(measure_validity(home.recipe, Newest(log, MOST_EVENTS)))
    if total <= MOST_EVENTS:
        return html
    words = f"Of the newest {MOST_EVENTS:,} of {total:,} events; `easq validity` reads all of them."
    return html + page.text(words, "soft")


def main() -> None:
    """Take the look that standard input asks for."""
    os.nice(_KIND)
    wanted = msgspec.json.decode(sys.stdin.buffer.read(), type=BoardQuery)
    for part in look(wanted):
        sys.stdout.buffer.write(msgspec.json.encode(part) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
