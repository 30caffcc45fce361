"""Whether a view is asked, and with which probability: pure functions over a small state.

A viewer's gates depend on the asks so far, and those were drawn at random. So beside the viewer's actual
place, the state holds the probability of every place to which the draws could have led. Given the actual
views and sampling rates, the probability that a view is asked is then exact. The cool-down is counted in
ticks, which keeps the number of places small.
"""

import hashlib
from collections.abc import Mapping, Sequence
from math import ceil
from typing import NamedTuple

from easq.recipe.questionnaire import AskSettings

DAY_MS = 86_400_000
NEVER = -1
PARTS = 16
"""Number of ticks of a cool-down."""

_MINUTE_MS = 60_000

Place = tuple[int, int, int]
"""What the gates read: the tick of the last ask (NEVER after the cool-down), asks in session and in day."""

NOT_ASKED: Place = (NEVER, 0, 0)


class Rule(NamedTuple):
    """The settings of `AskSettings`, times in milliseconds. A tick is 0 if there is no cool-down."""

    min_play_ms: float
    min_ratio: float
    rate: float
    tick_ms: int
    max_per_session: int
    session_gap_ms: int
    max_per_day: int
    daily_quota: int
    lead: float
    pacing_ms: int
    memory_ms: int

    @staticmethod
    def of(ask: AskSettings) -> "Rule":
        """Return the rule of a recipe. `lead` is how many asks even pacing may be ahead, 0 without it."""
        is_even = ask.daily_quota and ask.pacing == "even"
        lead = max(1.0, ask.daily_quota * ask.pacing_minutes * _MINUTE_MS / DAY_MS) if is_even else 0.0
        return Rule(
            ask.min_play_ms,
            ask.min_ratio,
            ask.rate,
            ceil(ask.cool_down_minutes * _MINUTE_MS / PARTS),
            ask.max_per_session,
            round(ask.session_gap_minutes * _MINUTE_MS),
            ask.max_per_day,
            ask.daily_quota,
            lead,
            round(ask.pacing_minutes * _MINUTE_MS),
            round(ask.memory_days * DAY_MS),
        )

    @property
    def settled_ms(self) -> int:
        """Return the pause after which all gates of a viewer are open again, whatever was drawn."""
        return max(DAY_MS, self.session_gap_ms, (PARTS + 1) * self.tick_ms)


class Viewer(NamedTuple):
    """One viewer as of the last eligible view at `seen`: the actual place, and the probability of each.

    `asks` are the times of the remembered asks. The values of `chances` add up to 1.
    """

    seen: int
    session: str
    place: Place
    chances: Mapping[Place, float]
    asks: tuple[int, ...]


class Gate(NamedTuple):
    """One gate: whether it is open, with the numbers that it read."""

    name: str
    is_open: bool
    why: str


def is_eligible(rule: Rule, play_ms: float, ratio: float) -> bool:
    """Return whether enough of a view was watched to ask about it."""
    return play_ms >= rule.min_play_ms or ratio >= rule.min_ratio


def rate_now(rule: Rule, used: int, now_ms: int, own: int = 0) -> float:
    """Return the sampling rate of this moment, with `used` of the day's quota shown or reserved.

    Even pacing lowers the rate in proportion to how far the quota is ahead of the clock, down to 0 at `lead`.
    It leaves out the viewer's `own` asks: with them the rate would depend on the viewer's draws, and the
    propensity would be too low.
    """
    if not rule.daily_quota:
        return rule.rate
    if used >= rule.daily_quota:
        return 0.0
    if not rule.lead:
        return rule.rate
    due = rule.daily_quota * (now_ms % DAY_MS) / DAY_MS
    return rule.rate * min(1.0, max(0.0, (due + rule.lead - used + own) / rule.lead))


def own_lately(rule: Rule, viewer: Viewer) -> int:
    """Return how many of the viewer's asks of this day are too recent for pacing to have made up for them.

    `viewer` has been advanced to now. `pacing_ms` after an ask, others have been asked so much less that the
    rate is what it would have been without it.
    """
    day_ms = viewer.seen // DAY_MS * DAY_MS
    since_ms = max(day_ms, viewer.seen - rule.pacing_ms)
    return sum(ts >= since_ms for ts in viewer.asks)


def advance(rule: Rule, viewer: Viewer | None, now_ms: int, session: str = "") -> Viewer:
    """Return the viewer at a view of now, before its draw. Sessions, days and cool-downs may have ended.

    A session ends after a pause, or if the caller names another. Time does not run backwards.
    """
    if viewer is None or now_ms - viewer.seen > rule.memory_ms:
        return Viewer(now_ms, session, NOT_ASKED, {NOT_ASKED: 1.0}, ())
    now_ms = max(now_ms, viewer.seen)
    asks = tuple(ts for ts in viewer.asks if now_ms - ts <= rule.memory_ms)
    if now_ms - viewer.seen > rule.settled_ms:
        return Viewer(now_ms, session, NOT_ASKED, {NOT_ASKED: 1.0}, asks)
    is_other = bool(session and viewer.session and session != viewer.session)
    ends_session = is_other or now_ms - viewer.seen > rule.session_gap_ms
    ends_day = now_ms // DAY_MS > viewer.seen // DAY_MS
    oldest = now_ms // rule.tick_ms - PARTS if rule.tick_ms else 0

    def later(place: Place) -> Place:
        tick, in_session, in_day = place
        return (tick if tick >= oldest else NEVER, in_session * (not ends_session), in_day * (not ends_day))

    chances: dict[Place, float] = {}
    for place, chance in viewer.chances.items():
        moved = later(place)
        chances[moved] = chances.get(moved, 0.0) + chance
    return Viewer(now_ms, session or viewer.session, later(viewer.place), chances, asks)


def chance_open(rule: Rule, viewer: Viewer) -> float:
    """Return the probability, over all earlier draws, that the viewer's gates are open."""
    return sum(chance for place, chance in viewer.chances.items() if _is_open(rule, place))


def draw(rule: Rule, viewer: Viewer, rate: float, is_asked: bool) -> Viewer:
    """Return the viewer after a view that was sampled at `rate` if the gates were open.

    `viewer` has been advanced to the view. A view that could not be asked changes nothing.
    """
    tick = viewer.seen // rule.tick_ms if rule.tick_ms else NEVER
    chances: dict[Place, float] = {}
    for place, chance in viewer.chances.items():
        asked = chance * rate if _is_open(rule, place) else 0.0
        if asked:
            led_to = _after(place, tick)
            chances[led_to] = chances.get(led_to, 0.0) + asked
        if chance > asked:
            chances[place] = chances.get(place, 0.0) + chance - asked
    if not is_asked:
        return viewer._replace(chances=chances)
    return viewer._replace(
        place=_after(viewer.place, tick), chances=chances, asks=(*viewer.asks, viewer.seen)
    )


def ask_elsewhere(rule: Rule, viewer: Viewer) -> Viewer:
    """Return the viewer after an ask without a draw, such as one of the platform's own questionnaire."""
    tick = viewer.seen // rule.tick_ms if rule.tick_ms else NEVER
    chances: dict[Place, float] = {}
    for place, chance in viewer.chances.items():
        led_to = _after(place, tick)
        chances[led_to] = chances.get(led_to, 0.0) + chance
    return viewer._replace(
        place=_after(viewer.place, tick), chances=chances, asks=(*viewer.asks, viewer.seen)
    )


def gates(rule: Rule, viewer: Viewer, used: int, rate: float, sample: float) -> list[Gate]:
    """Return the gates of an eligible view, in their order. It is asked if all are open.

    `viewer` has been advanced to the view, `rate` is the current rate and `sample` the view's own draw.
    """
    tick, in_session, in_day = viewer.place
    cools = ""
    if tick != NEVER:
        left_ms = (tick + PARTS + 1) * rule.tick_ms - viewer.seen
        cools = f"; it ends in {left_ms / _MINUTE_MS:.1f} minutes"
    quota = f"of {rule.daily_quota}" if rule.daily_quota else "and there is no quota"
    return [
        Gate("cool_down", tick == NEVER, f"last asked {_ago(viewer)}{cools}"),
        Gate(
            "session",
            in_session < rule.max_per_session,
            f"asked {in_session} in this session, at most {rule.max_per_session}",
        ),
        Gate("day", in_day < rule.max_per_day, f"asked {in_day} this day, at most {rule.max_per_day}"),
        Gate("pace", rate > 0, f"{used} asks of this day {quota}; the rate of now is {rate:.6g}"),
        Gate("sampling", sample < rate, f"the draw of this view is {sample:.6f}, asked below {rate:.6g}"),
    ]


def sticky(salt: bytes, *names: str) -> float:
    """Return the draw in [0, 1) that belongs to these names. Without the salt nobody can predict it."""
    text = "".join(f"{len(name)}:{name}" for name in names)
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, key=salt).digest()
    return (int.from_bytes(digest, "little") >> 11) / (1 << 53)


def choose(shares: Sequence[float], sample: float) -> int:
    """Return the number of the share that a draw in [0, 1) falls on."""
    left = sample * sum(shares)
    for number, share in enumerate(shares[:-1]):
        left -= share
        if left < 0:
            return number
    return len(shares) - 1


def _is_open(rule: Rule, place: Place) -> bool:
    tick, in_session, in_day = place
    return tick == NEVER and in_session < rule.max_per_session and in_day < rule.max_per_day


def _after(place: Place, tick: int) -> Place:
    return (tick, place[1] + 1, place[2] + 1)


def _ago(viewer: Viewer) -> str:
    if not viewer.asks:
        return "never"
    return f"{(viewer.seen - viewer.asks[-1]) / _MINUTE_MS:.1f} minutes ago"
