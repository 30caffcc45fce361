"""`pip install easq` is Client and AsyncClient: they import no torch, and a command says what it lacks."""

import re
import subprocess
import sys
import tomllib
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, packages_distributions, requires

from tests.support.paths import ROOT

BLOCKED = """
import sys
allowed = set(sys.argv.pop(1).split(",")) | sys.stdlib_module_names | {"__main__", "easq"}

class Elsewhere:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in allowed:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Elsewhere())
for name in [name for name in sys.modules if name.partition(".")[0] not in allowed]:
    del sys.modules[name]  # what an editable install loads at the start
"""

CALLS = """
import asyncio
from easq import AsyncClient, Client, ClientError

NOWHERE = "http://127.0.0.1:9"

async def rank() -> None:
    try:
        async with AsyncClient(NOWHERE, connections=1) as client:
            await client.call("POST", "/v1/rank", {"user_id": "ann", "candidates": ["cats"]})
    except OSError:
        print("refused")

try:
    Client(NOWHERE, retries=0).rank("ann", ["cats"], context={"hour": 9})
except ClientError as error:
    print(error.code)
asyncio.run(rank())
"""

LIBRARY = """
import easq

assert issubclass(easq.InputError, ValueError)
try:
    easq.fit
except ModuleNotFoundError as error:
    print(error)
"""

COMMAND = """
sys.argv = ["easq", "demo"]
from easq.cli import main
main()
"""


def plain_name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-")


def modules_of_the_clients() -> str:
    """Return the modules that come with the package when no extra is asked for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted, found = [plain_name(each) for each in project["dependencies"]], set[str]()
    while wanted:
        if (name := wanted.pop()) not in found:
            found.add(name)
            with suppress(PackageNotFoundError):  # of another Python, or of an extra
                wanted += [plain_name(each) for each in requires(name) or () if "extra ==" not in each]
    places = packages_distributions()
    modules = {module for module, of in places.items() if any(plain_name(name) in found for name in of)}
    assert {"httpx", "msgspec", "numpy"} <= modules
    assert not modules & {"torch", "polars", "litestar", "cyclopts"}
    return ",".join(sorted(modules))


def run_alone(script: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BLOCKED + script, modules_of_the_clients()]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_clients_need_only_what_comes_without_an_extra() -> None:
    done = run_alone(CALLS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["unreachable", "refused"]


def test_the_library_without_the_engine_says_what_to_install() -> None:
    done = run_alone(LIBRARY)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(
        r"easq\.fit needs (polars|torch|tomli_w), which is not installed: pip install 'easq\[engine\]' "
        r"\(`pip install easq` is Client and AsyncClient alone\)\n",
        done.stdout,
    )


def test_a_command_without_the_engine_is_one_line_that_says_what_to_install() -> None:
    done = run_alone(COMMAND)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "easq: cyclopts is not installed, and commands need it: pip install 'easq[engine]'" in done.stderr
