"""Settings that all methods share: sizes, replayed answers, training."""

from typing import Annotated, Literal

from msgspec import Meta

from easq.recipe.values import Count, Rate, Strict, Text, Weight, Width


class Model(Strict, frozen=True):
    """Sizes that every method reads; `[method]` has those of one method alone.

    dim          width of an embedding.
    hidden       width of the first projection of all features.
    head_width   hidden width of the heads; 0 makes them linear.
    eps          keeps scores above zero, for their logarithm.
    """

    dim: Width = 16
    hidden: Width = 64
    head_width: Annotated[int, Meta(ge=0, le=4096)] = 32
    eps: Rate = 1e-6


class Answers(Strict, frozen=True):
    """Which answers a step of a method that reads answers holds; `[method]` says what it makes of them.

    buffer          recent answered rows that are kept; 0 turns the replay buffer off [rows].
    replayed        of these, how many join each step [rows].
    viewer_weight   the weights of one viewer's rows in the buffer add up to this at most; 0 is no bound.
    uncertain       options between the worst and the best. middle: they count between; drop: not at all.
    """

    buffer: Annotated[int, Meta(ge=0, le=1 << 24)] = 8192
    replayed: Count = 64
    viewer_weight: Weight = 32.0
    uncertain: Literal["middle", "drop"] = "middle"


class Training(Strict, frozen=True):
    """How the learner steps.

    batch_rows         a step holds so many viewed rows, or `batch_answers` answers, whatever comes first
                       [rows].
    batch_answers      see `batch_rows` [answers].
    learning_rate      of Adam, for everything dense.
    embedding_rate     of row-wise AdaGrad, for embeddings of methods that state no rate of their own.
    embedding_scale    standard deviation of first embeddings.
    gradient_clip      largest norm of the gradient of parameters that the same losses move. 0: none.
    checkpoint_steps   a replay saves its state after so many steps [steps].
    threads            part of the run: sums differ with it in the last bit. One is the default, because two
                       spin when another process wants a core, and then a step takes many times as long.
    arms               only requests that one of these arms served are learned (`experiment/arm`, `default`,
                       `holdout`); none: all requests.
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
