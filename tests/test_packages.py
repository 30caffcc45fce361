"""The wheel, installed where no checkout is: it holds what the README runs, and runs it."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.support.live_processes import free_port
from tests.support.paths import ROOT
from tests.support.small_worlds import SMALL

SETTINGS = [word for change in SMALL for word in ("--set", change)]
PATIENCE_S = 60.0


class Installed(NamedTuple):
    wheel: Path
    target: Path

    def start(self, folder: Path, *words: str, **pipes: int) -> "subprocess.Popen[str]":
        environment = {**os.environ, "PYTHONPATH": str(self.target), "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(list(words), cwd=folder, env=environment, text=True, **pipes)

    def run(self, folder: Path, *words: str) -> str:
        with self.start(folder, *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            out, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, errors
        return out

    def easq(self, folder: Path, *words: str) -> str:
        return self.run(folder, str(self.target / "bin" / "easq"), *words)


def pip(*words: object) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Build in a copy, since a build leaves files beside the sources; neither step needs a network."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("target")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    left_out = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", source / "src", ignore=left_out)
    pip("wheel", "--no-index", "--no-build-isolation", "--no-deps", "--wheel-dir", source / "dist", source)
    (wheel,) = (source / "dist").glob("easq-*.whl")
    pip("install", "--no-index", "--no-deps", "--no-compile", "--target", target, wheel)
    return Installed(wheel, target)


def test_the_wheel_holds_the_package_and_nothing_else(installed: Installed) -> None:
    listed = set(zipfile.ZipFile(installed.wheel).namelist())
    held = {name for name in listed if ".dist-info/" not in name}
    files = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src" / "easq").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert held == files
    assert {"easq/recipes/recommended.toml", "easq/recipes/bench/plan.toml", "easq/py.typed"} <= held
    assert {"easq/ask/widget/easq.js", "easq/service/dashboard_page/index.html"} <= held


def test_only_the_extra_brings_torch(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = wheel.read(name).decode()
    required = re.findall(r"^Requires-Dist: ([\w-]+)([^;\n]*)(.*)$", metadata, re.MULTILINE)
    assert {name for name, _, marker in required if not marker} == {"httpx", "msgspec", "numpy", "httptools"}
    assert ("torch", '; extra == "engine"') in {(name, marker) for name, _, marker in required}
    assert "Provides-Extra: client\n" in metadata


def test_it_replays_a_printed_recipe_where_no_checkout_is(installed: Installed, tmp_path: Path) -> None:
    place = installed.run(tmp_path, sys.executable, "-c", "import easq; print(easq.__file__)").strip()
    assert Path(place).is_relative_to(installed.target)
    assert "│ recommended " in installed.easq(tmp_path, "recipe")
    (tmp_path / "my.toml").write_text(installed.easq(tmp_path, "recipe", "recommended"))
    installed.easq(tmp_path, "world", "make", "--out", "w.log", "--views", "500")
    words = (
        "replay",
        "--recipe",
        "my.toml",
        "--log",
        "w.log",
        "--truth",
        "w.log.truth",
        "--out",
        "runs/mine",
    )
    assert "500 views" in installed.easq(tmp_path, *words, *SETTINGS)
    assert (tmp_path / "runs" / "mine" / "report.html").stat().st_size > 100_000


def test_a_live_system_of_a_packaged_recipe_serves_its_pages(installed: Installed, tmp_path: Path) -> None:
    words = ("up", "--recipe", "recommended", "--home", "live", "--port", (port := str(free_port())))
    process = installed.start(
        tmp_path,
        str(installed.target / "bin" / "easq"),
        *words,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S) as http:
            until_ready(http)
            for page, text in (
                ("/dashboard", "<title>"),
                ("/widget/easq.js", "customElements"),
                ("/demo", "<"),
            ):
                reply = http.get(page)
                assert reply.status_code == 200, page
                assert text in reply.text
            ranked = http.post("/v1/rank", json={"user_id": "ann", "candidates": ["cats", "news"]})
            assert sorted(ranked.json()["items"]) == ["cats", "news"]
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0


def until_ready(http: httpx.Client) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        with suppress(httpx.TransportError):  # it does not listen yet
            if http.get("/health/ready").status_code == 200:
                return
        time.sleep(0.1)
    raise AssertionError("it did not become ready")
