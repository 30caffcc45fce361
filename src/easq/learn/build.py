"""Build a learner from settings."""

import torch

from easq.features.encode import Encoder
from easq.learn.labelled_views import LabelledViews
from easq.learn.learner import Learner
from easq.learn.optimizers import DenseOptimizer
from easq.learn.replay_buffer import ReplayBuffer
from easq.model.build import build_method, crosses_of
from easq.model.dense_features import DenseStatistics
from easq.model.embedding import EmbeddingTable
from easq.model.method import method_of
from easq.recipe.recipe import Recipe


def build_encoder(recipe: Recipe) -> Encoder:
    """Return the encoder of the recipe's features."""
    return Encoder(recipe.features, recipe.row_salt)


def build_learner(recipe: Recipe, encoder: Encoder) -> Learner:
    """Return an untrained learner; equal recipes give equal parameters."""
    layout, training, answers = encoder.layout, recipe.training, recipe.answers
    settings = method_of(recipe)
    use = settings.answer_use
    generator = torch.Generator().manual_seed(recipe.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        method = build_method(recipe, layout)
    table = EmbeddingTable(
        layout.num_rows,
        method.pooling.parts,
        training.embedding_scale,
        training.embedding_rate,
        generator,
        crosses_of(recipe, layout),
    )
    viewer_width, candidate_width = (
        side[-1].stop if side else 0 for side in (layout.viewer, layout.candidate)
    )
    dense_widths, length = layout.dense_widths, 1 if use is None else use.list_length
    is_kept = use is not None and use.keeps_dense
    buffer = ReplayBuffer(
        0 if use is None else answers.buffer,
        viewer_width,
        candidate_width * length,
        viewer_weight=answers.viewer_weight,
        dense_widths=(dense_widths[0], dense_widths[1] * length) if is_kept else (0, 0),
    )
    labelled = None
    if use is not None and use.labelled:
        labelled = LabelledViews(
            answers.buffer,
            answers.replayed,
            viewer_width,
            candidate_width,
            len(recipe.behaviors),
            answers.viewer_weight,
            dense_widths,
        )
    return Learner(
        method,
        table,
        DenseStatistics(layout, method.pooling),
        answer_use=use,
        replayed=answers.replayed,
        drops_uncertain=answers.uncertain == "drop",
        buffer=buffer,
        labelled=labelled,
        num_options=len(recipe.question.options),
        optimizer=lambda dense: DenseOptimizer(
            dense,
            settings.loss_moves,
            settings.answer_path,
            rate=training.learning_rate,
            clip=training.gradient_clip,
        ),
        seed=recipe.seed,
    )
