"""Settings of running: joining, learning live, the service, retention and evaluation."""

from typing import Annotated, Literal

from msgspec import Meta

from easq.recipe.values import (
    Count,
    Rate,
    Share,
    Strict,
    Weight,
)


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
