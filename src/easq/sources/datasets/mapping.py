"""The file that declares the columns of a table. `easq recipe table --mapping` prints an example."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import FieldInfo

from easq.errors import InputError
from easq.recipe.questionnaire import Quality
from easq.recipe.values import Count, Name, Side

Kind = Literal["categorical", "multi", "numeric", "score", "vector"]
NUMBERS = ("numeric", "score")
"""Kinds of one number."""
TimeUnit = Literal["s", "ms", "us", "iso"]


class _Strict(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


NULL_VALUES = ("NULL", "Null", "null", "\\N", "NaN", "nan", "NaT", "None", "<NA>", "undefined")
"""Texts that stand for nothing in what Hive, MySQL, pandas and JavaScript write."""


class ViewColumns(_Strict, frozen=True):
    """Who saw what, and when.

    user        column of the viewer.
    item        column of the item.
    time        column of the time of the view.
    time_unit   seconds, milliseconds or microseconds since 1970, or ISO 8601, which is UTC without a zone.
    request     column of the ranking that a view came from; none: views are grouped into requests by time.
    """

    user: str
    item: str
    time: str
    time_unit: TimeUnit = "ms"
    request: str | None = None


class FeatureColumn(_Strict, frozen=True):
    """A column that was known before the view.

    name        of the feature in the recipe.
    column      of the table.
    side        whose it is.
    kind        of the feature in the recipe.
    separator   what stands between the values of a multi, and between the numbers of a vector, in a text: a
                comma if not given.
    dim         how many numbers a vector has [numbers].
    """

    name: Name
    column: str
    side: Side
    kind: Kind
    separator: str | None = None
    dim: Annotated[int, Meta(ge=1, le=1024)] | None = None


class BehaviorColumn(_Strict, frozen=True):
    """A column of numbers (or true and false): the value of a behavior on a view.

    name     of the behavior in the recipe.
    column   of the table.
    """

    name: Name
    column: str


class HistoryRule(_Strict, frozen=True):
    """A viewer's last ids of a candidate feature, from earlier views.

    name       of the history in the recipe.
    of         the categorical candidate feature whose ids it holds.
    length     how many ids are kept [ids].
    where      only views with this behavior; none: all views.
    at_least   of the behavior `where`.
    """

    name: Name
    of: Name
    length: Count
    where: Name | None = None
    at_least: float = 1.0


class AnswerColumn(_Strict, frozen=True):
    """Viewers' answers.

    column       of the table; an empty cell is no answer.
    options      the option that each value of the column stands for.
    ignored      values that are no answers.
    propensity   column of the probability of the ask; an empty cell means not asked.
    question     of the recipe.
    weigh        answers count as the live service would have counted them; false: each counts in full.
    """

    column: str
    options: dict[str, str]
    ignored: tuple[str, ...] = ()
    propensity: str | None = None
    question: Name = "satisfaction"
    weigh: bool = True


class Mapping(_Strict, frozen=True):
    """A table's columns.

    name          the start of every event id.
    columns       who saw what, and when.
    features      columns that were known before the view.
    behaviors     columns of what viewers did.
    histories     what a viewer saw before, made from the table.
    answer        column of what viewers said.
    quality       which answers are trusted less; the keys are those of a recipe's `[quality]`.
    null_values   texts that make a cell an empty one.
    separator     between the fields of a CSV file; none: a comma (a tab in .tsv files).
    """

    name: Name
    columns: ViewColumns
    features: tuple[FeatureColumn, ...]
    behaviors: tuple[BehaviorColumn, ...]
    histories: tuple[HistoryRule, ...] = ()
    answer: AnswerColumn | None = None
    quality: Quality = Quality()
    null_values: tuple[str, ...] = NULL_VALUES
    separator: str | None = None

    def needed(self) -> list[str]:
        """Return every column that the mapping names, once."""
        answer = self.answer
        answers = [answer.column, answer.propensity] if answer else []
        named = [*self.columns_of_views(), *answers]
        named += [feature.column for feature in self.features]
        named += [behavior.column for behavior in self.behaviors]
        return [name for name in dict.fromkeys(named) if name is not None]

    def columns_of_views(self) -> list[str]:
        """Return the columns of viewer, item, time and request."""
        columns = self.columns
        named = columns.user, columns.item, columns.time, columns.request
        return [name for name in named if name is not None]


def read_mapping(path: Path) -> Mapping:
    """Return the mapping in a TOML file. Raises InputError naming key, value and what is allowed."""
    try:
        value = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{path} does not exist; expected a TOML file that names the table's columns, such as "
            "`easq recipe table --mapping` prints"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not TOML: {error}") from error
    if problem := next(_problems(value, Mapping, ""), None):
        raise InputError(f"{path}: {problem}")
    mapping = msgspec.convert(value, Mapping)
    if problem := next(_contradictions(mapping), None):
        raise InputError(f"{path}: {problem}")
    return mapping


def _problems(value: Any, kind: Any, key: str) -> Iterator[str]:
    """Yield what is wrong with a value, innermost first, so that the message names the exact key."""
    if isinstance(kind, type) and issubclass(kind, Struct) and isinstance(value, dict):
        fields = {field.name: field for field in msgspec.structs.fields(kind)}
        prefix = f"{key}." if key else ""
        for name in value:
            if name not in fields:
                yield f"unknown key {prefix}{name} = {value[name]!r}; allowed: {', '.join(fields)}"
        for name, field in fields.items():
            if name in value:
                yield from _problems(value[name], field.type, prefix + name)
            elif field.required:
                yield f"{prefix}{name} is missing; {key or 'a mapping'} needs {_required(fields)}"
    elif get_origin(kind) is tuple and isinstance(value, list):
        for place, part in enumerate(value):
            yield from _problems(part, get_args(kind)[0], f"{key}[{place}]")
    else:
        inner = [part for part in get_args(kind) if isinstance(part, type) and issubclass(part, Struct)]
        if inner and isinstance(value, dict):
            yield from _problems(value, inner[0], key)
            return
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            options = f"; allowed: {', '.join(get_args(kind))}" if get_origin(kind) is Literal else ""
            yield f"{key} = {value!r}: {error}{options}"


def _required(fields: dict[str, FieldInfo]) -> str:
    return ", ".join(name for name, field in fields.items() if field.required)


def _contradictions(mapping: Mapping) -> Iterator[str]:
    behaviors = [behavior.name for behavior in mapping.behaviors]
    ids = [f.name for f in mapping.features if f.side == "candidate" and f.kind == "categorical"]
    names = [feature.name for feature in mapping.features] + [h.name for h in mapping.histories]
    for kind, declared in (("features and histories", names), ("behaviors", behaviors)):
        if repeated := sorted({name for name in declared if declared.count(name) > 1}):
            yield f"{kind} need distinct names; repeated: {', '.join(repeated)}"
    yield from _feature_contradictions(mapping)
    yield from _text_contradictions(mapping)
    numeric = [f.column for f in mapping.features if f.kind in NUMBERS]
    if mapping.columns.time in (*numeric, *(behavior.column for behavior in mapping.behaviors)):
        yield f"columns.time = {mapping.columns.time!r} is a numeric feature or a behavior too"
    if not any(feature.side == "candidate" for feature in mapping.features):
        yield "features hold none with side = 'candidate'; a ranking needs at least one"
    for place, history in enumerate(mapping.histories):
        if history.of not in ids:
            allowed = ", ".join(ids) or "none, because there is no categorical candidate feature"
            yield f"histories[{place}].of = {history.of!r}; allowed: {allowed}"
        if history.where is not None and history.where not in behaviors:
            yield f"histories[{place}].where = {history.where!r}; allowed: {', '.join(behaviors) or 'none'}"
    if mapping.answer is not None and not mapping.answer.options:
        yield 'answer.options is empty; say which value is which option, as "5" = "satisfied"'


def _text_contradictions(mapping: Mapping) -> Iterator[str]:
    if mapping.separator is not None and (
        len(mapping.separator.encode()) != 1 or mapping.separator in '"\r\n'
    ):
        yield f"separator = {mapping.separator!r}; give one ASCII character that is no quote, as ';'"
    answers = (*mapping.answer.options, *mapping.answer.ignored) if mapping.answer else ()
    if both := [text for text in answers if text.strip() in mapping.null_values]:
        yield (
            f"answer names {both[0]!r}, which null_values takes for an empty cell; "
            "give null_values without it"
        )
    separators: dict[str, str] = {}
    for place, feature in enumerate(mapping.features):
        if feature.kind in ("multi", "vector"):
            between = feature.separator or ","
            if separators.setdefault(feature.column, between) != between:
                yield (
                    f"features[{place}].separator = {between!r}, but {separators[feature.column]!r} cuts the "
                    f"column {feature.column!r} in another feature; a column has one separator"
                )


def _feature_contradictions(mapping: Mapping) -> Iterator[str]:
    outcomes = {behavior.column: "behavior" for behavior in mapping.behaviors}
    if mapping.answer is not None:
        outcomes[mapping.answer.column] = "answer"
    for place, feature in enumerate(mapping.features):
        if feature.column in outcomes:
            outcome = outcomes[feature.column]
            yield (
                f"features[{place}].column = {feature.column!r} is the column of a view's {outcome} too; "
                "a feature is known before the view"
            )
        if feature.kind == "score" and feature.side != "candidate":
            yield f"features[{place}].side = {feature.side!r}; a score is of a candidate"
        if feature.separator == "":
            yield f"features[{place}].separator = ''; give at least one character"
        if feature.separator is not None and feature.kind not in ("multi", "vector"):
            yield (
                f"features[{place}].separator has no effect with kind = {feature.kind!r}; it is for 'multi' "
                "and 'vector'"
            )
        if (feature.dim is None) == (feature.kind == "vector"):
            given = "none" if feature.dim is None else feature.dim
            allowed = "1 to 1024" if feature.kind == "vector" else "none, except with kind = 'vector'"
            yield f"features[{place}].dim: got {given}; allowed: {allowed}"
    named = {*outcomes, *mapping.columns_of_views()}
    named |= {feature.column for feature in mapping.features if feature.kind != "vector"}
    for place, feature in enumerate(mapping.features):
        if feature.kind == "vector" and feature.column in named:
            yield (
                f"features[{place}].column = {feature.column!r} is named in another place too; a column of "
                "vectors is nothing else"
            )
