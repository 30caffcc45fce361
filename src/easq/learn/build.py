"""Settings to parts: the one place where a recipe becomes arguments."""

import torch
from msgspec.structs import replace

from easq.features.encode import Encoder
from easq.learn.labelled_views import LabelledViews
from easq.learn.learner import Learner
from easq.learn.replay_buffer import ReplayBuffer
from easq.model.build import build_model, build_pooling
from easq.model.embedding import EmbeddingTable
from easq.model.methods.easq import Easq
from easq.model.methods.emer import Emer
from easq.model.objectives import build_objective
from easq.recipe.recipe import Recipe


def build_encoder(recipe: Recipe) -> Encoder:
    """Return the encoder of the recipe's features."""
    return Encoder(recipe.features)


def build_learner(recipe: Recipe, encoder: Encoder) -> Learner:
    """Return an untrained learner; equal recipes give equal parameters."""
    layout, training = encoder.layout, recipe.training
    generator = torch.Generator().manual_seed(recipe.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        pooling = build_pooling(recipe, layout)
        model = build_model(recipe, pooling)
    table = EmbeddingTable(
        layout.num_rows, pooling.widths, training.embedding_scale, training.embedding_rate, generator
    )
    objective = build_objective(recipe, model)
    capacity = recipe.alignment.buffer if objective.reads_answers else 0
    viewer_width, candidate_width = (
        side[-1].stop if side else 0 for side in (layout.viewer, layout.candidate)
    )
    list_length = recipe.baselines.emer_list if isinstance(model, Emer) else 1
    told = None
    if objective.reads_labelled:
        told = LabelledViews(
            capacity,
            recipe.alignment.replayed,
            viewer_width,
            candidate_width,
            len(recipe.behaviors),
            recipe.alignment.viewer_weight,
        )
    return Learner(
        model,
        pooling,
        table,
        ReplayBuffer(capacity, viewer_width, candidate_width * list_length, recipe.alignment.viewer_weight),
        # Baselines have no teacher, so they need no scores for it.
        recipe.alignment if isinstance(model, Easq) else replace(recipe.alignment, teacher=False),
        len(recipe.question.options),
        objective,
        training.learning_rate,
        training.gradient_clip,
        recipe.seed,
        list_length,
        told,
    )
