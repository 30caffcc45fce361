"""A whole number is one viewer and one item, whatever a program wrote it as: other forms are refused."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.http_service import Served, serving

FORMS = ["1003.0", "1003.00", "-7.0", "0.0"]
VIEW = {"request_id": "r", "play_ms": 9000, "ratio": 0.9}
ASK = {"question": "satisfaction", "propensity": 0.5, "item_id": "a"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("home")) as service:
        yield service


def plain(form: str) -> str:
    return form.split(".", maxsplit=1)[0]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/rank", {"user_id": "?", "candidates": ["a"]}, "user_id"),
        ("/v1/rank", {"user_id": "u", "candidates": ["a", "?"]}, "candidates"),
        ("/v1/rank", {"user_id": "u", "candidates": ["a"], "mode": "shadow", "shown": ["?"]}, "shown"),
        ("/v1/questionnaire/offer", {"user_id": "?", "item_id": "a", **VIEW}, "user_id"),
        ("/v1/questionnaire/offer", {"user_id": "u", "item_id": "?", **VIEW}, "item_id"),
    ],
)
def test_a_call_about_another_form_is_refused(
    served: Served, path: str, body: dict[str, Any], field: str, form: str
) -> None:
    put = json.loads(json.dumps(body).replace("?", form))
    reply = served.http.post(path, json=put)
    assert reply.status_code == 400, reply.text
    assert f"{field}: got {form!r}; allowed: {plain(form)!r}" in reply.json()["error"]["message"]


@pytest.mark.parametrize("form", FORMS)
def test_an_entry_about_another_form_is_refused_and_no_other(served: Served, form: str) -> None:
    head = {"request_id": "r1", "type": "behavior", "values": {}}
    events = [
        {**head, "event_id": f"a{form}", "user_id": form, "items": ["a"]},
        {**head, "event_id": f"b{form}", "user_id": "u", "items": ["a", form]},
        {**head, **ASK, "event_id": f"c{form}", "user_id": "u", "type": "asked", "item_id": form},
        {**head, "event_id": f"d{form}", "user_id": plain(form), "items": [plain(form)]},
    ]
    events[2].pop("values")
    results = served.http.post("/v1/events", json={"events": events}).json()["results"]
    assert [result["status"] for result in results] == ["refused"] * 3 + ["accepted"]
    for result in results[:3]:
        assert f"got {form!r}; allowed: {plain(form)!r}" in result["reason"]
    for path, key, field in (("/v1/items", "items", "item_id"), ("/v1/users", "users", "user_id")):
        put = served.http.put(path, json={key: [{field: form}, {field: plain(form)}, {field: f"{form}x"}]})
        assert [result["status"] for result in put.json()["results"]] == ["refused", "accepted", "accepted"]


@pytest.mark.parametrize("name", ["1.5", "007.0", "v1.0", "1e3", "1003", "99999999999999999999.0"])
def test_other_names_are_what_they_are(served: Served, name: str) -> None:
    reply = served.http.post("/v1/rank", json={"user_id": name, "candidates": [name]})
    assert (reply.status_code, reply.json()["items"]) == (200, [name])
