"""What browsers are served: the questionnaire's element, and the demo page while there are no keys."""

from pathlib import Path

import pytest

from easq.service.http.keys import create_key
from tests.support.http_service import serving

_FILES = ("/demo", "/demo/demo.css", "/demo/demo.js", "/demo/clips.js")
DEMO = (*_FILES, "/demo/asking.json")


def test_the_element_is_cached_by_its_hash(tmp_path: Path) -> None:
    with serving(tmp_path, has_model=False) as served:
        reply = served.http.get("/widget/easq.js")
        etag = reply.headers["etag"]
        again = served.http.get("/widget/easq.js", headers={"if-none-match": etag})
        pinned, old = (served.http.get(f"/widget/easq.js?v={v}") for v in (etag.strip('"'), "0123"))
    assert "easq-question" in reply.text
    assert reply.headers["content-type"].startswith("text/javascript")
    assert reply.headers["cache-control"] == "public, max-age=3600"
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert "immutable" in pinned.headers["cache-control"]
    assert "immutable" not in old.headers["cache-control"]


def test_the_element_contains_the_rule_of_the_recipe(tmp_path: Path) -> None:
    texts, etags = [], []
    for settings in ((), ("ask.min_play_ms=3000", "ask.min_ratio=0.75")):
        with serving(tmp_path, *settings, has_model=False) as served:
            reply = served.http.get("/widget/easq.js")
        texts.append(reply.text)
        etags.append(reply.headers["etag"])
    assert 'const RULE = {"min_play_ms": 7000.0, "min_ratio": 0.5};' in texts[0]
    assert 'const RULE = {"min_play_ms": 3000.0, "min_ratio": 0.75};' in texts[1]
    assert etags[0] != etags[1]


def test_the_demo_page_is_told_what_the_recipe_asks(tmp_path: Path) -> None:
    with serving(tmp_path, "ask.min_play_ms=3000", has_model=False) as served:
        told = served.http.get("/demo/asking.json").json()
    assert told == {
        "question": "satisfaction",
        "options": ["dissatisfied", "uncertain", "satisfied"],
        "min_play_ms": 3000.0,
        "min_ratio": 0.5,
    }


@pytest.mark.parametrize("path", _FILES)
def test_the_demo_page_is_served_while_the_service_is_open(tmp_path: Path, path: str) -> None:
    with serving(tmp_path, has_model=False) as served:
        reply = served.http.get(path)
    assert reply.status_code == 200
    assert reply.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize("path", DEMO)
def test_the_demo_page_is_gone_when_there_are_keys(tmp_path: Path, path: str) -> None:
    create_key(tmp_path / "keys.json", "server", "")
    with serving(tmp_path, has_model=False) as served:
        reply, widget = served.http.get(path), served.http.get("/widget/easq.js")
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "not_found")
    assert widget.status_code == 200
