"""Settings to a model: what trains and what serves is built by the same function."""

from easq.features.encode import Layout
from easq.model.answer import AnswerNetwork
from easq.model.methods.behavior import BehaviorOnly
from easq.model.methods.easq import Easq
from easq.model.methods.emer import Emer
from easq.model.methods.imputation import Imputation
from easq.model.methods.mmoe import Mmoe
from easq.model.methods.multitask import MultiTask
from easq.model.methods.ple import Ple
from easq.model.methods.probe import Probe
from easq.model.methods.saqrec import Saqrec
from easq.model.methods.shared_bottom import SharedBottom
from easq.model.moe import Routing
from easq.model.pooling import FeaturePooling, Pooling, TwinPooling
from easq.model.pull_controller import PullController
from easq.recipe.learning import Model
from easq.recipe.recipe import Recipe

RankingModel = Easq | Probe | BehaviorOnly | MultiTask | Emer | Imputation | Saqrec


def build_pooling(recipe: Recipe, layout: Layout) -> Pooling:
    """Return the pooling of the recipe's features, as its method needs it."""
    settings = recipe.model
    if settings.method == "probe" and settings.probe_dim:
        return TwinPooling(layout, settings.dim, settings.probe_dim)
    return FeaturePooling(layout, settings.dim, settings.method == "saqrec")


def build_model(recipe: Recipe, pooling: Pooling) -> RankingModel:
    """Return the model of the recipe's method."""
    settings = recipe.model
    routing = Routing(settings.routing, settings.top_k)
    if settings.method == "easq":
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
            routing,
            _answers(recipe, pooling, len(recipe.behaviors)) if recipe.alignment.teacher else None,
            _answers(recipe, pooling, 0) if recipe.alignment.propensity_weights else None,
            settings.satisfaction_variance,
            _behavior_only(recipe, pooling) if recipe.alignment.behavior_tolerance else None,
            PullController(recipe.alignment.behavior_tolerance)
            if recipe.alignment.behavior_tolerance
            else None,
        )
    if settings.method in ("behavior", "probe"):
        behavior = _behavior_only(recipe, pooling)
        return behavior if settings.method == "behavior" else _probe(recipe, pooling, behavior)
    if settings.method in ("imputation", "imputation_privileged"):
        return Imputation(
            pooling.viewer_dim,
            pooling.candidate_dim,
            settings.hidden,
            settings.expert_width,
            settings.experts,
            settings.head_width,
            settings.eps,
            len(recipe.behaviors) if settings.method == "imputation_privileged" else 0,
            routing,
        )
    if settings.method in ("emer", "emer_s", "emer_s_head"):
        return Emer(
            pooling.viewer_dim,
            pooling.candidate_dim,
            settings.hidden,
            settings.head_width,
            settings.eps,
            len(recipe.behaviors),
            recipe.baselines.emer_heads,
            recipe.baselines.emer_layers,
            settings.method == "emer_s_head",
            recipe.baselines.satisfaction_share,
        )
    if settings.method == "saqrec":
        return Saqrec(
            pooling.viewer_dim,
            pooling.candidate_dim,
            settings.dim,
            settings.hidden,
            settings.expert_width,
            settings.experts,
            settings.head_width,
            settings.eps,
            recipe.baselines.saqrec_buckets,
            routing,
        )
    return MultiTask(
        pooling.viewer_dim,
        pooling.candidate_dim,
        settings.hidden,
        _body(settings),
        settings.expert_width,
        settings.head_width,
        settings.eps,
        recipe.baselines.satisfaction_share,
    )


def _probe(recipe: Recipe, pooling: Pooling, behavior: BehaviorOnly) -> Probe:
    tolerance, share = recipe.alignment.behavior_tolerance, recipe.baselines.satisfaction_share
    read = pooling.beside if isinstance(pooling, TwinPooling) else pooling
    return Probe(
        behavior,
        read.viewer_dim,
        read.candidate_dim,
        recipe.model.hidden,
        len(recipe.behaviors),
        share,
        PullController(tolerance, most=1.0, floor=0.0, start=1 / max(1.0, share)) if tolerance else None,
    )


def _behavior_only(recipe: Recipe, pooling: Pooling) -> BehaviorOnly:
    settings = recipe.model
    return BehaviorOnly(
        pooling.viewer_dim,
        pooling.candidate_dim,
        settings.hidden,
        settings.expert_width,
        settings.experts,
        settings.head_width,
        settings.eps,
        Routing(settings.routing, settings.top_k),
    )


def _answers(recipe: Recipe, pooling: Pooling, num_behaviors: int) -> AnswerNetwork:
    return AnswerNetwork(
        pooling.viewer_dim,
        pooling.candidate_dim,
        recipe.model.hidden,
        recipe.model.expert_width,
        num_behaviors,
    )


def _body(settings: Model) -> SharedBottom | Mmoe | Ple:
    hidden, width, num_experts = settings.hidden, settings.expert_width, settings.experts
    if settings.method == "shared_bottom":
        return SharedBottom(hidden, width, num_experts)
    if settings.method == "mmoe":
        return Mmoe(hidden, width, num_experts)
    return Ple(hidden, width, num_experts, settings.satisfaction_experts)
