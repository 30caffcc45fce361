"""Turns of calls beside work for others, which take no turn."""

import asyncio
import time
from typing import Any

import pytest

from easq.service.http.arrival import Arrival
from easq.service.http.turns import Turns
from tests.support.small_worlds import small_recipe


class Present:
    """A caller who waits for the reply."""

    def is_closing(self) -> bool:
        return False


async def rounds_beside(num: int, call_s: float, other_s: float) -> int:
    """Make calls at once and work for others in each round of the event loop; return the rounds it took."""
    turns, num_rounds, is_over = Turns(small_recipe("service.wait_seconds=100.0").service), 0, False

    async def call() -> None:
        came: Any = Present()
        await turns.take(Arrival(came))
        time.sleep(call_s)
        turns.end()

    async def work_for_others() -> None:
        nonlocal num_rounds
        while not is_over:
            time.sleep(other_s)
            num_rounds += 1
            await asyncio.sleep(0)

    others = asyncio.create_task(work_for_others())
    await asyncio.gather(*(call() for _ in range(num)))
    is_over = True
    await others
    return num_rounds


@pytest.mark.parametrize(
    ("call_s", "least", "most", "what"),
    [
        (0.012, 20, 80, "a turn waits for the round under way, and not for sixteen"),
        (0.0005, 2, 30, "small calls begin together: what others take is not counted as theirs"),
    ],
)
def test_work_for_others_does_not_keep_calls_from_their_turns(
    call_s: float, least: int, most: int, what: str
) -> None:
    num = 20 if call_s > 0.01 else 40
    assert least <= asyncio.run(rounds_beside(num, call_s, other_s=0.01)) <= most, what


def test_between_the_turns_what_has_come_is_taken_in() -> None:
    assert asyncio.run(rounds_beside(20, call_s=0.012, other_s=0.0)) > 20 * 8
