"""Dockerfile and compose.yaml name files, commands and routes that are there. No image is built here."""

import json
import re
import shlex
import tomllib
from typing import Any

import pytest
import yaml

from easq.cli.commands import app
from easq.recipe.packaged import packaged_names
from easq.service.routes import ROUTES
from tests.support.paths import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def instructions(name: str) -> list[str]:
    """Return the arguments of every instruction of a name, with continued lines joined."""
    joined = DOCKERFILE.replace("\\\n", " ")
    return re.findall(rf"^{name} (.+)$", joined, re.MULTILINE)


def test_what_is_copied_is_there_and_not_ignored() -> None:
    sources = [
        source
        for words in map(shlex.split, instructions("COPY"))
        if not words[0].startswith("--from")
        for source in words[:-1]
    ]
    assert {"pyproject.toml", "constraints.txt", "src"} <= {source.removeprefix("./") for source in sources}
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for source in sources:
        assert (ROOT / source).exists(), source
        assert source in kept, f"{source} is not in the build's context"


def test_the_build_has_what_the_project_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    copied = {word for words in map(shlex.split, instructions("COPY")) for word in words}
    assert {project["readme"], *project["license-files"]} <= copied
    (base,) = {words.split()[0] for words in instructions("FROM")}
    assert base == f"python:{project['requires-python'].removeprefix('>=')}-slim"
    extra = re.search(r"\.whl\)\[(\w+)\]", DOCKERFILE)
    assert extra
    assert extra[1] in project["optional-dependencies"]
    assert json.loads(instructions("ENTRYPOINT")[0])[0] in project["scripts"]


def test_it_runs_as_nobody_in_particular_who_owns_the_volume() -> None:
    (user,), (volume,) = instructions("USER"), instructions("VOLUME")
    assert user != "0"
    assert any(f"--uid {user} " in run and f"chown easq {volume}" in run for run in instructions("RUN"))
    for service in SERVICES.values():
        (mount,) = service["volumes"]
        name, _, place = mount.partition(":")
        assert place == volume
        assert name in COMPOSE["volumes"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_command_is_one_of_easq_with_its_own_options(name: str) -> None:
    command, bound, _ = app.parse_args(SERVICES[name]["command"], exit_on_error=False, print_error=False)
    assert command.__name__ == {"learner": "learn", "service": "serve"}[name]
    assert str(bound.arguments["home"]).startswith(f"{instructions('VOLUME')[0]}/")
    if "recipe" in bound.arguments:
        assert str(bound.arguments["recipe"]) in packaged_names()


def test_both_roles_share_one_home_and_have_time_to_stop() -> None:
    homes = {words[words.index("--home") + 1] for words in (s["command"] for s in SERVICES.values())}
    assert len(homes) == 1
    assert all(service["stop_grace_period"] == "30s" for service in SERVICES.values())
    assert all(service["healthcheck"]["test"] for service in SERVICES.values())


def test_the_port_and_the_route_of_the_health_check_are_the_services() -> None:
    service = SERVICES["service"]
    _, bound, _ = app.parse_args(service["command"], exit_on_error=False, print_error=False)
    port = bound.arguments["port"]
    assert service["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert instructions("EXPOSE") == [str(port)]
    *_, script = service["healthcheck"]["test"]
    asked = re.search(rf"http://127\.0\.0\.1:{port}(/[\w/]+)", script)
    assert asked
    assert asked[1] in {route.path for route in ROUTES}
    compile(script, "health check", "exec")


def test_the_learners_health_check_looks_at_the_status_that_it_writes() -> None:
    home = SERVICES["learner"]["command"][2]
    *_, script = SERVICES["learner"]["healthcheck"]["test"]
    assert f"{home}/learner.json" in script  # docs/live.md: the last status of each role
