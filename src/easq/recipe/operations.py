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
    """How long a request waits, in event time.

    behavior_window   for behavior [minutes].
    answer_window     for an answer; at least as long [minutes].
    lateness          how far out of order the events of a partition may be [minutes].
    """

    behavior_window: Rate = 30.0
    answer_window: Rate = 60.0
    lateness: Weight = 5.0


class Live(Strict, frozen=True):
    """How the learner follows the log. Seconds are wall-clock time.

    step_seconds          minimum time between the starts of two steps.
    flush_seconds         maximum time that behavior waits for a whole batch; an answer never waits.
    read_events           maximum of events that one step reads of a partition.
    checkpoint_seconds    time between checkpoints; a restarted learner repeats at most this much.
    snapshot_seconds      time between full versions: rankers start from one, a rollback returns to one.
    keep_versions         how many full versions are kept; the newest is never removed.
    guard_share           roll back when recent pair accuracy above chance falls below this share of its
                          earlier level; 0: never.
    guard_recent_pairs    about so many pairs of progressive validation are recent [pairs].
    guard_level_pairs     about so many pairs make the earlier level [pairs].
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

    log_top, log_sample     how many candidates of a ranking are logged: the first, and a sample of the rest.
    when_log_is_down        refuse: a ranking that cannot be logged is a 503; serve: it is served and counted.
    log_wait_seconds        maximum time that a reply waits for the log.
    body_seconds            maximum time that a request's headers, and then its body, take to arrive, and that
                            a caller takes nothing of a reply.
    max_uploads             maximum of bodies over 64 KiB that arrive at once; bounds memory.
    max_calls               maximum of calls that wait or are worked on; further ones get a 503.
    wait_seconds            maximum time from a call's arrival until work on it begins; then it gets a 503.
    max_connections         maximum of connections; a new one takes the place of the longest idle.
    max_body_bytes          largest body of a call; a larger one is refused with a 413.
    max_candidates          maximum of candidates of a ranking; more are refused with a 4xx that states it.
    max_events              maximum of events of a call; more are refused in the same way.
    max_puts                maximum of items or viewers of a call; more are refused in the same way.
    requests_per_second     per key (a viewer key: per address), with bursts of twice as many; 0: no limit.
    clock_skew_seconds      how far an event may lie in the future of the server's clock.
    profile_store_seconds   time between saves of the profiles; a restart continues from the last one.
    """

    log_top: Annotated[int, Meta(ge=1, le=1000)] = 20
    log_sample: Annotated[int, Meta(ge=0, le=1000)] = 5
    when_log_is_down: Literal["refuse", "serve"] = "refuse"
    log_wait_seconds: Rate = 2.0
    body_seconds: Rate = 10.0
    max_uploads: Annotated[int, Meta(ge=1, le=100_000)] = 64
    max_calls: Annotated[int, Meta(ge=1, le=100_000)] = 512
    wait_seconds: Rate = 1.0
    max_connections: Annotated[int, Meta(ge=1, le=100_000)] = 1000
    max_body_bytes: Annotated[int, Meta(ge=1024, le=1 << 30)] = 4 << 20
    max_candidates: Annotated[int, Meta(ge=1, le=65535)] = 2000
    max_events: Annotated[int, Meta(ge=1, le=100_000)] = 1000
    max_puts: Annotated[int, Meta(ge=1, le=100_000)] = 5000
    requests_per_second: Weight = 0.0
    clock_skew_seconds: Rate = 30.0
    profile_store_seconds: Rate = 30.0


class Clock(Strict, frozen=True):
    """The clock that stamps events.

    held   its time is set in a file, for simulations.
    """

    held: bool = False


class Retention(Strict, frozen=True):
    """How long events are kept.

    keep_days   `easq privacy expire` erases older events. 0: they are kept for good.
    """

    keep_days: Weight = 0.0


class Evaluation(Strict, frozen=True):
    """How a run is measured; docs/evaluation.md has the protocol.

    window_rows      an AUC of behavior is taken over so many viewed rows at a time [rows].
    window_answers   an AUC of answers is taken over so many answers at a time [answers].
    replicates       how often viewers are drawn anew for an interval.
    confidence       of intervals.
    references       simple scorers that are measured beside the method.
    """

    window_rows: Count = 262144
    window_answers: Count = 4096
    replicates: Annotated[int, Meta(ge=1, le=10_000)] = 500
    confidence: Annotated[float, Meta(gt=0, lt=1)] = 0.95
    references: tuple[Literal["popularity", "random"], ...] = ("popularity", "random")


class Data(Strict, frozen=True):
    """How `easq replay --data` reads a data set.

    loader    which one.
    mapping   the file that says which column of a table is what, beside the recipe; only the loader table
              reads it.
    """

    loader: Literal["kuairand", "eeg_svrec", "table"]
    mapping: str | None = None
