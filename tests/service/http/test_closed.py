"""A real service that has had keys stays closed through kills and restarts, until it is told to open."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from easq.home.home import Home, open_home
from easq.service.http.keys import create_key, revoke_key
from tests.support.http_service import until
from tests.support.live_processes import EASQ, Role, free_port, lively_recipe


def lose(home: Home, token: str) -> None:
    assert token
    home.keys_path.unlink()


def revoke(home: Home, token: str) -> None:
    revoke_key(home.keys_path, token)


@pytest.mark.parametrize("end_of_keys", [revoke, lose])
def test_a_service_that_had_keys_refuses_after_a_kill(
    tmp_path: Path, end_of_keys: Callable[[Home, str], None]
) -> None:
    home, port = open_home(tmp_path / "home", lively_recipe()), free_port()
    command = [*EASQ, "serve", "--home", str(home.folder), "--port", str(port)]
    service, url = Role(command, tmp_path / "service.txt"), f"http://127.0.0.1:{port}"

    def status() -> int:
        try:
            return httpx.get(f"{url}/v1/status", timeout=5).status_code
        except httpx.TransportError:
            return 0

    service.start()
    try:
        until(lambda: status() == 200)
        assert '"event": "open"' in service.text()
        token = create_key(home.keys_path, "server", "")
        until(lambda: status() == 401)
        end_of_keys(home, token)
        service.kill()
        service.start()
        until(lambda: status() != 0)
        assert status() == 401
        assert httpx.get(f"{url}/demo").status_code == 404
        assert '"event": "closed"' in service.text()
        service.stop()
        service.command.append("--open")
        service.start()
        until(lambda: status() == 200)
        service.stop()
    finally:
        if service.process is not None and service.process.poll() is None:
            service.kill()
