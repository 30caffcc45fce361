"""What a recipe says of the model, of the methods it is compared with and of their training."""

from typing import Annotated, Literal

from msgspec import Meta

from easq.recipe.values import Count, Name, Rate, Share, Strict, Text, Weight, Width

Method = Literal[
    "easq",
    "probe",
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


class Model(Strict, frozen=True):
    """Sizes and switches of the ranking model.

    method                          EASQ; probe, a linear probe of a behaviour model; or a baseline: a file of
                                    easq.model.methods each.
    experts, satisfaction_experts   K1 and K2, each expert `expert_width` wide.
    routing, top_k                  relu: gates are ReLU(W_gate h), as in EASQ; softmax_top_k: softmax over
                                    the `top_k` largest; none: one plain network of the experts' size.
    rank, lora_init                 of the low-rank path: its A starts so, its B at zero. Rank 0 is no path.
    head_width                      hidden width of the heads; 0 makes them linear.
    probe_dim                       of the probe: the width of embeddings of its own, which the chances of the
                                    behaviours train; 0: it reads those of the behaviour score.
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
    probe_dim: Annotated[int, Meta(ge=0, le=4096)] = 0
    answers_move_embeddings: bool = False
    satisfaction_variance: bool = False
    eps: Rate = 1e-6


class Baselines(Strict, frozen=True):
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


class Alignment(Strict, frozen=True):
    """How answers train: the weights of the losses and which pairs of D+ they see.

    scope      user_first: pairs of one viewer, else across the step; user: only one viewer's;
               batch: any two answered rows.
    unasked    none: answered rows only; request: an answered row also against the unasked rows of
               its request (satisfied above, dissatisfied below); distill: the DPO term also sees
               behaviour rows of one request, ordered by the satisfaction expert.
    buffer     recent answered rows kept; 0 turns the replay buffer off.
    viewer_weight  the weights of one viewer's rows among these add up to this at most; 0 is no bound.
    propensity_weights   a pair of L_satis weighs 1 / (p_i p_j), p the modelled chance that the view brings an
               answer, at least `propensity_floor`; the weights of a step have the mean 1.
    teacher    a small network predicts the answer from the view and from the behaviour that followed it.
               It labels the unasked views, which L_satis and L_dpo then learn too, `teacher_weight` times
               as much as the answers. It is never served.
    ridge      of the probe: the precision of the normal prior of its weights.
    behavior_tolerance   dpo_weight is where lambda2 begins; it then goes as high as the served order keeps
               within this share of a behaviour-only reference's pair accuracy above chance. 0 leaves it.
               Of the probe it is the share of the behaviour of each request's first three that may be lost
               to its own behaviour score; the logit's share in the served score ends at most at
               `baselines.satisfaction_share`, and begins there or at 1, whichever is less.
    """

    satisfaction_weight: Weight = 1.0
    dpo_weight: Weight = 0.3
    beta: Rate = 1.0
    scope: Literal["user_first", "user", "batch"] = "user_first"
    unasked: Literal["none", "request", "distill"] = "none"
    uncertain: Literal["middle", "drop"] = "middle"
    buffer: Annotated[int, Meta(ge=0, le=1 << 24)] = 8192
    replayed: Count = 64
    viewer_weight: Weight = 32.0
    propensity_weights: bool = False
    propensity_floor: Annotated[float, Meta(gt=0, le=1)] = 1e-5
    teacher: bool = False
    teacher_weight: Weight = 1.0
    ridge: Weight = 5.0
    behavior_tolerance: Share = 0.0


class Training(Strict, frozen=True):
    """How the learner steps.

    `threads` is part of the run: sums differ with it in the last bit. One is the default, because
    two spin when another process wants a core, and then a step takes many times as long. With `arms` only
    requests are learned from that one of them served (`experiment/arm`, `default`, `holdout`).
    """

    batch_rows: Annotated[int, Meta(ge=1, le=65536)] = 2048
    batch_answers: Annotated[int, Meta(ge=1, le=4096)] = 256
    learning_rate: Rate = 3e-3
    embedding_rate: Rate = 0.1
    embedding_scale: Rate = 0.05
    gradient_clip: Weight = 10.0
    checkpoint_steps: Count = 200
    threads: Annotated[int, Meta(ge=1, le=256)] = 1
    arms: tuple[Text, ...] = ()
