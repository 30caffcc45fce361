"""The widget stays small and loads nothing."""

import gzip
from pathlib import Path

import easq
from easq.recipe.questionnaire import AskSettings
from easq.service.routes.widget import widget_script

WIDGET = Path(easq.__file__).parent / "ask" / "widget"


def test_the_widget_is_under_ten_kilobytes_compressed() -> None:
    assert len(gzip.compress(widget_script(AskSettings()), 6)) < 10_000


def test_the_widget_stays_readable_and_names_no_other_address() -> None:
    for part in WIDGET.glob("*.js"):
        assert len(part.read_text().splitlines()) <= 400
    text = widget_script(AskSettings()).decode()
    assert "//" not in text.replace("// ", "").replace("://", "")
    assert "://" not in text
    assert "import " not in text
