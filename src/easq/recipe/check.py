"""What types cannot say of a recipe: names are unique, references lead somewhere, sizes fit."""

from easq.errors import SettingsError
from easq.recipe.check_experiments import problems
from easq.recipe.features import Categorical, History
from easq.recipe.questionnaire import BUILT_IN, SCALE5, AskedQuestion
from easq.recipe.recipe import Recipe


def _check(recipe: Recipe) -> None:
    """Hold what one key's type cannot say: names are unique, references lead somewhere, sizes fit."""
    for place, names in (
        ("features", [f.name for f in recipe.features]),
        ("behaviors", [b.name for b in recipe.behaviors]),
        ("question.options", list(recipe.question.options)),
    ):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SettingsError(f"{place}: {', '.join(twice)} stands there more than once; names are unique")
    targets = [f.name for f in recipe.features if isinstance(f, Categorical) and f.side == "candidate"]
    if not any(getattr(f, "side", "viewer") == "candidate" for f in recipe.features):
        raise SettingsError("features: at least one must have side = 'candidate', or nothing can be ranked")
    for feature in recipe.features:
        if isinstance(feature, History) and feature.of not in targets:
            raise SettingsError(
                f"features.{feature.name}.of: got {feature.of!r}; allowed are the categorical features of "
                f"the candidate: {', '.join(targets) or 'none is declared'}"
            )
        rate = getattr(feature, "rate", None)
        behavior = rate.behavior if rate else getattr(feature, "where", None)
        if behavior is not None and behavior not in [b.name for b in recipe.behaviors]:
            key = "rate.behavior" if rate else "where"
            allowed = ", ".join(b.name for b in recipe.behaviors)
            raise SettingsError(
                f"features.{feature.name}.{key}: got {behavior!r}; allowed are the behaviors: {allowed}"
            )
        boundaries = getattr(feature, "boundaries", (0.0,))
        if list(boundaries) != sorted(set(boundaries)):
            raise SettingsError(f"features.{feature.name}.boundaries: got {boundaries}; they must rise")
    if all(b.weight == 0 for b in recipe.behaviors):
        raise SettingsError("behaviors: at least one needs a weight other than 0, or no order can be learned")
    model, join = recipe.model, recipe.join
    width = model.dim * len(recipe.features)
    if model.rank >= min(width, model.hidden):
        raise SettingsError(
            f"model.rank: got {model.rank}; allowed: 0 to {min(width, model.hidden) - 1}, below both "
            f"model.hidden ({model.hidden}) and the width of all features ({width})"
        )
    _check_baselines(recipe)
    if join.answer_window < join.behavior_window:
        raise SettingsError(
            f"join.answer_window: got {join.answer_window}; allowed: at least join.behavior_window "
            f"({join.behavior_window}), because an answer is one of the things that a view may get"
        )
    _check_ask(recipe)
    for problem in problems(recipe):
        raise SettingsError(problem)


def _check_baselines(recipe: Recipe) -> None:
    model = recipe.model
    if model.method == "saqrec" and not any(isinstance(f, History) for f in recipe.features):
        raise SettingsError(
            "model.method: got 'saqrec'; it reads the viewer's past, so features needs one of kind 'history'"
        )
    watch, names = recipe.baselines.emer_watch, [b.name for b in recipe.behaviors]
    if watch is not None and watch not in names:
        raise SettingsError(
            f"baselines.emer_watch: got {watch!r}; allowed are the behaviors: {', '.join(names)}"
        )
    if model.method.startswith("emer") and model.hidden % recipe.baselines.emer_heads:
        raise SettingsError(
            f"baselines.emer_heads: got {recipe.baselines.emer_heads}; allowed: numbers that divide "
            f"model.hidden ({model.hidden})"
        )


def _check_ask(recipe: Recipe) -> None:
    """Hold the times of the questionnaire against each other, and its questions to their wordings."""
    ask = recipe.ask
    half_life_hours = ask.adaptive_half_life_hours if ask.policy == "adaptive" else 0.0
    for key, given, largest, why in (
        ("cool_down_minutes", ask.cool_down_minutes, ask.memory_days * 1440, "ask.memory_days"),
        ("session_gap_minutes", ask.session_gap_minutes, ask.memory_days * 1440, "ask.memory_days"),
        ("reserve_seconds", ask.reserve_seconds, ask.token_minutes * 60, "ask.token_minutes"),
        # After seven of them a hundredth is left: what a restart does not read again hardly counts.
        ("adaptive_half_life_hours", half_life_hours, ask.memory_days * 24 / 7, "ask.memory_days"),
    ):
        if given > largest:
            raise SettingsError(f"ask.{key}: got {given}; allowed: at most {largest:g}, see {why}")
    names = [question.name for question in ask.questions]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SettingsError(
            f"ask.questions: {', '.join(twice)} stands there more than once; names are unique"
        )
    for question in ask.questions:
        _check_question(question, recipe)


def _check_question(question: AskedQuestion, recipe: Recipe) -> None:
    place, locale = f"ask.questions.{question.name}", recipe.ask.default_locale
    trains = question.name == recipe.question.name
    built_in = None if trains else BUILT_IN.get(question.name)
    if question.options and (trains or built_in or question.kind == "scale5"):
        whose = "[question]" if trains else "a scale" if question.kind == "scale5" else "a built-in question"
        raise SettingsError(f"{place}.options: got {question.options}; those of {whose} are given already")
    values = recipe.question.options if trains else built_in or question.options
    is_scale = question.kind == "scale5"
    if is_scale and not built_in and not trains:
        values = SCALE5
    if is_scale != (values == SCALE5):
        allowed = "scale5" if values == SCALE5 else "options"
        raise SettingsError(f"{place}.kind: got {question.kind!r}; allowed with its options: {allowed}")
    if len(set(values)) != len(values) or len(values) < 2:
        raise SettingsError(f"{place}.options: got {values}; allowed: two or more, each once")
    for name, wording in question.wording.items():
        if len(wording.labels) != len(values):
            raise SettingsError(
                f"{place}.wording.{name}.labels: got {len(wording.labels)}; allowed: {len(values)}, one for "
                f"each of {', '.join(values)}"
            )
    if not trains and not built_in and locale not in question.wording:
        raise SettingsError(
            f"{place}.wording: got {', '.join(question.wording) or 'none'}; it needs ask.default_locale "
            f"({locale}), because {question.name} is not built in"
        )
