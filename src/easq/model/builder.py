"""Settings to a model: what trains and what serves is built by the same function."""

from easq.model.baselines.behavior import BehaviorOnly
from easq.model.easq import Easq
from easq.model.embedding import FeaturePooling
from easq.schema import Recipe

RankingModel = Easq | BehaviorOnly


def build_model(recipe: Recipe, pooling: FeaturePooling) -> RankingModel:
    """Return the model of the recipe's method."""
    settings = recipe.model
    if settings.method == "behavior":
        return BehaviorOnly(
            pooling.viewer_dim,
            pooling.candidate_dim,
            settings.hidden,
            settings.expert_width,
            settings.experts,
            settings.head_width,
            settings.eps,
        )
    return Easq(
        pooling.viewer_dim,
        pooling.candidate_dim,
        settings.hidden,
        settings.rank,
        settings.expert_width,
        settings.experts,
        settings.satisfaction_experts,
        settings.head_width,
        settings.eps,
        settings.answers_move_embeddings,
        settings.lora_init,
    )
