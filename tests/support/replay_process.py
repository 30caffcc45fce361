"""A replay in a process of its own, to be killed."""

import sys
from pathlib import Path

from easq.log.sqlite import SqliteLog
from easq.prove.offline.replay import replay
from easq.sources.world.recording import record
from tests.support.small_worlds import small_recipe, small_world


def make_log(folder: Path, views: int = 3000) -> Path:
    with SqliteLog(folder / "world.log", partitions=3) as log:
        record(small_world(), views, log, folder / "truth", lambda _: None)
    return folder / "world.log"


def run(log: Path, out: Path, resume: bool, *overrides: str) -> None:
    with SqliteLog(log) as events:
        replay(small_recipe(*overrides), events, out, resume, truth=log.parent / "truth")


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]), resume=True)
