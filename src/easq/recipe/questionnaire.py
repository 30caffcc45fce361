"""Settings of the question, of when it is asked, and of what an answer weighs."""

from typing import Annotated, Literal

from msgspec import Meta, field

from easq.recipe.values import (
    Cap,
    Count,
    Locale,
    Name,
    Option,
    Rate,
    Share,
    Strict,
    Text,
    Weight,
)


class Question(Strict, frozen=True):
    """The question and its options from worst to best; the order is what D+ learns."""

    name: Name = "satisfaction"
    text: str = "Are you satisfied with this video?"
    options: Annotated[tuple[str, ...], Meta(min_length=2)] = ("dissatisfied", "uncertain", "satisfied")


SCALE5 = ("1", "2", "3", "4", "5")
"""The values of a scale of five points."""


BUILT_IN = {
    "satisfaction": ("dissatisfied", "uncertain", "satisfied"),
    "come_back": SCALE5,
    "worth_time": ("no", "partly", "yes"),
}
"""The questions that have a wording of their own, and their values."""


class Wording(Strict, frozen=True):
    """What a viewer reads: the question, a label for each option in their own order, and the thanks."""

    text: Text
    labels: tuple[Text, ...]
    thanks: Text


class AskedQuestion(Strict, frozen=True):
    """One question of the questionnaire; `share` of the asks are of it, out of the sum of all shares.

    options   the values that are logged, from worst to best. A scale has 1 to 5, a built-in question its
              own, and the question that trains those of `[question]`.
    version   of the wording; an answer says which one was read.
    wording   by locale; a built-in question (satisfaction, come_back, worth_time) has English and Chinese.
    """

    name: Name
    kind: Literal["options", "scale5"] = "options"
    share: Rate = 1.0
    options: tuple[Option, ...] = ()
    version: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,32}$")] = "1"
    wording: dict[Locale, Wording] = field(default_factory=dict)


class AskSettings(Strict, frozen=True):
    """When the questionnaire is shown; docs/ask.md has the rule and its probabilities.

    policy                   uniform: all eligible views at one rate; adaptive: more where an answer teaches
                             more, rate being the most (docs/ask.md).
    adaptive_floor           adaptive: no view's rate is below this part of it.
    adaptive_half_life_hours adaptive: what answers say of an author fades by half.
    min_play_ms, min_ratio   a view is eligible that was played this long, or this part of the item.
    rate                     the share of eligible views that is asked while all gates are open.
    cool_down_minutes        a viewer is not asked again so soon. Kept in 16 parts, never shorter.
    session_gap_minutes      a session ends when no eligible view comes for so long.
    daily_quota              of all viewers, by the UTC day; 0 is none. It is never exceeded.
    pacing                   even: the quota is spread over the day; none: first come, first asked.
    pacing_minutes           even pacing may run ahead of the clock by this much of the quota.
    reserve_seconds          an offered ask counts for the quota this long without being shown, then it
                             cannot be shown any more.
    token_minutes            an answer is taken this long after the offer, within join.answer_window.
    memory_days              how long a viewer's asks are remembered; a restart reads this much of the log.
    fade_seconds             the question goes away by itself after this long.
    order                    of the options: as they are, or shuffled for each ask. A scale stays as it is.
    default_locale           where there is no wording in the viewer's own.
    origins                  web origins whose pages may call the service (CORS).
    questions                what is asked; if none is named, the question that trains.
    """

    policy: Literal["uniform", "adaptive"] = "uniform"
    adaptive_floor: Annotated[float, Meta(ge=0.05, le=1)] = 0.25
    adaptive_half_life_hours: Rate = 24.0
    min_play_ms: Weight = 7000.0
    min_ratio: Share = 0.5
    rate: Share = 0.005
    cool_down_minutes: Weight = 240.0
    max_per_session: Cap = 1
    session_gap_minutes: Rate = 30.0
    max_per_day: Cap = 2
    daily_quota: Annotated[int, Meta(ge=0, le=1 << 40)] = 0
    pacing: Literal["even", "none"] = "even"
    pacing_minutes: Rate = 30.0
    reserve_seconds: Rate = 60.0
    token_minutes: Rate = 15.0
    memory_days: Annotated[float, Meta(ge=1, le=366)] = 7.0
    fade_seconds: Rate = 6.0
    order: Literal["fixed", "random"] = "fixed"
    default_locale: Locale = "en"
    origins: tuple[Annotated[str, Meta(pattern=r"^(\*|https?://[^/\s,*]+)$")], ...] = ()
    questions: tuple[AskedQuestion, ...] = ()


class Quality(Strict, frozen=True):
    """Which answers count less, and from where on; docs/answers.md has the rules.

    author             the candidate feature by which floods are counted, beside the item itself.
    max_per_day        answers of one viewer in 24 hours that count.
    burst_answers      in burst_seconds from one viewer: from this many on they count less.
    skimming           how many times faster than people read on average a question may be answered.
    straight_chance    the same option again and again counts less where chance would do that so seldom.
    flood_hours        half-life of what is remembered of an author's or an item's answers.
    flood_viewers      so many different viewers at least make a flood.
    flood_excess       a flood counts as much as this many times what its asks lead to elsewhere.
    flood_chance       a flood is what would come by chance so seldom although this often were usual.
    """

    author: Name = "author_id"
    max_per_day: Count = 10
    burst_answers: Annotated[int, Meta(ge=2, le=32)] = 4
    burst_seconds: Rate = 60.0
    skimming: Rate = 3.0
    straight_chance: Share = 0.001
    flood_hours: Rate = 24.0
    flood_viewers: Count = 4
    flood_excess: Rate = 2.0
    flood_chance: Share = 0.001
