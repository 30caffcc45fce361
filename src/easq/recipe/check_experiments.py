"""What types cannot say of experiments and metrics: names lead somewhere, shares fit, arms do not collide."""

from collections.abc import Iterator

from easq.recipe.experiments import BUILT_IN_METRICS, COUNTED, Eligible, Experiment
from easq.recipe.features import Categorical, Numeric
from easq.recipe.recipe import Recipe


def experiment_problems(recipe: Recipe) -> Iterator[str]:
    """Yield a message for each thing that cannot be, naming the key, what was given and what is allowed."""
    yield from _twice("experiments", [e.name for e in recipe.experiments])
    yield from _metrics(recipe)
    allowed = (*BUILT_IN_METRICS, *(m.name for m in recipe.metrics.own))
    for experiment in recipe.experiments:
        yield from _experiment(experiment, recipe, allowed)
    for layer in dict.fromkeys(e.layer for e in recipe.experiments):
        reserved = sum(e.reserved_share for e in recipe.experiments if e.layer == layer)
        if reserved > 1 + 1e-9:
            share = f"{reserved:g} of its viewers; allowed: at most 1"
            yield f"experiments: those of layer {layer!r} take {share}"
    serving = {e.layer for e in recipe.experiments if any(a.recipe or a.version for a in e.arms)}
    if len(serving) > 1:
        yield (
            f"experiments: arms of the layers {', '.join(sorted(serving))} name recipes or versions; "
            "allowed: those of one layer, because one model serves a request"
        )
    explore, log_top = recipe.explore, recipe.service.log_top
    if explore.top > explore.depth:
        yield f"explore.top: got {explore.top}; allowed: at most explore.depth ({explore.depth})"
    if explore.depth > log_top and explore.share:
        yield f"explore.depth: got {explore.depth}; allowed: at most service.log_top ({log_top})"


def _experiment(experiment: Experiment, recipe: Recipe, metrics: tuple[str, ...]) -> Iterator[str]:
    place, share, days = f"experiments.{experiment.name}", experiment.share, experiment.days
    yield from _twice(f"{place}.arms", [arm.name for arm in experiment.arms])
    if experiment.reserved_share < share:
        yield f"{place}.reserved: got {experiment.reserved}; allowed: at least its share ({share})"
    if experiment.least_days > days:
        yield f"{place}.least_days: got {experiment.least_days}; allowed: at most its days ({days})"
    for arm in experiment.arms:
        if arm.recipe and arm.version:
            yield f"{place}.arms.{arm.name}: names a recipe and a version; allowed: one of them or none"
    named = [("metric", experiment.metric), *(("guardrails", g.metric) for g in experiment.guardrails)]
    for key, name in named:
        if name not in metrics:
            yield f"{place}.{key}: got {name!r}; allowed are the metrics: {', '.join(metrics)}"
    if experiment.eligible:
        yield from _eligible(f"{place}.eligible", experiment.eligible, recipe)


def _eligible(place: str, eligible: Eligible, recipe: Recipe) -> Iterator[str]:
    kinds = {
        f.name: f for f in recipe.features if isinstance(f, Categorical | Numeric) and f.side == "viewer"
    }
    feature = kinds.get(eligible.feature)
    has_range = eligible.at_least is not None or eligible.below is not None
    if feature is None:
        allowed = ", ".join(kinds) or "none is declared"
        yield f"{place}.feature: got {eligible.feature!r}; allowed are features of the viewer: {allowed}"
    elif isinstance(feature, Categorical) and (has_range or not eligible.values):
        yield f"{place}: {feature.name} is categorical; allowed: values, and no at_least or below"
    elif isinstance(feature, Numeric) and (eligible.values or not has_range):
        yield f"{place}: {feature.name} is a number; allowed: at_least, below or both, and no values"


def _metrics(recipe: Recipe) -> Iterator[str]:
    behaviors = [b.name for b in recipe.behaviors]
    yield from _twice("metrics.own", [*BUILT_IN_METRICS, *(m.name for m in recipe.metrics.own)])
    for metric in recipe.metrics.own:
        place = f"metrics.own.{metric.name}"
        if (metric.per is None) != (metric.kind != "ratio"):
            yield f"{place}.per: got {metric.per!r}; allowed: a name with kind = 'ratio', nothing otherwise"
        for key, name in (("of", metric.of), ("per", metric.per)):
            if name in COUNTED and metric.kind in ("count", "sum"):
                kind, allowed = metric.kind, ", ".join(behaviors)
                yield f"{place}.{key}: got {name!r}; allowed with kind = {kind!r} are behaviors: {allowed}"


def _twice(place: str, names: list[str]) -> Iterator[str]:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        yield f"{place}: {', '.join(twice)} stands there more than once; names are unique"
