"""One service: its parts, put together in one place, and what runs while it serves."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from math import isnan
from typing import Self

import structlog

from easq.ask.checkpoint import AsksFile
from easq.ask.rebuild import catch_up
from easq.ask.state import Asks
from easq.ask.token import Tokens
from easq.errors import InputError
from easq.features.profiles import Profiles
from easq.home.clock import NowMs, real_ms
from easq.home.home import Home
from easq.log.base import EventLog
from easq.log.events import EVENTS
from easq.rank.engine import Engine
from easq.recipe.recipe import Recipe
from easq.service.counters import ServiceCounters
from easq.service.dashboard_reader import DashboardReader
from easq.service.event_handler import EventHandler
from easq.service.freshness import FollowUpdates, Freshness, Updates, watch_updates
from easq.service.group_commit import Committer
from easq.service.http.keys import Keys
from easq.service.log_clock import LogClock
from easq.service.log_follower import FanOut, LogFollower
from easq.service.log_writer import LogWriter
from easq.service.put_handler import PutHandler
from easq.service.questionnaire import Questionnaire
from easq.service.rank_handler import RankHandler
from easq.service.readiness import Readiness
from easq.service.status import ServiceStatus

_SAVE_ASKS_S = 900.0  # a restart reads what came since, at 50,000 to 100,000 events a second
_POLL_KEYS_S = 0.5

logger = structlog.get_logger("easq.service")


@dataclass(kw_only=True)
class LiveService:
    """The parts of one service. `build` puts them together, `running` starts and stops them."""

    recipe: Recipe
    log: EventLog
    engine: Engine
    keys: Keys
    now_ms: NowMs
    metrics: ServiceCounters
    freshness: Freshness
    asks: Asks
    asks_file: AsksFile | None
    committer: Committer
    writer: LogWriter
    follower: LogFollower
    follow_updates: FollowUpdates | None
    readiness: Readiness
    ranker: RankHandler
    events: EventHandler
    items: PutHandler
    users: PutHandler
    questionnaire: Questionnaire
    dashboard: DashboardReader

    @classmethod
    def build(
        cls,
        home: Home,
        log: EventLog,
        engine: Engine,
        profiles: Profiles,
        keys: Keys,
        *,
        secret: bytes,
        follow_updates: FollowUpdates | None = None,
        save_profiles: Callable[[], None] = lambda: None,
        now_ms: NowMs = real_ms,
        steady: NowMs | None = None,
        asks_file: AsksFile | None = None,
    ) -> Self:
        """Put a service together; it reads and starts nothing, and owns neither `log` nor `profiles`.

        `secret` signs asks and salts their sampling. `follow_updates` makes the follower that keeps the
        parameters of `engine` up to date. `save_profiles` is called every `service.profile_store_seconds`
        and at the end, in a thread, while nothing is applied. Events are stamped by `now_ms`, which is
        compared with the log and with the clock `steady`, if there is one. The state of asking is read from
        `asks_file` and written to it. The dashboard reads `home`, whose log this is.
        """
        recipe, settings = home.recipe, home.recipe.service
        metrics, freshness = ServiceCounters(), Freshness()
        asks = Asks(recipe, secret, partial(profiles.author_of, recipe.quality.author))
        failed = metrics.log_failures.labels("follow").inc
        follower = LogFollower(
            log, FanOut(profiles, asks), save_profiles, settings.profile_store_seconds, failed
        )
        committer = Committer(log)
        writer = LogWriter(committer, settings, metrics, freshness)
        clock = LogClock(now_ms, lambda: profiles.event_ms, _makes_nothing_late_ms(recipe), steady)
        readiness = Readiness(engine, follower, writer, clock)
        put = partial(PutHandler, recipe, profiles.knows, writer, follower, readiness, metrics, clock.stamp)
        return cls(
            recipe=recipe,
            log=log,
            engine=engine,
            keys=keys,
            now_ms=now_ms,
            metrics=metrics,
            freshness=freshness,
            asks=asks,
            asks_file=asks_file,
            committer=committer,
            writer=writer,
            follower=follower,
            follow_updates=follow_updates,
            readiness=readiness,
            ranker=RankHandler(engine, writer, recipe, follower, readiness, metrics, clock.stamp, asks),
            events=EventHandler(recipe, asks, writer, metrics, clock.stamp),
            items=put("candidate"),
            users=put("viewer"),
            questionnaire=Questionnaire(
                asks, Tokens(secret), recipe.ask, writer, follower, metrics, clock.stamp
            ),
            dashboard=DashboardReader(home),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Read the state of asking, then follow the log and the updates until the block ends.

        Raises LogError if the log cannot be read at the start. The state of asking is written every 15
        minutes and at the end.
        """
        file = self.asks_file
        if file is not None and not file.read(self.asks, self.log.end_offsets(EVENTS)) and file.exists:
            reason = "it is damaged, of another version or of other settings"
            logger.info("the state of asking is set aside and read from the log", reason=reason)
        catch_up(self.asks, self.log, self.now_ms())
        self.committer.start()
        self.follower.start()
        updates = self._start_updates()
        tasks = [
            asyncio.create_task(self.readiness.warm_up(self.ranker.warm_up)),
            asyncio.create_task(_watch_keys(self.keys)),
            asyncio.create_task(self._save_asks_regularly()),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await asyncio.to_thread(self.dashboard.close)
            if updates is not None:
                await asyncio.to_thread(updates.stop)
            self.writer.flush()
            await asyncio.to_thread(self.committer.close)
            await self.follower.stop()
            await self._save_asks()

    def status(self) -> ServiceStatus:
        """Return the essentials of this moment."""
        value, reason = self.metrics.value, self.readiness.why_not()
        seconds = self.freshness.seconds
        return ServiceStatus(
            ready=not reason,
            reason=reason,
            version=self.engine.version,
            arms=self.engine.versions,
            freshness_seconds=None if isnan(seconds) else seconds,
            rankings=value("easq_rankings_total"),
            shadow_rankings=value("easq_shadow_rankings_total"),
            unlogged_rankings=value("easq_unlogged_rankings_total"),
            events_accepted=value("easq_events_accepted_total"),
            answers_accepted=value("easq_events_accepted_total", type="answered"),
            events_refused=value("easq_events_refused_total"),
            log_failures=value("easq_log_failures_total"),
            tied_rankings=value("easq_tied_rankings_total"),
            alarms=self.ranker.alarms(),
        )

    def _start_updates(self) -> Updates | None:
        if self.follow_updates is None:
            return None
        updates = self.follow_updates(
            asyncio.get_running_loop().call_soon_threadsafe, self.freshness.delta_applied
        )
        watch_updates(self.metrics, self.engine, updates.status, self.freshness)
        updates.start()
        return updates

    async def _save_asks_regularly(self) -> None:
        while True:
            await asyncio.sleep(_SAVE_ASKS_S)
            await self._save_asks()

    async def _save_asks(self) -> None:
        # After a fault they may hold half of a chunk, and a restart would take that half again.
        if self.asks_file is None or self.follower.broken:
            return
        state = self.asks_file.take(self.asks)
        try:
            await asyncio.to_thread(self.asks_file.write, state)
        except OSError as error:  # the log has everything; a restart reads more of it
            logger.warning("the state of asking was not saved", reason=str(error))


def _makes_nothing_late_ms(recipe: Recipe) -> int:
    """Return how far an event may lie ahead of the clock without making another late."""
    return round((recipe.join.lateness * 60 + recipe.service.clock_skew_seconds) * 1000)


async def _watch_keys(keys: Keys) -> None:
    """Read the file of keys again whenever it changes; log each reason why it cannot be read once."""
    reason = ""
    while True:
        await asyncio.sleep(_POLL_KEYS_S)
        try:
            if keys.refresh():
                logger.info("the keys have changed")
            reason = ""
        except InputError as error:
            if str(error) != reason:
                reason = str(error)
                logger.warning("the keys cannot be read", reason=reason)
