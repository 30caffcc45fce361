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
    """The question that trains.

    name      in events.
    text      what viewers read where no wording of it is given.
    options   from worst to best; this order is learned.
    """

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
"""The questions with a built-in wording, and their values from worst to best."""


class Wording(Strict, frozen=True):
    """What a viewer reads.

    text     the question.
    labels   one for each option, in the order of the options.
    thanks   what follows an answer.
    """

    text: Text
    labels: tuple[Text, ...]
    thanks: Text


class AskedQuestion(Strict, frozen=True):
    """One question of the questionnaire.

    name      in events.
    kind      options: those of `options`; scale5: a scale from 1 to 5.
    share     its share of the asks, out of the sum of all shares.
    options   logged values from worst to best. Not to be given for a scale (1 to 5), for a built-in question,
              or for the question that trains, whose options are those of `[question]`.
    version   of the wording; each answer states the version that the viewer read.
    wording   by locale. The built-in questions (satisfaction, come_back, worth_time) have English and
              Chinese.
    """

    name: Name
    kind: Literal["options", "scale5"] = "options"
    share: Rate = 1.0
    options: tuple[Option, ...] = ()
    version: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,32}$")] = "1"
    wording: dict[Locale, Wording] = field(default_factory=dict)


_ORIGIN = r"^(\*|[a-z][a-z0-9+.-]*://(\*\.)?[^/\s,*]+)$"


class AskSettings(Strict, frozen=True):
    """When the questionnaire is shown; docs/ask.md has the rule and its probabilities.

    policy                   uniform: all eligible views are asked at one rate. adaptive: at a higher rate
                             where an answer teaches more; `rate` is then the maximum.
    adaptive_floor           adaptive: the minimum rate, as a share of `rate` [share].
    adaptive_half_life_hours   adaptive: the weight of past answers about an author halves in this time.
    min_play_ms              a view is eligible once it was played for so long, or for `min_ratio`.
    min_ratio                a view is eligible once it was played for this share of the item, or for
                             `min_play_ms`.
    rate                     share of eligible views that are asked while all gates are open.
    cool_down_minutes        minimum time between two asks of a viewer; kept in 16 ticks and never shorter.
    max_per_session          maximum of asks of a viewer in one session.
    session_gap_minutes      a session ends after so long without an eligible view.
    max_per_day              maximum of asks of a viewer in one UTC day.
    daily_quota              maximum of asks per UTC day over all viewers; 0: no quota.
    pacing                   even: the quota is spread over the day; none: first come, first asked.
    pacing_minutes           how far even pacing may run ahead of the clock.
    reserve_seconds          how long an offered ask counts against the quota before it is shown; afterwards
                             it cannot be shown.
    token_minutes            how long after the offer an answer is accepted, within join.answer_window.
    memory_days              how long a viewer's asks are remembered; a restart reads so many days of the log.
    fade_seconds             the question disappears by itself after this time.
    order                    of the options: fixed, or shuffled for each ask. A scale is never shuffled.
    default_locale           used where a question has no wording in the viewer's locale.
    origins                  origins whose pages may call the service (CORS), such as https://player.example,
                             https://*.player.example for all below it, or that of an app's web view,
                             such as capacitor://localhost; * for every page.
    questions                the questions that are asked; none: only the question that trains.
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
    origins: tuple[Annotated[str, Meta(pattern=_ORIGIN)], ...] = ()
    questions: tuple[AskedQuestion, ...] = ()


class Quality(Strict, frozen=True):
    """Which answers are trusted less; docs/answers.md has the rules.

    author             candidate feature by which floods are detected, beside the item itself.
    max_per_day        maximum of a viewer's answers in 24 hours that count.
    burst_answers      from so many answers of one viewer within `burst_seconds` on, they count less.
    burst_seconds      see `burst_answers`.
    skimming           an answer given more than this many times faster than the mean reading speed counts
                       less.
    straight_chance    a run of the same option counts less if chance makes such a run less often than this
                       [probability].
    flood_hours        half-life of the counts of an author's or an item's answers.
    flood_viewers      minimum number of viewers that make a flood.
    flood_excess       a flood counts at most this many times the answers that its asks bring elsewhere.
    flood_chance       a flood is a number of answers that chance reaches less often than this [probability].
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
