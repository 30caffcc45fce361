"""What a platform declares: features, behaviours, the question, the model and its training.

One TOML recipe is one run. It is decoded strictly: an unknown key, an impossible value or a
reference to nothing stops the run with a message that names the key, what was given and what is
allowed. Every choice that the EASQ paper leaves open is a setting here.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Count = Annotated[int, Meta(ge=1, le=1 << 24)]
Rows = Annotated[int, Meta(ge=1, le=1 << 28)]
Width = Annotated[int, Meta(ge=1, le=4096)]
Rate = Annotated[float, Meta(gt=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Weight = Annotated[float, Meta(ge=0)]
Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*$")]
Side = Literal["viewer", "candidate"]


class _Strict(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Categorical(_Strict, frozen=True, tag="categorical", tag_field="kind"):
    """One id per row, hashed into `rows` embedding rows."""

    name: Name
    side: Side
    rows: Rows


class Multi(_Strict, frozen=True, tag="multi", tag_field="kind"):
    """Several ids per row, of which the first `length` are averaged."""

    name: Name
    side: Side
    rows: Rows
    length: Width


class RateOf(_Strict, frozen=True):
    """A rate that the live service keeps from events: how often `behavior` was shown per view.

    The past fades by half every `half_life_hours`; with few views the rate is drawn to that of all, as
    if there had been `prior_views` of those.
    """

    behavior: Name
    half_life_hours: Rate = 72.0
    prior_views: Rate = 20.0


class Numeric(_Strict, frozen=True, tag="numeric", tag_field="kind"):
    """A number, embedded by the interval of `boundaries` that holds it; unknown has its own.

    With `rate` the live service keeps it from events, of the item or of the viewer by `side`.
    """

    name: Name
    side: Side
    boundaries: Annotated[tuple[float, ...], Meta(min_length=1)]
    rate: RateOf | None = None


class History(_Strict, frozen=True, tag="history", tag_field="kind"):
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


class BehaviorKind(_Strict, frozen=True):
    """A behaviour counts as shown when its value is at least `at_least`.

    `weight` is its part in the order of a request's items; 0 measures it without training on it.
    """

    name: Name
    at_least: float = 1.0
    weight: float = 1.0


class Order(_Strict, frozen=True):
    """Which rows B+ orders, and how.

    cap      an item's level is the weight of the behaviours it got, at most this (many > one > none).
    scope    request: pairs of one request (EASQ); viewer: of one viewer's rows in the step; batch:
             any two rows of the step, for logs whose requests have too few items to be ranked.
    """

    cap: Rate = 2.0
    scope: Literal["request", "viewer", "batch"] = "request"


class Question(_Strict, frozen=True):
    """The question and its options from worst to best; the order is what D+ learns."""

    name: Name = "satisfaction"
    text: str = "Are you satisfied with this video?"
    options: Annotated[tuple[str, ...], Meta(min_length=2)] = ("dissatisfied", "uncertain", "satisfied")


class Join(_Strict, frozen=True):
    """Minutes of event time: how long a request waits for behaviours and answers.

    `lateness` is how far out of order a partition may be.
    """

    behavior_window: Rate = 30.0
    answer_window: Rate = 60.0
    lateness: Weight = 5.0


Method = Literal[
    "easq",
    "behavior",
    "shared_bottom",
    "mmoe",
    "ple",
    "emer",
    "emer_s",
    "emer_s_head",
    "imputation",
    "imputation_privileged",
    "saqrec",
]
BEHAVIOR_ONLY: tuple[Method, ...] = ("behavior", "emer")
"""The methods that read no answers."""


class Model(_Strict, frozen=True):
    """Sizes and switches of the ranking model.

    method                          EASQ, or a baseline of easq.model.baselines.
    experts, satisfaction_experts   K1 and K2, each expert `expert_width` wide.
    routing, top_k                  relu: gates are ReLU(W_gate h), as in EASQ; softmax_top_k: softmax over
                                    the `top_k` largest; none: one plain network of the experts' size.
    rank, lora_init                 of the low-rank path: its A starts so, its B at zero. Rank 0 is no path.
    head_width                      hidden width of the heads; 0 makes them linear.
    answers_move_embeddings         the low-rank path reads x instead of sg(x).
    satisfaction_variance           the satisfaction experts give a mean and a variance: an answer's order
                                    has the chance Phi, and L_dpo pulls a pair as far as they are sure of it.
    eps                             keeps scores above zero, for their logarithm.
    """

    method: Method = "easq"
    dim: Width = 16
    hidden: Width = 64
    expert_width: Width = 32
    experts: Width = 6
    satisfaction_experts: Width = 3
    routing: Literal["relu", "softmax_top_k", "none"] = "relu"
    top_k: Width = 2
    rank: Annotated[int, Meta(ge=0, le=4096)] = 8
    lora_init: Literal["kaiming", "normal"] = "kaiming"
    head_width: Annotated[int, Meta(ge=0, le=4096)] = 32
    answers_move_embeddings: bool = False
    satisfaction_variance: bool = False
    eps: Rate = 1e-6


class Baselines(_Strict, frozen=True):
    """What only the models read that EASQ is compared with.

    satisfaction_share       of methods with a satisfaction head: the served score is the behaviour score
                             plus this times the satisfaction score. 0 serves the behaviour head alone.
    emer_layers, emer_heads  of EMER's Transformer; the heads divide model.hidden.
    emer_watch               the behaviour that stands for watch time: other predictions are divided by it.
    emer_top                 K of the DCG whose ratio weighs a predicted order.
    emer_serving_steps       steps after which EMER's serving ranker becomes the current one.
    emer_list                candidates kept with a replayed answer, its own first: set-wise scores need them.
    saqrec_buckets           K of SAQRec: a viewer's history is divided so by satisfaction.
    """

    satisfaction_share: Weight = 0.0
    emer_layers: Annotated[int, Meta(ge=1, le=64)] = 1
    emer_heads: Annotated[int, Meta(ge=1, le=64)] = 4
    emer_watch: Name | None = None
    emer_top: Width = 5
    emer_serving_steps: Count = 100
    emer_list: Width = 20
    saqrec_buckets: Annotated[int, Meta(ge=2, le=64)] = 8


class Alignment(_Strict, frozen=True):
    """How answers train: the weights of the losses and which pairs of D+ they see.

    scope      user_first: pairs of one viewer, else across the step; user: only one viewer's;
               batch: any two answered rows.
    unasked    none: answered rows only; request: an answered row also against the unasked rows of
               its request (satisfied above, dissatisfied below); distill: the DPO term also sees
               behaviour rows of one request, ordered by the satisfaction expert.
    buffer     recent answered rows kept; 0 turns the replay buffer off.
    propensity_weights   a pair of L_satis weighs 1 / (p_i p_j), p the modelled chance that the view brings an
               answer, at least `propensity_floor`; the weights of a step have the mean 1.
    teacher    a small network predicts the answer from the view and from the behaviour that followed it.
               It labels the unasked views, which L_satis and L_dpo then learn too, `teacher_weight` times
               as much as the answers. It is never served.
    behavior_tolerance   dpo_weight is where lambda2 begins; it then goes as high as the served order keeps
               within this share of a behaviour-only reference's pair accuracy above chance. 0 leaves it.
    """

    satisfaction_weight: Weight = 1.0
    dpo_weight: Weight = 0.3
    beta: Rate = 1.0
    scope: Literal["user_first", "user", "batch"] = "user_first"
    unasked: Literal["none", "request", "distill"] = "none"
    uncertain: Literal["middle", "drop"] = "middle"
    buffer: Annotated[int, Meta(ge=0, le=1 << 24)] = 8192
    replayed: Count = 64
    propensity_weights: bool = False
    propensity_floor: Annotated[float, Meta(gt=0, le=1)] = 1e-5
    teacher: bool = False
    teacher_weight: Weight = 1.0
    behavior_tolerance: Share = 0.0


class Training(_Strict, frozen=True):
    """How the learner steps.

    `threads` is part of the run: sums differ with it in the last bit. One is the default, because
    two spin when another process wants a core, and then a step takes many times as long.
    """

    batch_rows: Annotated[int, Meta(ge=1, le=65536)] = 2048
    batch_answers: Annotated[int, Meta(ge=1, le=4096)] = 256
    learning_rate: Rate = 3e-3
    embedding_rate: Rate = 0.1
    embedding_scale: Rate = 0.05
    gradient_clip: Weight = 10.0
    checkpoint_steps: Count = 200
    threads: Annotated[int, Meta(ge=1, le=256)] = 1


class Live(_Strict, frozen=True):
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


class Service(_Strict, frozen=True):
    """The HTTP service.

    log_top, log_sample     logged of each ranking: the first candidates returned, and this many of the rest.
    when_log_is_down        refuse: a ranking that cannot be logged is a 503; serve: it is served and counted.
    log_wait_seconds        how long a reply may wait for the log.
    max_...                 limits; a request beyond one is refused with a 4xx that says the limit.
    requests_per_second     by key, with bursts of twice as many; 0 is no limit.
    clock_skew_seconds      an event may lie this far in the future by the server's clock.
    profile_store_seconds   between saves of the profiles, which a restart goes on from.
    """

    log_top: Annotated[int, Meta(ge=1, le=1000)] = 20
    log_sample: Annotated[int, Meta(ge=0, le=1000)] = 5
    when_log_is_down: Literal["refuse", "serve"] = "refuse"
    log_wait_seconds: Rate = 2.0
    max_body_bytes: Annotated[int, Meta(ge=1024, le=1 << 30)] = 4 << 20
    max_candidates: Annotated[int, Meta(ge=1, le=65535)] = 2000
    max_events: Annotated[int, Meta(ge=1, le=100_000)] = 1000
    max_puts: Annotated[int, Meta(ge=1, le=100_000)] = 5000
    requests_per_second: Weight = 0.0
    clock_skew_seconds: Rate = 30.0
    profile_store_seconds: Rate = 30.0


class Evaluation(_Strict, frozen=True):
    """How a run is measured; docs/evaluation.md has the protocol."""

    window_rows: Count = 262144
    window_answers: Count = 4096
    replicates: Annotated[int, Meta(ge=1, le=10_000)] = 500
    confidence: Annotated[float, Meta(gt=0, lt=1)] = 0.95
    references: tuple[Literal["popularity", "random"], ...] = ("popularity", "random")


class Data(_Strict, frozen=True):
    """Which loader reads `easq replay --data`; `mapping` is the table loader's file."""

    loader: Literal["kuairand", "eeg_svrec", "table"]
    mapping: str | None = None


class Recipe(_Strict, frozen=True):
    """One run, whole."""

    name: Name
    features: Annotated[tuple[Feature, ...], Meta(min_length=1)]
    behaviors: Annotated[tuple[BehaviorKind, ...], Meta(min_length=1)]
    seed: Annotated[int, Meta(ge=0, le=1 << 62)] = 1
    data: Data | None = None
    order: Order = Order()
    question: Question = Question()
    join: Join = Join()
    model: Model = Model()
    baselines: Baselines = Baselines()
    alignment: Alignment = Alignment()
    training: Training = Training()
    live: Live = Live()
    service: Service = Service()
    evaluation: Evaluation = Evaluation()
