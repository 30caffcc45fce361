"""The widget stays small and loads nothing."""

import gzip

from tests.support.scripted_service import WIDGET


def test_the_widget_is_under_ten_kilobytes_compressed() -> None:
    assert len(gzip.compress(WIDGET.read_bytes(), 6)) < 10_000


def test_the_widget_stays_one_readable_file_that_names_no_other_address() -> None:
    text = WIDGET.read_text()
    assert len(text.splitlines()) <= 400
    assert "//" not in text.replace("// ", "").replace("://", "")
    assert "://" not in text
    assert "import " not in text
