"""The commands that the documents show are run here."""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import easq
from tests.support.own_table import own_table, write_own

ROOT = Path(__file__).parent.parent


def blocks(document: str) -> list[str]:
    text = (ROOT / document).read_text()
    return re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_quickstart_runs_from_top_to_bottom(tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    script = "set -e\n" + "\n".join(blocks("docs/quickstart.md")).replace("8377", port)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "both.html").stat().st_size > 100_000
    assert "6 views and 3 answers" in done.stdout
    assert "asked Are you satisfied with this video?" in done.stdout
    assert "different: none" in done.stdout


def test_the_library_page_runs_and_names_what_is_public(tmp_path: Path) -> None:
    page = (ROOT / "docs/library.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    write_own(tmp_path, 200)
    candidates = own_table(20).select(
        "author", "prod_score", user_id="user", item_id="item_id", viewer="user", item="item_id"
    )
    candidates.write_parquet(tmp_path / "candidates.parquet")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    shown = done.stdout.splitlines()
    assert shown[0].startswith("probe against prod_score: ")
    # What the page shows is made of the same lines.
    (report,) = re.findall(r"^```text\n(probe against prod_score.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert [line.split("  ")[0] for line in report.splitlines()[1:]] == [
        line.split("  ")[0] for line in shown[1 : len(report.splitlines())]
    ]
    named = set(
        re.findall(r"`(\w+)", page[page.index("## What is public") : page.index("That is `easq.__all__`")])
    )
    assert set(easq.__all__) <= named


@pytest.mark.parametrize(
    ("page", "named"),
    [
        ("README.md", {"demo", "test"}),
        ("CONTRIBUTING.md", {"setup", "check"}),
        (".github/workflows/test.yml", {"lint", "test"}),
    ],
)
def test_a_page_names_only_commands_that_exist(page: str, named: set[str]) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"(?:^|`|run: )make ([a-z-]+)", (ROOT / page).read_text(), re.MULTILINE)
    assert named <= set(targets)
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


@pytest.mark.parametrize(
    "path", [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"], ids=lambda p: p.name
)
def test_every_file_that_a_document_links_to_is_there(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", path.read_text())
    missing = [t for t in targets if "://" not in t and not (path.parent / t).exists()]
    assert not missing


def test_index_of_decisions_lists_every_decision() -> None:
    decisions = {
        (page.name, heading)
        for page in (ROOT / "docs/decisions").glob("*.md")
        for heading in re.findall(r"^### (.+)$", page.read_text(), re.MULTILINE)
    }
    index = (ROOT / "docs/decisions.md").read_text()
    listed = re.findall(r"^- \[(.+)\]\(decisions/(\w+\.md)#[\w-]+\)$", index, re.MULTILINE)
    assert {(page, heading) for heading, page in listed} == decisions


def test_the_method_of_the_guide_passes_what_every_method_must_pass(tmp_path: Path) -> None:
    """The guide's file in a copy of the package, found by itself, under the tests of all methods."""
    (example,) = re.findall(
        r"^```python\n(.*?)^```$", (ROOT / "docs/add_a_method.md").read_text(), re.MULTILINE | re.DOTALL
    )
    for name in ("src", "tests", "recipes"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "src/easq/model/methods/bonus.py").write_text(example)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "tests/model/methods/test_methods.py",
            "-k",
            "bonus",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.count(".") > 8, done.stdout
