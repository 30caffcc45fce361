"""The OpenAPI description is true: every route is in it, and nothing comes back that is not."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from easq.service.http.keys import create_key
from easq.service.http.openapi import describe
from easq.service.routes import ROUTES as ALL_ROUTES
from tests.support.http_service import Served, serving
from tests.support.small_worlds import small_recipe

DESCRIPTION = describe(small_recipe(), ALL_ROUTES)
SCHEMA = schemathesis.openapi.from_dict(msgspec.json.decode(msgspec.json.encode(DESCRIPTION)))
FILES = ("/widget/", "/demo", "/dashboard")  # for browsers, see test_pages and test_dashboard
ROUTES = [(method, path) for path, verbs in DESCRIPTION["paths"].items() for method in verbs]
# A bad entry of a batch is refused within a 200: the others stay. And no schema can say that a column is
# as long as `candidates`.
UNFIT = [negative_data_rejection, positive_data_acceptance]


@schemathesis.serializer("application/msgpack")
def packed(_: Any, value: Any) -> bytes:
    try:
        return msgspec.msgpack.encode(value)
    except OverflowError:  # MessagePack has no integers beyond 64 bits
        return msgspec.json.encode(value)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("home"), "service.log_wait_seconds=30") as service:
        yield service


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Yield a service that asks for keys."""
    folder = tmp_path_factory.mktemp("closed")
    token = create_key(folder / "keys.json", "admin", "")
    with serving(folder, "service.log_wait_seconds=30", token=token) as service:
        yield service


def test_every_route_is_described_and_nothing_else(served: Served) -> None:
    routes = {
        (method.lower(), route.path)
        for route in served.app.routes
        for method in route.methods  # type: ignore[union-attr]
        if method not in ("OPTIONS", "HEAD") and not route.path.startswith(FILES)
    }
    assert routes == set(ROUTES)
    assert served.http.get("/schema").json() == msgspec.json.decode(msgspec.json.encode(DESCRIPTION))


def test_the_examples_can_be_sent_as_they_are(served: Served) -> None:
    for method, path in ROUTES:
        body = DESCRIPTION["paths"][path][method].get("requestBody")
        if body:
            reply = served.http.request(method, path, json=body["content"]["application/json"]["example"])
            if "token" in body["content"]["application/json"]["example"]:  # no example is signed
                assert reply.json()["error"]["code"] == "forged"
                continue
            assert (reply.status_code, reply.json().get("refused", 0)) == (200, 0), reply.text


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_no_reply_is_a_fault_or_undescribed(
    served: Served, closed: Served, method: str, path: str, mode: GenerationMode
) -> None:
    operation = SCHEMA[path][method]
    if mode is GenerationMode.NEGATIVE and not DESCRIPTION["paths"][path][method].get("requestBody"):
        return  # there is nothing in it that could be wrong

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=40,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    def holds(case: Any) -> None:
        authorization = closed.http.headers["authorization"]
        case.call_and_validate(base_url=served.url, excluded_checks=UNFIT)
        case.call_and_validate(
            base_url=closed.url, headers={"Authorization": authorization}, excluded_checks=UNFIT
        )
        without = case.call(base_url=closed.url)
        case.validate_response(without, excluded_checks=UNFIT)
        is_open = "security" not in DESCRIPTION["paths"][path][method]
        assert (without.status_code == 401) != is_open

    holds()


def test_the_description_is_openapi() -> None:
    SCHEMA.validate()
