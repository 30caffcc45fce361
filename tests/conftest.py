"""One profile for all property tests, and the order of the rest."""

from pathlib import Path

import pytest
from hypothesis import settings

# Shared machines are slow at times, which is no failure.
settings.register_profile("shared", deadline=None)
settings.load_profile("shared")

_BROWSER = Path(__file__).parent / "e2e" / "browser"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what drives a browser last: its library leaves an event loop running in this thread."""
    items.sort(key=lambda item: _BROWSER in item.path.parents)
