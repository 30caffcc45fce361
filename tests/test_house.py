"""The house stays a house: rooms import downwards, no file holds two ideas, no name means two things."""

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "easq"
SOURCES = sorted(PACKAGE.glob("**/*.py"))
FILES = sorted(path for folder in ("src", "tests", "benchmarks") for path in ROOT.glob(f"{folder}/**/*.py"))

# File names that may stand in several rooms, each because it means the same thing in all of them.
SHARED_NAMES = {
    "base.py": "what all implementations of the room's contract have in common",
    "board.py": "the dashboard: its messages in home, its parts in prove/report",
    "build.py": "settings to objects",
    "questionnaire.py": "the questionnaire: its settings in recipe, its calls in service",
    "rebuild.py": "state rebuilt from the log",
    "results.py": "types of the results of the room's analyses",
}
# Rooms whose files are named after what users call, so a command or a route may share a name with its server.
NAMED_BY_CALL = {"cli", "service/routes"}


def room(path: Path) -> str:
    return path.parent.relative_to(PACKAGE).as_posix()


def repeated(pairs: Iterator[tuple[str, str]]) -> dict[str, list[str]]:
    """Return the names that stand in several places, with the places."""
    places: dict[str, list[str]] = defaultdict(list)
    for name, place in pairs:
        places[name].append(place)
    return {name: rooms for name, rooms in places.items() if len(rooms) > 1}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_file_stays_within_its_budget(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_functions_stay_within_60_lines(path: Path) -> None:
    functions = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    lengths = {node.name: (node.end_lineno or node.lineno) - node.lineno + 1 for node in functions}
    assert not {name: length for name, length in lengths.items() if length > 60}


def test_class_name_is_defined_once() -> None:
    classes = (
        (node.name, str(path.relative_to(PACKAGE)))
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    )
    assert not repeated(classes)


def test_file_name_stands_in_one_room_or_means_the_same_in_all() -> None:
    files = ((path.name, room(path)) for path in SOURCES if room(path) not in NAMED_BY_CALL)
    assert set(repeated(files)) - {"__init__.py"} == set(SHARED_NAMES)


def test_rooms_import_only_from_floors_below() -> None:
    lint = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    done = subprocess.run(lint, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
