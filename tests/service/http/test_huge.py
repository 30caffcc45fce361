"""One body within the size limit that holds as much as it can: refused in a few words, or cut first."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from easq.log.events import PROFILES, ItemUpdate
from easq.log.ids import stable_id
from easq.log.packing import pack_ids
from tests.support.http_service import Served, serving

NAME = "x" * 1_000_000
MANY = [[]] * 200_000


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("home")) as service:
        yield service


def item(**features: Any) -> dict[str, Any]:
    return {"items": [{"item_id": "i", "features": features}]}


def ranking(**fields: Any) -> dict[str, Any]:
    return {"user_id": "u", "candidates": ["a"], **fields}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("method", "path", "call", "message"),
    [
        ("POST", "/v1/rank", {NAME: 1}, "unknown field `xxx"),
        ("POST", "/v1/rank", ranking(context={NAME: 1}), "context: unknown feature 'xxx"),
        ("POST", "/v1/rank", ranking(features={NAME: [1]}), "features: unknown feature 'xxx"),
        ("POST", "/v1/rank", ranking(features={"tags": NAME}), "features.tags: expected `array`"),
        ("POST", "/v1/rank", ranking(features={"duration_s": [NAME]}), "features.duration_s: got ['xxx"),
        ("POST", "/v1/rank", ranking(context={"hour": MANY}), "context.hour[0]: expected"),
        ("POST", "/v1/rank", ranking(features={"topic": [MANY]}), "features.topic[0]: expected"),
        ("POST", "/v1/rank", ranking(features={"tags": MANY}), "features.tags: got 200000 values"),
        ("POST", "/v1/rank", ranking(features={"tags": [[MANY]]}), "features.tags[0][0]: expected"),
        (
            "POST",
            "/v1/rank",
            ranking(context={"recent_items": [1] * 65_536}),
            "context.recent_items: got a list of 65536; allowed: 65535",
        ),
        ("PUT", "/v1/items", item(**{NAME: 1}), "it is unknown; allowed of the candidate: item_id"),
        ("PUT", "/v1/items", item(author_id=[1] * 200_000), "features.author_id: got [1, 1, 1"),
        ("PUT", "/v1/items", item(author_id=MANY), "features.author_id[0]: expected"),
        ("PUT", "/v1/items", item(tags=[1] * 65_536), "features.tags: got 65536 values; allowed: 65535"),
        ("POST", "/v1/events", {"events": [{"type": NAME}]}, "type: invalid value 'xxx"),
        ("POST", "/v1/events", {"events": [{"type": "asked", NAME: 1}]}, "unknown field `xxx"),
    ],
)
def test_it_is_refused_in_a_few_words(
    served: Served, method: str, path: str, call: Any, message: str, packed: bool
) -> None:
    form = msgspec.msgpack if packed else msgspec.json
    headers = {"content-type": f"application/{'msgpack' if packed else 'json'}", "accept": "application/json"}
    reply = served.http.request(method, path, content=form.encode(call), headers=headers)
    body = reply.json()
    text = body["results"][0]["reason"] if reply.status_code == 200 else body["error"]["message"]
    assert message in text
    assert len(reply.content) < 600
    assert not served.logged(PROFILES)


def test_only_the_used_part_of_a_list_is_read_and_logged(served: Served) -> None:
    reply = served.http.put("/v1/items", json=item(tags=["a", 3, *["z"] * 60_000, None]))
    assert reply.json()["accepted"] == 1
    (update,) = served.logged(PROFILES)
    assert isinstance(update, ItemUpdate)
    assert update.values == {"tags": pack_ids([stable_id("a"), 3])}
    again = served.http.put("/v1/items", json=item(tags=["a", 3, "another end"]))
    assert again.json()["accepted"] == 1
    assert len(served.logged(PROFILES)) == 1, "nothing that is stored has changed"
