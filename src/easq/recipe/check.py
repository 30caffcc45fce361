"""What types cannot say of a recipe: names are unique, references lead somewhere, sizes and times fit.

Each check yields a message for each problem, so that all are reported at once.
"""

from collections.abc import Iterator

from easq.recipe.check_experiments import experiment_problems
from easq.recipe.features import Categorical, Feature, History, Numeric, Score, Vector, is_dense, score_names
from easq.recipe.learning import Answers
from easq.recipe.questionnaire import BUILT_IN, SCALE5, AskedQuestion
from easq.recipe.recipe import Recipe


def problems(recipe: Recipe) -> Iterator[str]:
    """Yield everything that is wrong with a recipe whose values have the right types."""
    for check in _CHECKS:
        yield from check(recipe)


def without_effect(recipe: Recipe) -> Iterator[str]:
    """Yield a warning for each setting that nothing reads, because another one switches it off."""
    ask, explore, live = recipe.ask, recipe.explore, recipe.live
    for key, value, default, is_read, reader in (
        ("ask.adaptive_floor", ask.adaptive_floor, 0.25, ask.policy == "adaptive", "ask.policy = 'adaptive'"),
        (
            "ask.adaptive_half_life_hours",
            ask.adaptive_half_life_hours,
            24.0,
            ask.policy == "adaptive",
            "ask.policy = 'adaptive'",
        ),
        ("ask.pacing_minutes", ask.pacing_minutes, 30.0, ask.daily_quota > 0, "ask.daily_quota above 0"),
        ("ask.pacing", ask.pacing, "even", ask.daily_quota > 0, "ask.daily_quota above 0"),
        ("explore.depth", explore.depth, 10, explore.share > 0, "explore.share above 0"),
        (
            "live.guard_recent_pairs",
            live.guard_recent_pairs,
            20_000,
            live.guard_share > 0,
            "live.guard_share",
        ),
        ("live.guard_level_pairs", live.guard_level_pairs, 400_000, live.guard_share > 0, "live.guard_share"),
    ):
        if value != default and not is_read:
            yield f"{key} = {value!r} has no effect: only {reader} reads it"
    method, defaults = recipe.method, Answers()
    for name in Answers.__struct_fields__:
        value = getattr(recipe.answers, name)
        if value != getattr(defaults, name) and not method.reads_answers:
            yield f"answers.{name} = {value!r} has no effect: the method {method.kind} reads no answers"
    replayed = recipe.answers.replayed
    if replayed != defaults.replayed and not recipe.answers.buffer and method.reads_answers:
        yield f"answers.replayed = {replayed} has no effect: only answers.buffer above 0 reads it"
    for key in method.unread_keys:
        table, _, name = key.partition(".")
        settings = getattr(recipe, table)
        if (value := getattr(settings, name)) != getattr(type(settings)(), name):
            yield f"{key} = {value!r} has no effect: the method {method.kind} does not read it"
    if recipe.reference and not method.reads_reference:
        yield (
            f"reference.feature = {recipe.reference.feature!r} is only compared with: method {method.kind} "
            "serves a behavior score of its own; behavior, probe and satisfaction_tower serve the reference"
        )
    used = {recipe.reference.feature} if recipe.reference else set()
    for name in score_names(recipe.features):
        if name not in used | set(getattr(method, "chances", ())):
            yield f"features.{name} has no effect: neither reference.feature nor method.chances names it"
    yield from method.without_effect()


def _names(recipe: Recipe) -> Iterator[str]:
    for place, names in (
        ("features", [f.name for f in recipe.features]),
        ("behaviors", [b.name for b in recipe.behaviors]),
        ("question.options", list(recipe.question.options)),
        ("ask.questions", [question.name for question in recipe.ask.questions]),
    ):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            yield f"{place}: {', '.join(twice)} stands there more than once; names are unique"


def _features(recipe: Recipe) -> Iterator[str]:
    if not any(getattr(f, "side", "viewer") == "candidate" for f in recipe.features):
        yield "features: at least one must have side = 'candidate', or nothing can be ranked"
    for feature in recipe.features:
        yield from _feature(feature, recipe)


def _reference(recipe: Recipe) -> Iterator[str]:
    if recipe.reference is None:
        return
    scores = score_names(recipe.features)
    if recipe.reference.feature not in scores:
        allowed = ", ".join(scores) or 'none is declared, with kind = "score"'
        yield f"reference.feature: got {recipe.reference.feature!r}; allowed are the scores: {allowed}"


def _feature(feature: Feature, recipe: Recipe) -> Iterator[str]:
    targets = [f.name for f in recipe.features if isinstance(f, Categorical) and f.side == "candidate"]
    if isinstance(feature, History) and feature.of not in targets:
        yield (
            f"features.{feature.name}.of: got {feature.of!r}; allowed are the categorical features of "
            f"the candidate: {', '.join(targets) or 'none is declared'}"
        )
    rate = getattr(feature, "rate", None)
    named = "behavior" if isinstance(feature, Score) else "where"
    behavior = rate.behavior if rate else getattr(feature, named, None)
    if behavior is not None and behavior not in [b.name for b in recipe.behaviors]:
        key = "rate.behavior" if rate else named
        allowed = ", ".join(b.name for b in recipe.behaviors)
        yield f"features.{feature.name}.{key}: got {behavior!r}; allowed are the behaviors: {allowed}"
    if isinstance(feature, Numeric):
        yield from _numeric(feature)


def _numeric(feature: Numeric) -> Iterator[str]:
    place = f"features.{feature.name}"
    if not feature.boundaries and not feature.standardized:
        yield f'{place}.boundaries: got none; allowed: rising numbers, "quantiles", or standardized = true'
    if feature.boundaries and feature.standardized:
        yield f"{place}.standardized: got true; allowed: false, because the number has boundaries"
    if list(feature.fixed) != sorted(set(feature.fixed)):
        yield f"{place}.boundaries: got {feature.fixed}; they must rise"


def _dense(recipe: Recipe) -> Iterator[str]:
    if recipe.method.reads_dense:
        return
    for feature in filter(is_dense, recipe.features):
        what = "vectors" if isinstance(feature, Vector) else "numbers by quantiles or standardized"
        why = " with method.chances" if getattr(recipe.method, "chances", ()) else ""
        yield f"features.{feature.name}: the method {recipe.method.kind}{why} reads no {what}; leave it out"


def _order(recipe: Recipe) -> Iterator[str]:
    if all(b.weight == 0 for b in recipe.behaviors):
        yield "behaviors: at least one needs a weight other than 0, or no order can be learned"


def _windows(recipe: Recipe) -> Iterator[str]:
    join = recipe.join
    if join.answer_window < join.behavior_window:
        yield (
            f"join.answer_window: got {join.answer_window}; allowed: at least join.behavior_window "
            f"({join.behavior_window}), because an answer is one of the things that a view may get"
        )


def _ask_times(recipe: Recipe) -> Iterator[str]:
    ask = recipe.ask
    half_life_hours = ask.adaptive_half_life_hours if ask.policy == "adaptive" else 0.0
    for key, given, largest, why in (
        ("cool_down_minutes", ask.cool_down_minutes, ask.memory_days * 1440, "ask.memory_days"),
        ("session_gap_minutes", ask.session_gap_minutes, ask.memory_days * 1440, "ask.memory_days"),
        ("reserve_seconds", ask.reserve_seconds, ask.token_minutes * 60, "ask.token_minutes"),
        # After seven half-lives a hundredth is left: what a restart does not read again hardly counts.
        ("adaptive_half_life_hours", half_life_hours, ask.memory_days * 24 / 7, "ask.memory_days"),
    ):
        if given > largest:
            yield f"ask.{key}: got {given}; allowed: at most {largest:g}, see {why}"


def _questions(recipe: Recipe) -> Iterator[str]:
    for question in recipe.ask.questions:
        yield from _question(question, recipe)


def _question(question: AskedQuestion, recipe: Recipe) -> Iterator[str]:
    place, locale = f"ask.questions.{question.name}", recipe.ask.default_locale
    trains = question.name == recipe.question.name
    built_in = None if trains else BUILT_IN.get(question.name)
    is_scale = question.kind == "scale5"
    if question.options and (trains or built_in or is_scale):
        whose = "[question]" if trains else "a scale" if is_scale else "a built-in question"
        yield f"{place}.options: got {question.options}; those of {whose} are given already"
        return
    values = recipe.question.options if trains else built_in or question.options
    if is_scale and not built_in and not trains:
        values = SCALE5
    if is_scale != (values == SCALE5):
        allowed = "scale5" if values == SCALE5 else "options"
        yield f"{place}.kind: got {question.kind!r}; allowed with its options: {allowed}"
    if len(set(values)) != len(values) or len(values) < 2:
        yield f"{place}.options: got {values}; allowed: two or more, each once"
    for name, wording in question.wording.items():
        if len(wording.labels) != len(values):
            yield (
                f"{place}.wording.{name}.labels: got {len(wording.labels)}; allowed: {len(values)}, one for "
                f"each of {', '.join(values)}"
            )
    if not trains and not built_in and locale not in question.wording:
        yield (
            f"{place}.wording: got {', '.join(question.wording) or 'none'}; it needs ask.default_locale "
            f"({locale}), because {question.name} is not built in"
        )


def _method(recipe: Recipe) -> Iterator[str]:
    yield from recipe.method.problems(recipe)


_CHECKS = (
    _names,
    _features,
    _reference,
    _dense,
    _order,
    _windows,
    _ask_times,
    _questions,
    _method,
    experiment_problems,
)
