"""What a platform declares: features, behaviours, the question, the model and its training.

One TOML recipe is one run. It is decoded strictly: an unknown key, an impossible value or a
reference to nothing stops the run with a message that names the key, what was given and what is
allowed. Every choice that the EASQ paper leaves open is a setting here.
"""

from typing import Annotated, Literal

from msgspec import Meta, field

from easq.recipe.experiments import Assignment, Experiment, Explore, Metrics
from easq.recipe.learning import Alignment, Baselines, Model, Training
from easq.recipe.values import (
    Cap,
    Count,
    Locale,
    Name,
    Option,
    Rate,
    Rows,
    Share,
    Side,
    Strict,
    Text,
    Weight,
    Width,
)


class Categorical(Strict, frozen=True, tag="categorical", tag_field="kind"):
    """One id per row, hashed into `rows` embedding rows."""

    name: Name
    side: Side
    rows: Rows


class Multi(Strict, frozen=True, tag="multi", tag_field="kind"):
    """Several ids per row, of which the first `length` are averaged."""

    name: Name
    side: Side
    rows: Rows
    length: Width


class RateOf(Strict, frozen=True):
    """A rate that the live service keeps from events: how often `behavior` was shown per view.

    The past fades by half every `half_life_hours`; with few views the rate is drawn to that of all, as
    if there had been `prior_views` of those.
    """

    behavior: Name
    half_life_hours: Rate = 72.0
    prior_views: Rate = 20.0


class Numeric(Strict, frozen=True, tag="numeric", tag_field="kind"):
    """A number, embedded by the interval of `boundaries` that holds it; unknown has its own.

    With `rate` the live service keeps it from events, of the item or of the viewer by `side`.
    """

    name: Name
    side: Side
    boundaries: Annotated[tuple[float, ...], Meta(min_length=1)]
    rate: RateOf | None = None


class History(Strict, frozen=True, tag="history", tag_field="kind"):
    """The viewer's recent ids of the candidate feature `of`; the last `length` are attended to.

    The live service keeps it from events: items whose behaviour `where` reached `at_least`, or all that
    were exposed.
    """

    name: Name
    of: Name
    length: Width
    where: Name | None = None
    at_least: float = 1.0


Feature = Categorical | Multi | Numeric | History


class BehaviorKind(Strict, frozen=True):
    """A behaviour counts as shown when its value is at least `at_least`.

    `weight` is its part in the order of a request's items; 0 measures it without training on it.
    """

    name: Name
    at_least: float = 1.0
    weight: float = 1.0


class Order(Strict, frozen=True):
    """Which rows B+ orders, and how.

    cap      an item's level is the weight of the behaviours it got, at most this (many > one > none).
    scope    request: pairs of one request (EASQ); viewer: of one viewer's rows in the step; batch:
             any two rows of the step, for logs whose requests have too few items to be ranked.
    """

    cap: Rate = 2.0
    scope: Literal["request", "viewer", "batch"] = "request"


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


class Ask(Strict, frozen=True):
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


class Join(Strict, frozen=True):
    """Minutes of event time: how long a request waits for behaviours and answers.

    `lateness` is how far out of order a partition may be.
    """

    behavior_window: Rate = 30.0
    answer_window: Rate = 60.0
    lateness: Weight = 5.0


class Live(Strict, frozen=True):
    """How the learner follows the log. Seconds are wall-clock time.

    step_seconds          at least this between the beginnings of two steps.
    flush_seconds         behaviour waits for a whole batch at most this long; an answer never waits.
    read_events           of one partition read in one step, at most.
    checkpoint_seconds    between checkpoints: what a killed learner repeats when it comes back.
    snapshot_seconds      between full versions: what a ranker starts from, and what a rollback goes to.
    keep_versions         full versions kept; the newest is never removed.
    guard_share           roll back when recent pair accuracy above chance falls below this share of its
                          earlier level; 0 never does. Recent and earlier are means over about
    guard_recent_pairs    and guard_level_pairs pairs of progressive validation.
    """

    step_seconds: Rate = 0.1
    flush_seconds: Rate = 5.0
    read_events: Count = 4096
    checkpoint_seconds: Rate = 30.0
    snapshot_seconds: Rate = 60.0
    keep_versions: Annotated[int, Meta(ge=2, le=1000)] = 5
    guard_share: Share = 0.5
    guard_recent_pairs: Count = 20_000
    guard_level_pairs: Count = 400_000


class Service(Strict, frozen=True):
    """The HTTP service.

    log_top, log_sample     logged of each ranking: the first candidates returned, and this many of the rest.
    when_log_is_down        refuse: a ranking that cannot be logged is a 503; serve: it is served and counted.
    log_wait_seconds        how long a reply may wait for the log.
    body_seconds            how long the body of a request may take to come.
    max_uploads             bodies over 64 KiB that may be on their way at once; memory holds at most as many.
    max_...                 limits; a request beyond one is refused with a 4xx that says the limit.
    requests_per_second     by key, with bursts of twice as many; 0 is no limit.
    clock_skew_seconds      an event may lie this far in the future by the server's clock.
    profile_store_seconds   between saves of the profiles, which a restart goes on from.
    """

    log_top: Annotated[int, Meta(ge=1, le=1000)] = 20
    log_sample: Annotated[int, Meta(ge=0, le=1000)] = 5
    when_log_is_down: Literal["refuse", "serve"] = "refuse"
    log_wait_seconds: Rate = 2.0
    body_seconds: Rate = 10.0
    max_uploads: Annotated[int, Meta(ge=1, le=100_000)] = 64
    max_body_bytes: Annotated[int, Meta(ge=1024, le=1 << 30)] = 4 << 20
    max_candidates: Annotated[int, Meta(ge=1, le=65535)] = 2000
    max_events: Annotated[int, Meta(ge=1, le=100_000)] = 1000
    max_puts: Annotated[int, Meta(ge=1, le=100_000)] = 5000
    requests_per_second: Weight = 0.0
    clock_skew_seconds: Rate = 30.0
    profile_store_seconds: Rate = 30.0


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


class Clock(Strict, frozen=True):
    """By which clock events are stamped. For simulations it may be `held`: somebody sets it in a file."""

    held: bool = False


class Retention(Strict, frozen=True):
    """How long events are kept: `easq privacy expire` erases older ones. 0 keeps them for good."""

    keep_days: Weight = 0.0


class Evaluation(Strict, frozen=True):
    """How a run is measured; docs/evaluation.md has the protocol."""

    window_rows: Count = 262144
    window_answers: Count = 4096
    replicates: Annotated[int, Meta(ge=1, le=10_000)] = 500
    confidence: Annotated[float, Meta(gt=0, lt=1)] = 0.95
    references: tuple[Literal["popularity", "random"], ...] = ("popularity", "random")


class Data(Strict, frozen=True):
    """Which loader reads `easq replay --data`; `mapping` is the table loader's file."""

    loader: Literal["kuairand", "eeg_svrec", "table"]
    mapping: str | None = None


class Recipe(Strict, frozen=True):
    """One run, whole."""

    name: Name
    features: Annotated[tuple[Feature, ...], Meta(min_length=1)]
    behaviors: Annotated[tuple[BehaviorKind, ...], Meta(min_length=1)]
    seed: Annotated[int, Meta(ge=0, le=1 << 62)] = 1
    data: Data | None = None
    order: Order = Order()
    question: Question = Question()
    ask: Ask = Ask()
    join: Join = Join()
    model: Model = Model()
    baselines: Baselines = Baselines()
    alignment: Alignment = Alignment()
    training: Training = Training()
    live: Live = Live()
    service: Service = Service()
    quality: Quality = Quality()
    retention: Retention = Retention()
    evaluation: Evaluation = Evaluation()
    clock: Clock = Clock()
    experiments: tuple[Experiment, ...] = ()
    assignment: Assignment = Assignment()
    metrics: Metrics = Metrics()
    explore: Explore = Explore()
