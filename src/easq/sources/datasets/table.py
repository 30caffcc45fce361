"""Load any table of views: CSV, Parquet or JSON lines. A mapping declares its columns.

One row is one view of one item by one viewer. Times without a zone are UTC. A behavior counts as known at
the view's time. An empty cell means missing (features), not done (behaviors) or no answer. A feature's cell
that cannot be used counts as empty. A cell of who, what, when or a behavior rejects its row, one of the
answer the answer.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from os.path import commonpath
from pathlib import Path

import polars as pl

from easq.errors import InputError
from easq.features.columns import LONGEST
from easq.log.base import EventLog
from easq.log.events import Event
from easq.log.ids import plain_name
from easq.log.packing import LARGEST_FLOAT, LARGEST_VALUE
from easq.recipe.questionnaire import Quality
from easq.sources.datasets.base import EventSource
from easq.sources.datasets.cells import blank, id_lists, ids, inexact, is_vector, name, number, whole
from easq.sources.datasets.held import Held, New, held_by, new_of
from easq.sources.datasets.mapping import (
    NUMBERS,
    AnswerColumn,
    FeatureColumn,
    Mapping,
    TimeUnit,
    read_mapping,
)
from easq.sources.datasets.order_doubt import OrderDoubt, ends_of, order_doubts
from easq.sources.datasets.rejected_rows import Rejects
from easq.sources.datasets.request_cutter import into_requests
from easq.sources.datasets.row_files import ENDINGS, LIST, NESTED, ROUNDED, VECTOR, kind_of
from easq.sources.datasets.rows import (
    DID,
    CellChecks,
    Check,
    Parse,
    checks,
    read_views,
    time_checks,
    value,
)
from easq.sources.datasets.sources import files_at, listing, open_file
from easq.sources.datasets.stream import events_of
from easq.sources.datasets.views import HistoryOf, Views
from easq.sources.datasets.weighed import weighed

RAW = "raw:"
_PREPARED = {"multi": LIST, "vector": VECTOR}


def load_table(
    path: Path, mapping: Path, rejects: Path | None = None, log: EventLog | None = None
) -> EventSource:
    """Return the events of a file, of the files that match a glob, or of a folder's files.

    Rows that cannot be used go to the file `rejects`. With the `log` that they are for, views that it holds
    keep their requests. Raises InputError for a wrong mapping, a missing
    column, a path without a table, or rows that all lie before what the log holds.
    """
    declared = read_mapping(mapping)
    rejected = Rejects(rejects)
    files, passed_over = _files(path)
    root = Path(commonpath([file.parent for file in files]))
    lists, vectors = (
        {f.column: f.separator or "," for f in declared.features if f.kind == kind}
        for kind in ("multi", "vector")
    )
    rejected.passed_over = [str(file.relative_to(path)) for file in passed_over]
    sources = [
        open_file(file, root, declared.needed(), lists, declared.null_values, declared.separator, vectors)
        for file in files
    ]
    is_bounded = declared.columns.request is not None
    question = declared.answer.question if declared.answer else "satisfaction"
    rows = into_requests(read_views(sources, _parse(declared), rejected), is_bounded=is_bounded)
    held = held_by(log, declared.name) if log is not None else Held()
    new = new_of(rows, held, question, is_bounded)
    views = Views(
        name=declared.name,
        rows=new.rows,
        features=partial(_features, declared=declared.features),
        viewer=[feature.name for feature in declared.features if feature.side == "viewer"],
        candidate=[feature.name for feature in declared.features if feature.side == "candidate"],
        behaviors=[behavior.name for behavior in declared.behaviors],
        histories=[
            HistoryOf(name=h.name, of=h.of, length=h.length, where=h.where, at_least=h.at_least)
            for h in declared.histories
        ],
        question=question,
    )
    rules = declared.quality if declared.answer and declared.answer.weigh else None
    return EventSource(partial(_events, views, new, rules), rejected, new, _doubts(rows, declared))


def _doubts(rows: pl.DataFrame, declared: Mapping) -> list[OrderDoubt]:
    """Return the behaviors that contradict the order of the options, where that is known."""
    answer = declared.answer
    ends = ends_of(answer.question, answer.options.values()) if answer else None
    return [] if ends is None else order_doubts(rows, [b.name for b in declared.behaviors], *ends)


def _events(views: Views, new: New, rules: Quality | None) -> Iterator[list[Event]]:
    chunks = _as_told(views, new)
    return chunks if rules is None else weighed(chunks, rules)


def _as_told(views: Views, new: New) -> Iterator[list[Event]]:
    if new.late_answers:
        yield new.late_answers
    yield from events_of(views)


def _files(path: Path) -> tuple[list[Path], list[Path]]:
    """Return the files to read, and those of a folder that are of no known kind."""
    files, others = files_at(path), []
    if path.is_dir():
        others = [file for file in files if not kind_of(file)]
        files = [file for file in files if kind_of(file)]
    if not files:
        contents = f"; it holds {listing(path)}" if path.is_dir() else ", and no file matches"
        raise InputError(
            f"{path}: expected a file of CSV, Parquet or JSON lines, a glob, or a folder with them{contents}"
        )
    if unknown := [file for file in files if not kind_of(file)]:
        raise InputError(f"{path}: file names must end in {ENDINGS}, got {unknown[0].name}")
    kinds = sorted({kind_of(file) or "" for file in files})
    if len(kinds) > 1:
        raise InputError(
            f"{path} holds both {' and '.join(kinds)}; name one kind with a glob, as {path / '*.csv'}"
        )
    return files, others


def _parse(declared: Mapping) -> Parse:
    columns = declared.columns
    option, propensity, bad_answer = _answer(declared.answer)
    request = {"request": columns.request} if columns.request else {}
    done = [behavior.column for behavior in declared.behaviors]
    numeric = [feature.column for feature in declared.features if feature.kind in NUMBERS]
    asked = [declared.answer.propensity] if declared.answer and declared.answer.propensity else []
    return Parse(
        cells={
            **{column: number(column) for column in (*done, *numeric, *asked)},
            columns.time: _time(columns.time, columns.time_unit),
        },
        columns={
            "user": name(columns.user),
            "item": name(columns.item),
            "ts": value(columns.time),
            "reported": value(columns.time),
            **{key: name(column) for key, column in request.items()},
            "option": option,
            "propensity": propensity,
            **{
                DID + behavior.name: value(behavior.column).cast(pl.Float32)
                for behavior in declared.behaviors
            },
            **{RAW + f.name: pl.col(_PREPARED.get(f.kind, "") + f.column) for f in declared.features},
        },
        bad=[
            *(
                (f"missing_{column}", blank(column))
                for column in (columns.user, columns.item, *request.values())
            ),
            *(
                (f"bad_{column}", pl.col(NESTED + column))
                for column in (columns.user, columns.item, *request.values())
            ),
            *(
                (f"inexact_{column}", inexact(pl.col(column)))
                for column in (columns.user, columns.item, *request.values())
            ),
            (f"inexact_{columns.time}", pl.col(columns.time).str.ends_with(ROUNDED)),
            *time_checks(columns.time),
            *(check for column in done for check in checks(column, needed=False)),
            *((f"out_of_range_{column}", value(column).abs() > LARGEST_VALUE) for column in done),
        ],
        bad_answer=bad_answer,
        bad_cells={RAW + f.name: CellChecks(f.column, _cell_checks(f)) for f in declared.features},
    )


def _cell_checks(feature: FeatureColumn) -> list[Check]:
    """Return the tests of a feature's cell. One that fails says nothing of the rest of its row."""
    column = feature.column
    if feature.dim is not None:
        numbers = pl.col(VECTOR + column)
        return [(f"bad_{column}", numbers.is_not_null() & ~is_vector(numbers, feature.dim))]
    if feature.kind in NUMBERS:
        too_large = value(column).abs() > LARGEST_FLOAT
        return [*checks(column, needed=False), (f"out_of_range_{column}", too_large)]
    if feature.kind == "multi":
        parts = pl.col(LIST + column)
        return [
            (f"bad_{column}", parts.is_null() & pl.col(column).is_not_null()),
            (f"inexact_{column}", parts.list.eval(inexact(pl.element())).list.any()),
            (f"too_long_{column}", parts.list.len() > LONGEST),
        ]
    return [(f"bad_{column}", pl.col(NESTED + column)), (f"inexact_{column}", inexact(pl.col(column)))]


def _time(column: str, unit: TimeUnit) -> pl.Expr:
    if unit == "iso":
        return pl.col(column).map_elements(_iso_ms, return_dtype=pl.Int64)
    if unit == "s":
        return (number(column) * 1000).round().cast(pl.Int64, strict=False)
    return whole(column) // (1000 if unit == "us" else 1)


def _iso_ms(text: str) -> int | None:
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


def _answer(answer: AnswerColumn | None) -> tuple[pl.Expr, pl.Expr, list[Check]]:
    """Return the option, the propensity of the ask, and the tests that reject an answer."""
    if answer is None:
        return pl.lit(None, pl.String), pl.lit(None, pl.Float64), []
    answer_text = name(answer.column)
    options = {plain_name(key.strip()): option for key, option in answer.options.items()}
    ignored = [plain_name(key.strip()) for key in answer.ignored]
    option = answer_text.replace_strict(options, default=None, return_dtype=pl.String)
    unknown = option.is_null() & ~answer_text.is_in(ignored) & ~blank(answer.column)
    tests = [(f"unknown_{answer.column}", unknown)]
    if answer.propensity is None:
        return option, pl.lit(None, pl.Float64), tests
    propensity = value(answer.propensity)
    tests += checks(answer.propensity, needed=False)
    tests += [(f"bad_{answer.propensity}", (propensity <= 0) | (propensity > 1))]
    tests += [(f"missing_{answer.propensity}", option.is_not_null() & blank(answer.propensity))]
    return option, propensity, tests


def _features(rows: pl.DataFrame, declared: tuple[FeatureColumn, ...]) -> pl.DataFrame:
    return pl.DataFrame([_feature(rows[RAW + feature.name], feature) for feature in declared])


def _feature(cells: pl.Series, feature: FeatureColumn) -> pl.Series:
    match feature.kind:
        case "categorical":
            values = ids(cells)
        case "multi":
            values = id_lists(cells, feature.separator or ",")
        case "vector":
            assert feature.dim is not None
            values = cells.cast(pl.Array(pl.Float32, feature.dim))
        case "numeric" | "score":
            cell = number(cells.name).cast(pl.Float32).fill_null(float("nan"))
            values = cells.to_frame().select(cell).to_series()
    return values.alias(feature.name)
