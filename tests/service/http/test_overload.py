"""More calls than there is room for: some are served in time, others told at once, none done for nobody."""

import asyncio
import gc
import socket
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from easq.log.events import Request
from easq.service.http.arrival import Arrival
from easq.service.http.connection import Connection, http_request
from easq.service.http.error_replies import Refusal, unavailable
from easq.service.http.turns import Turns
from tests.support.http_service import Served, serving, until
from tests.support.small_worlds import small_recipe

RANK = b'{"user_id": "u", "candidates": ["a", "b"]}'
SLOW_S = 0.02
JSON = {"host": "localhost", "content-type": "application/json"}


def slowed(served: Served, seconds: float = SLOW_S) -> list[float]:
    """Let each ranking take long in the event loop, as with a large model; return when each was made."""
    # A collection of the test's whole process takes .3 s. Callers that leave meanwhile are never heard.
    gc.collect()
    made: list[float] = []
    rank = served.engine.rank

    def slow(*given: Any) -> Any:
        time.sleep(seconds)
        made.append(time.monotonic())
        return rank(*given)

    served.engine.rank = slow  # type: ignore[method-assign]
    return made


async def one(served: Served, patience_s: float) -> str:
    """Make a ranking's call on a connection of its own, and leave after a time."""
    url = httpx.URL(served.url)
    assert url.port is not None
    connection = Connection(url.host, url.port)
    try:
        async with asyncio.timeout(patience_s):
            reply = await connection.send(http_request("POST", "/v1/rank", JSON, RANK))
    except TimeoutError:
        return "left"
    finally:
        await connection.close()
    assert reply.status == 200 or b'"code":"overloaded"' in reply.body, reply
    return str(reply.status)


async def load(served: Served, per_s: float, seconds: float, patience_s: float) -> Counter[str]:
    """Begin calls at a steady rate, whatever becomes of those before; return how they ended."""
    tasks = []
    for n in range(round(per_s * seconds)):
        tasks.append(asyncio.create_task(one(served, patience_s)))
        await asyncio.sleep(1 / per_s) if n % 2 else None
    return Counter(await asyncio.gather(*tasks))


def num_logged(served: Served) -> int:
    return sum(isinstance(event, Request) for event in served.logged())


def test_under_three_times_the_load_as_many_are_served_as_can_be(tmp_path: Path) -> None:
    with serving(tmp_path, "service.wait_seconds=0.3") as served:
        before = num_logged(served)
        slowed(served)
        start = time.monotonic()
        ends = asyncio.run(load(served, per_s=150, seconds=4, patience_s=2.0))
        took = time.monotonic() - start
        assert ends["left"] == 0, ends
        assert ends["200"] > 0.5 * took / SLOW_S, (ends, took)
        assert ends["503"] > 0
        start = time.monotonic()
        assert served.http.post("/v1/rank", content=RANK, headers=JSON).status_code == 200
        assert time.monotonic() - start < 1.0, "it is well again at once"
        assert num_logged(served) == before + ends["200"] + 1


def test_what_its_caller_left_is_neither_scored_nor_logged(tmp_path: Path) -> None:
    with serving(tmp_path, "service.wait_seconds=60") as served:
        before = num_logged(served)
        made = slowed(served)

        async def calls() -> Counter[str]:
            return Counter(await asyncio.gather(*(one(served, 0.3) for _ in range(100))))

        ends = asyncio.run(calls())
        assert ends["left"] > 50, ends
        assert served.http.post("/v1/rank", content=RANK, headers=JSON).status_code == 200
        # Beyond the replies and the call after them: those on their way while their callers were leaving.
        assert len(made) <= ends["200"] + 1 + ends["left"] // 4, (len(made), ends)
        assert num_logged(served) - before == len(made)
        name = 'easq_http_request_seconds_count{route="/v1/rank",status="499"}'
        until(lambda: served.metric(name) >= ends["left"] * 3 // 4)


def test_beyond_the_bound_calls_are_refused_at_once_and_health_is_not(tmp_path: Path) -> None:
    with serving(tmp_path, "service.max_calls=5", "service.wait_seconds=60") as served:
        slowed(served)

        async def calls() -> Counter[str]:
            many = asyncio.gather(*(one(served, 20.0) for _ in range(60)))
            await asyncio.sleep(0.02)
            async with httpx.AsyncClient(base_url=served.url, timeout=5) as http:
                assert (await http.get("/health/live")).status_code == 200
                assert (await http.get("/v1/status")).status_code == 200
            return Counter(await many)

        ends = asyncio.run(calls())
        assert ends["200"] >= 5
        assert ends["503"] >= 20
        assert served.http.post("/v1/rank", content=RANK, headers=JSON).status_code == 200


@pytest.mark.parametrize("more", [{}, {"origin": "http://localhost"}, {"expect": "100-continue"}])
def test_a_connection_goes_on_after_a_refusal(tmp_path: Path, more: dict[str, str]) -> None:
    """Whether it is refused when its head has come (no more headers) or by the app."""
    request = http_request("POST", "/v1/rank", JSON | more, RANK)
    with serving(tmp_path, "service.max_calls=1", "service.wait_seconds=60") as served:
        refused = 'easq_http_request_seconds_count{route="/v1/rank",status="503"}'
        before, served_slowly = served.metric(refused), slowed(served, 0.5)

        async def calls() -> None:
            port = httpx.URL(served.url).port
            first = asyncio.create_task(one(served, 20.0))
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.sleep(0.1)
            writer.write(request[:-10])
            await asyncio.sleep(0.1)
            writer.write(request[-10:])
            reply = await reader.readuntil(b"}}")
            assert reply.startswith(b"HTTP/1.1 503 ") and b"connection: close" not in reply, reply
            assert b"1 calls are under way; allowed: 1 (service.max_calls)" in reply
            assert await first == "200"
            writer.write(request + request)
            replies = b""
            while replies.count(b"HTTP/1.1 200 OK") < 2:
                part = await reader.read(1 << 16)
                assert part, replies
                replies += part
            writer.close()
            await writer.wait_closed()

        asyncio.run(calls())
        assert len(served_slowly) == 3
        assert served.metric(refused) == before + 1


def test_refusals_that_nobody_reads_do_not_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel holds some of them. Then the service reads no further calls from this caller."""
    request = http_request("POST", "/v1/rank", JSON, RANK)
    with serving(tmp_path) as served:
        monkeypatch.setattr(Turns, "refusal", lambda _: unavailable("overloaded", "no room"))
        refused = 'easq_http_request_seconds_count{route="/v1/rank",status="503"}'

        async def calls() -> int:
            num, port = 0, httpx.URL(served.url).port
            _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
            with pytest.raises(TimeoutError):
                while num < 400_000:
                    writer.write(request * 1000)
                    async with asyncio.timeout(1):
                        await writer.drain()
                    num += 1000
            writer.transport.abort()
            return num

        num = asyncio.run(calls())
        assert 0 < served.metric(refused) <= num + 1000


@pytest.mark.parametrize(
    "bad",
    [b"transfer-encoding: chunked\r\n\r\nZZ\r\n", b"transfer-encoding: chunked\r\n\r\n5;" + b"x" * 80_000],
)
def test_a_call_is_refused_once_whatever_its_body_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: bytes
) -> None:
    with serving(tmp_path) as served:
        monkeypatch.setattr(Turns, "refusal", lambda _: unavailable("overloaded", "no room"))
        head = b"POST /v1/rank HTTP/1.1\r\nhost: localhost\r\n"
        assert replies(served, head + bad).count(b"HTTP/1.1 ") == 1


def test_after_a_refusal_the_next_head_has_the_whole_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = http_request("POST", "/v1/rank", JSON, RANK)
    with serving(tmp_path, "service.body_seconds=1") as served:
        monkeypatch.setattr(Turns, "refusal", lambda _: unavailable("overloaded", "no room"))

        async def calls() -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(served.url).port)
            for part, wait_s in ((request, 0.8), (request[:20], 0.4), (request[20:], 0.2)):
                writer.write(part)
                await asyncio.sleep(wait_s)
            writer.write_eof()
            got = await reader.read()
            writer.close()
            await writer.wait_closed()
            return got

        assert asyncio.run(calls()).count(b"HTTP/1.1 503 ") == 2


def test_calls_that_wait_behind_others_do_not_pile_up(tmp_path: Path) -> None:
    """The connection of too many is closed."""
    get = b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n"
    with serving(tmp_path) as served:
        assert replies(served, get * 60).count(b"HTTP/1.1 200 OK") == 60
        assert replies(served, get * 5000).count(b"HTTP/1.1 200 OK") < 500
        assert served.http.get("/health/live").status_code == 200


def test_each_of_several_calls_knows_that_its_caller_has_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rank = http_request("POST", "/v1/rank", JSON, RANK)
    with serving(tmp_path, "service.wait_seconds=60") as served:
        slowed(served, 0.2)

        async def calls() -> None:
            before = [asyncio.create_task(one(served, 20.0)) for _ in range(6)]
            await asyncio.sleep(0.3)
            _, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(served.url).port)
            writer.write(rank * 2)
            await asyncio.sleep(0.5)
            writer.transport.abort()
            assert await asyncio.gather(*before) == ["200"] * 6

        asyncio.run(calls())
        gone = 'easq_http_request_seconds_count{route="/v1/rank",status="499"}'
        until(lambda: served.metric(gone) == 1)
    assert "Exception in ASGI" not in caplog.text


def replies(served: Served, sent: bytes) -> bytes:
    """Send bytes on a connection of their own, and return all that comes back until it is closed or rests."""
    with socket.create_connection(("127.0.0.1", httpx.URL(served.url).port or 0), timeout=1) as connection:
        connection.sendall(sent)
        got = b""
        with suppress(OSError):
            while part := connection.recv(1 << 16):
                got += part
        return got


def test_a_refusal_says_when_to_come_again(tmp_path: Path) -> None:
    with serving(tmp_path, "service.wait_seconds=0.000001") as served:
        reply = served.http.post("/v1/rank", content=RANK, headers=JSON)
        assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
        assert "longer than 1e-06 s (service.wait_seconds)" in reply.json()["error"]["message"]


class Caller:
    def __init__(self) -> None:
        self.is_gone = False

    def is_closing(self) -> bool:
        return self.is_gone


def in_loop(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scene())


def arrival(caller: Caller | None = None) -> Arrival:
    return Arrival(caller or Caller())  # type: ignore[arg-type]


def test_turns_come_in_the_order_of_the_calls() -> None:
    async def scene() -> None:
        turns, order = Turns(small_recipe("service.wait_seconds=100.0").service), []

        async def call(n: int) -> None:
            await turns.take(arrival())
            time.sleep(0.004)
            order.append(n)
            turns.end()

        await asyncio.gather(*(call(n) for n in range(30)))
        assert order == list(range(30))

    in_loop(scene)


@pytest.mark.parametrize("num", [15, 40])
def test_only_after_a_call_has_waited_in_vain_few_are_let_in(num: int) -> None:
    """Fifteen callers wait for up to .75 s, and all are served; of forty some are refused."""

    async def scene() -> None:
        turns, ends = Turns(small_recipe("service.wait_seconds=1.0").service), Counter[str]()

        async def call(waited_s: float) -> None:
            came = arrival()
            came.at_s -= waited_s
            try:
                await turns.take(came)
            except Refusal:
                ends["in vain"] += 1
                return
            time.sleep(0.05)
            turns.end()
            ends["served"] += 1

        apart_s = 0.02 if num > 15 else 0.0
        calls = [asyncio.create_task(call(apart_s * n)) for n in reversed(range(num))]
        said = []
        while not all(call.done() for call in calls):
            said.append(turns.refusal())
            await asyncio.sleep(0)
        refusals = [refusal for refusal in said if refusal is not None]
        assert turns.refusal() is None, "nobody waits any more"
        if num == 15:
            assert ends == {"served": 15}
            assert not refusals
        else:
            assert ends["in vain"] > 0
            assert refusals[0].status == 503
            assert "0.25 s (0.25 of service.wait_s" in refusals[0].message

    in_loop(scene)


def test_where_calls_have_long_waited_the_newest_begins_first() -> None:
    async def scene() -> None:
        turns, order = Turns(small_recipe("service.wait_seconds=100.0").service), []

        async def call(n: int, waited_s: float) -> None:
            came = arrival()
            came.at_s -= waited_s
            try:
                await turns.take(came)
            except Refusal:
                order.append(-n)
                return
            time.sleep(0.02)
            order.append(n)
            turns.end()

        # The first begins at once. One has waited for too long, the others for a part of what they may.
        waited = [0.0, 101.0, *(50.0 - n for n in range(2, 12))]
        await asyncio.gather(*(call(n, seconds) for n, seconds in enumerate(waited)))
        assert order == [0, -1, *range(11, 1, -1)]

    in_loop(scene)


def test_every_way_out_gives_its_place_back() -> None:
    async def scene() -> None:
        turns = Turns(small_recipe("service.max_calls=3", "service.wait_seconds=0.05").service)
        gone = Caller()
        gone.is_gone = True

        async def busy() -> None:
            await turns.take(arrival())
            time.sleep(0.1)
            turns.end()

        for _ in range(3):
            late, left = (
                asyncio.create_task(turns.take(arrival())),
                asyncio.create_task(turns.take(arrival(gone))),
            )
            await asyncio.gather(busy(), late, left, return_exceptions=True)
            assert isinstance(left.exception(), Refusal)
            if late.exception() is None:
                turns.end()
            await busy()
        waiting = asyncio.create_task(busy())
        other = asyncio.create_task(turns.take(arrival()))
        await asyncio.sleep(0)
        other.cancel()
        await asyncio.wait([waiting, other])
        if not other.cancelled() and other.exception() is None:
            turns.end()
        for _ in range(3):
            assert turns.refusal() is None
            await turns.take(arrival())
        assert turns.refusal() is not None
        with pytest.raises(Refusal, match=r"3 calls are under way; allowed: 3 \(service.max_calls\)"):
            await turns.take(arrival())

    in_loop(scene)
