"""Turns of calls: under more load than there is room for, those that are served are served in time.

Without them every call that comes is worked on at last, long after its caller has left, and none in time.
"""

import asyncio
import math
import time
from collections import deque

from easq.recipe.operations import Service
from easq.service.http.arrival import Arrival
from easq.service.http.error_replies import Refusal, unavailable

_BUDGET_S = 0.01  # of work; then it is time to see who has come and who has left
# Rounds of the event loop in which nothing begins: each takes in one new connection, or reads from many. They
# end after a time: calls that take no turn are answered in them, and as many as like could make them long.
_ROUNDS, _ROUNDS_S = 16, 0.005
_MOST = 16  # calls that begin, or are refused, in one round
_STANDING = 0.1  # of the time that a call may wait: when the oldest has, the newest begins first
_QUEUE = 0.25  # of the time that a call may wait: the work that may wait, after a call has waited in vain
_LEAST = 4  # calls that may wait, however long each takes


class Turns:
    """Bounds the calls under way, and their time from arrival to their turn. For one event loop.

    A call takes its turn when its key is known and all of it has been read: nobody without a key and no
    slow body holds a place. It begins at once unless others wait. But after every 10 ms of work the event
    loop looks at its sockets a few times, before anything else begins: what has come waits here and not in
    the kernel, where nobody could tell for how long or whether its caller is still there. Work for calls that
    take no turn (refused without a key, health) is not counted, and does not prolong that.
    """

    def __init__(self, settings: Service) -> None:
        self._most, self._wait_s = settings.max_calls, settings.wait_seconds
        self._num = 0
        self._since_s = self._spent_s = self._rounds_end_s = 0.0
        self._in_vain_s = -math.inf  # when a call was refused that had waited for too long
        self._is_counting = False
        self._rounds = 0
        self._num_begun, self._each_s = 0, 0.0  # since the last round, and what one takes
        self._waiting: deque[tuple[asyncio.Future[None], Arrival]] = deque()

    def refusal(self) -> Refusal | None:
        """Return the refusal (503) of a call that comes now, or None where there is room for it.

        There is less after a call has waited for too long, for as long again: more comes than can be served,
        and a call that waits in vain costs much of what it takes to serve one. Before that all may wait:
        callers that each await their reply are many at once, and all are served in time.
        """
        if self._num >= self._most:
            return self._too_many()
        num = len(self._waiting)
        work_s = num * self._each_s
        is_calm = time.monotonic() > self._in_vain_s + self._wait_s
        if is_calm or num < _LEAST or work_s < _QUEUE * self._wait_s:
            return None
        message = f"{num} calls wait, {work_s:.2g} s of work; allowed after one has waited in vain"
        limit = f"{_QUEUE * self._wait_s:.2g} s ({_QUEUE:g} of service.wait_seconds)"
        return unavailable("overloaded", f"{message}: {limit}")

    async def take(self, arrival: Arrival) -> None:
        """Wait for the turn of a call, which `end` ends; raise Refusal (503) if it does not come in time.

        Raises Refusal (499), which nobody reads, if the caller has left.
        """
        if self._num >= self._most:
            raise self._too_many()
        self._num += 1
        try:
            if self._waiting or not self._may_begin():
                await self._wait(arrival)
            else:
                self._check(arrival)
        except BaseException:
            self._num -= 1
            raise

    def end(self) -> None:
        """End a call that took its turn."""
        self._num -= 1

    async def _wait(self, arrival: Arrival) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((turn, arrival))
        await turn

    def _may_begin(self) -> bool:
        if not self._is_counting:
            self._count(1)
            return True
        self._num_begun += 1
        return not self._rounds and self._spent_s + time.monotonic() - self._since_s < _BUDGET_S

    def _count(self, num_begun: int) -> None:
        """Begin to count what is done until the event loop comes round."""
        self._is_counting, self._since_s, self._num_begun = True, time.monotonic(), num_begun
        asyncio.get_running_loop().call_soon(self._come_round)

    def _come_round(self) -> None:
        now_s = time.monotonic()
        if self._rounds:
            self._rounds = self._rounds - 1 if now_s < self._rounds_end_s else 0
        else:
            took_s = now_s - self._since_s
            self._spent_s += took_s
            self._each_s = took_s / max(1, self._num_begun)
            if self._spent_s >= _BUDGET_S:
                self._spent_s, self._rounds, self._rounds_end_s = 0.0, _ROUNDS, now_s + _ROUNDS_S
        if self._rounds:
            asyncio.get_running_loop().call_soon(self._come_round)
            return
        self._is_counting = False
        if self._waiting:
            # Small calls begin together: to come round costs as much as a part of one.
            fitting = int((_BUDGET_S - self._spent_s) / (self._each_s or _BUDGET_S))
            self._give_turns(max(1, min(_MOST, fitting)))

    def _give_turns(self, most: int) -> None:
        num = 0
        asyncio.get_running_loop().call_soon(self._start_clock)  # in front of the turns
        for _ in range(min(_MOST, len(self._waiting))):
            turn, arrival = self._next()
            if turn.done():  # cancelled
                continue
            try:
                self._check(arrival)
            except Refusal as refusal:
                turn.set_exception(refusal)
                continue
            turn.set_result(None)
            num += 1
            if num == most:
                break
        # Behind the turns: it comes round when their calls have been worked on.
        self._count(num)

    def _start_clock(self) -> None:
        self._since_s = time.monotonic()

    def _next(self) -> tuple[asyncio.Future[None], Arrival]:
        """Take a call out of those that wait: the oldest, or the newest where the oldest has long waited.

        Under a load that lasts, the oldest first would mean that each call begins when it has just not waited
        too long. The newest first are served at once, and as soon as the load is over, all are.
        """
        is_standing = _STANDING * self._wait_s < self._waited_s() <= self._wait_s
        return self._waiting.pop() if is_standing else self._waiting.popleft()

    def _too_many(self) -> Refusal:
        message = f"{self._most} calls are under way; allowed: {self._most} (service.max_calls)"
        return unavailable("overloaded", message)

    def _waited_s(self) -> float:
        return time.monotonic() - self._waiting[0][1].at_s

    def _check(self, arrival: Arrival) -> None:
        if arrival.is_abandoned:
            raise Refusal(499, "abandoned", "the caller has left")
        if (now_s := time.monotonic()) > arrival.at_s + self._wait_s:
            self._in_vain_s = now_s
            waited = f"the call has waited for longer than {self._wait_s:g} s (service.wait_seconds)"
            raise unavailable("overloaded", waited)
