"""Whether a table's mapping gives what a recipe reads. It is found before a row is read.

A feature, a history or a behavior that the mapping lacks would be unknown, or never done, in all of the log.
"""

import warnings
from collections.abc import Iterator
from pathlib import Path

from easq.errors import InputError
from easq.recipe.features import Feature, History, Number, Numeric
from easq.recipe.read import SettingsWarning
from easq.recipe.recipe import Recipe
from easq.sources.datasets.mapping import NUMBERS, HistoryRule, Mapping, read_mapping


def check_fit(recipe: Recipe, path: Path, *, is_live: bool = False) -> None:
    """Raise InputError with everything that the recipe reads and the mapping at `path` does not give.

    With `is_live` a live system goes on from the table, so histories must also follow the same rule. Warns of
    rates, which the live service computes and a table lacks, and of a mapping without answers.
    """
    mapping = read_mapping(path)
    if found := list(_problems(recipe, mapping, is_live=is_live)):
        raise InputError(
            "\n".join([f"{path} does not give what the recipe reads:", *(f"  {p}" for p in found)])
        )
    for message in _without(recipe, mapping):
        warnings.warn(f"{path}: {message}", SettingsWarning, stacklevel=2)


def _problems(recipe: Recipe, mapping: Mapping, *, is_live: bool) -> Iterator[str]:
    for feature in recipe.features:
        if isinstance(feature, History):
            yield from _history_problems(feature, mapping, is_live=is_live)
        else:
            yield from _feature_problems(feature, mapping)
    given = [behavior.name for behavior in mapping.behaviors]
    for behavior in recipe.behaviors:
        if behavior.name not in given:
            yield f"behaviors.{behavior.name} is missing; the mapping has {', '.join(given) or 'no behavior'}"
    yield from _question_problems(recipe, mapping)


def _feature_problems(feature: Feature, mapping: Mapping) -> Iterator[str]:
    assert not isinstance(feature, History)
    kind = str(feature.__struct_config__.tag)
    wanted = f"features.{feature.name} ({kind} of the {feature.side})"
    given = next((f for f in mapping.features if f.name == feature.name), None)
    if given is None:
        if isinstance(feature, Numeric) and feature.rate:
            return
        of_side = ", ".join(f"{f.name} ({f.kind})" for f in mapping.features if f.side == feature.side)
        yield f"{wanted} is missing; of the {feature.side} the mapping has {of_side or 'no feature'}"
    elif given.side != feature.side:
        yield f"{wanted}: in the mapping it is of the {given.side}"
    elif given.kind != kind and not (isinstance(feature, Number) and given.kind in NUMBERS):
        yield f"{wanted}: in the mapping its kind is {given.kind!r}"


def _history_problems(feature: History, mapping: Mapping, *, is_live: bool) -> Iterator[str]:
    wanted = f"features.{feature.name} (history of {feature.of})"
    given = next((h for h in mapping.histories if h.name == feature.name), None)
    if given is None:
        held = [f"{h.name} (of {h.of})" for h in mapping.histories]
        yield f"{wanted} is missing; the mapping has {', '.join(held) or 'no histories'}"
    elif given.of != feature.of:
        yield f"{wanted}: in the mapping it is a history of {given.of}"
    elif (is_live or feature.where is not None) and _rule(given) != _rule(feature):
        yield f"{wanted} holds {_rule(feature)}; in the mapping it holds {_rule(given)}"


def _rule(history: History | HistoryRule) -> str:
    if history.where is None:
        return "every view"
    return f"views whose {history.where} is at least {history.at_least:g}"


def _question_problems(recipe: Recipe, mapping: Mapping) -> Iterator[str]:
    answer, question = mapping.answer, recipe.question
    if answer is None:
        return
    if answer.question != question.name:
        if answer.question not in [asked.name for asked in recipe.ask.questions]:
            yield (
                f"question.name: the recipe's is {question.name!r}; the mapping's answers are to "
                f"{answer.question!r} (answer.question)"
            )
    elif unknown := sorted(set(answer.options.values()) - set(question.options)):
        yield (
            f"question.options: the mapping's answers are also {', '.join(unknown)} (answer.options); "
            f"the recipe has {', '.join(question.options)}"
        )


def _without(recipe: Recipe, mapping: Mapping) -> Iterator[str]:
    given = {feature.name for feature in mapping.features}
    rates = [f.name for f in recipe.features if isinstance(f, Numeric) and f.rate and f.name not in given]
    if rates:
        yield f"{', '.join(rates)}: the live service computes them, and the table's views lack them"
    if mapping.answer is None and recipe.method.reads_answers:
        yield "there is no table [answer], so nothing of what viewers say is learned from the data"
