"""Commands on API keys: create, list, revoke."""

import sys
import time
from pathlib import Path

from cyclopts import App
from rich.table import Table

from easq.cli.shared import Json, app, console, show
from easq.errors import InputError

keys = App(name="keys", help="API keys of a live system; a running service notices changes within a second.")
app.command(keys)


@keys.command
def create(*, home: Path, scope: str, label: str = "", as_json: Json = False) -> None:
    """Create a key and print it. It cannot be shown again.

    Parameters
    ----------
    home
        The folder of the live system.
    scope
        server (rank, events, items, users), viewer (the questionnaire) or admin (everything).
    label
        The purpose of the key, shown in the list.
    """
    from easq.service.http.keys import create_key

    key = create_key(_path(home), scope, label)
    show({"key": key, "scope": scope, "label": label}, as_json, lambda: _write(key))


@keys.command(name="list")
def list_keys(*, home: Path, as_json: Json = False) -> None:
    """List the keys, without their secrets.

    Parameters
    ----------
    home
        The folder of the live system.
    """
    from easq.service.http.keys import read_keys

    stored = read_keys(_path(home))

    def print_table() -> None:
        table = Table("id", "scope", "created (UTC)", "label")
        for key in stored:
            created = time.strftime("%Y-%m-%d %H:%M", time.gmtime(key.created))
            table.add_row(key.id, key.scope, created, key.label)
        console.print(table)

    rows = [{"id": k.id, "scope": k.scope, "created": k.created, "label": k.label} for k in stored]
    show({"keys": rows}, as_json, print_table)


@keys.command
def revoke(key_id: str, *, home: Path, as_json: Json = False) -> None:
    """Revoke a key.

    Parameters
    ----------
    key_id
        The id, as in the list.
    home
        The folder of the live system.
    """
    from easq.service.http.keys import revoke_key

    key = revoke_key(_path(home), key_id)
    show({"revoked": key.id}, as_json, lambda: console.print(f"revoked {key.id} ({key.scope}) {key.label}"))


def _write(key: str) -> None:
    """Print a key verbatim: rich might break the line or color it."""
    sys.stdout.write(key + "\n")


def _path(home: Path) -> Path:
    if not home.is_dir():
        raise InputError(f"--home: there is no folder {home}; `easq up` makes one")
    return home / "keys.json"
