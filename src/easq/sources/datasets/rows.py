"""Turn rows of text into typed views. Every row is used, or rejected with a reason."""

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import polars as pl

from easq.log.packing import LARGEST_VALUE
from easq.sources.datasets.cells import blank
from easq.sources.datasets.rejected_rows import Rejects
from easq.sources.datasets.row_files import BROKEN, ROW
from easq.sources.datasets.sources import Source

DID = "did:"
"""Prefix of the columns of behaviors' values."""

EARLIEST_MS = 315_532_800_000
"""1980-01-01. An earlier time is one in another unit: seconds read as milliseconds lie in 1970."""

_AHEAD_MS = 86_400_000
"""How far ahead of this machine's clock a time may be: a time without a zone may be a local one."""

LONGEST_PLAY_MS = 24 * 3600 * 1000
"""Of one view. What is longer is a broken clock."""

_EXAMPLES = 20
"""How many cells of each reason are looked at for examples that differ."""

Check = tuple[str, pl.Expr]

_READ = "read:"


class CellChecks(NamedTuple):
    """The tests of a feature's cell in the column of text `column`."""

    column: str
    tests: Sequence[Check]


@dataclass(frozen=True)
class Parse:
    """How rows of text become views.

    `cells` are the parsed columns that are not text. The other expressions use them as `value(column)`.
    `columns` gives user, item, ts (ms, when the view began), reported (ms, when its behavior was known),
    option and propensity (null: not answered, not asked), optionally request, one DID column per behavior,
    and whatever the features need. `bad` and `bad_answer` are (reason, test) pairs. The first test that
    holds rejects the row, or only its answer. `bad_cells` has such pairs by column: the first that holds
    leaves the column without a value, and the row is used.
    """

    cells: Mapping[str, pl.Expr]
    columns: Mapping[str, pl.Expr]
    bad: Sequence[Check]
    bad_answer: Sequence[Check] = field(default=())
    bad_cells: Mapping[str, CellChecks] = field(default_factory=dict)


def value(column: str) -> pl.Expr:
    """Return a parsed cell."""
    return pl.col(_READ + column)


def key_of(columns: Collection[str]) -> pl.Expr:
    """Return the key of each row's view. It starts with the time, because logs store growing ids best.

    Names are escaped, so that different names cannot give the same key.
    """
    key = [name for name in ("ts", "user", "item", "request") if name in columns]
    text = pl.col(key).cast(pl.String)
    escaped = text.str.replace_all("%", "%25", literal=True).str.replace_all(":", "%3A", literal=True)
    return pl.concat_str(escaped, separator=":", ignore_nulls=True)


def checks(column: str, at_least: float | None = None, needed: bool = True) -> list[Check]:
    """Return the tests of one column: missing (if it is needed), unreadable, or less than allowed.

    A column with a least value has LARGEST_VALUE as its greatest.
    """
    bad = value(column).is_null() & ~blank(column)
    if at_least is not None:
        bad |= ~value(column).is_between(at_least, LARGEST_VALUE).fill_null(True)
    missing = [(f"missing_{column}", blank(column))] if needed else []
    return [*missing, (f"bad_{column}", bad)]


def time_checks(column: str) -> list[Check]:
    """Return the tests of a column of times in ms: one before EARLIEST_MS or ahead of the clock is none.

    A row of the future would make all later rows late.
    """
    latest = round(time.time() * 1000) + _AHEAD_MS
    return [
        *checks(column),
        (f"before_1980_{column}", value(column) < EARLIEST_MS),
        (f"in_the_future_{column}", value(column) > latest),
    ]


def read_views(sources: Iterable[Source], parse: Parse, rejects: Rejects) -> pl.DataFrame:
    """Return the usable rows of all sources, one per user, item, time (and request, if given).

    Of rows that agree in those, the one with the largest behavior is used, whatever the order of rows.
    """
    sources = list(sources)
    parts = [_typed(number, source, parse) for number, source in enumerate(sources)]
    rows = pl.concat(parts)
    good = rows.filter(pl.col("_reason").is_null())
    key = [name for name in ("user", "item", "ts", "request") if name in parse.columns]
    is_repeated = good.select(pl.struct(key).is_duplicated()).to_series()
    largest = [name for name in parse.columns if name.startswith(DID)] + ["option"]
    others = [name for name in parse.columns if name not in largest]
    repeated = good.filter(is_repeated).sort(
        *largest,
        *others,
        *("_source", ROW),
        descending=[True] * len(largest) + [False] * (len(others) + 2),
        nulls_last=True,
    )
    is_first = repeated.select(pl.struct(key).is_first_distinct()).to_series()
    views = pl.concat([good.filter(~is_repeated), repeated.filter(is_first)])
    lost = pl.concat(
        [
            rows.filter(pl.col("_reason").is_not_null()).select("_source", ROW, "_reason"),
            repeated.filter(~is_first).select("_source", ROW, pl.lit("duplicate").alias("_reason")),
        ]
    )
    unanswered = views.filter(pl.col("_answer_reason").is_not_null()).select(
        "_source", ROW, pl.col("_answer_reason").alias("_reason")
    )
    unknown = views.select("_source", ROW, pl.col("_cell_reasons").alias("_reason"))
    unknown = unknown.filter(pl.col("_reason").list.len() > 0).explode("_reason")
    rejects.read += rows.height
    rejects.used += views.height
    rejects.rows.update(lost["_reason"].to_list())
    rejects.answers.update(unanswered["_reason"].to_list())
    rejects.cells.update(unknown["_reason"].to_list())
    rejects.note_examples(_examples(sources, unknown, parse))
    if rejects.path is not None:
        _write(sources, pl.concat([lost, unanswered, unknown]), rejects)
    return views.select(*parse.columns)


def _typed(number: int, source: Source, parse: Parse) -> pl.DataFrame:
    reason, answer_reason = _first([("cut_short", pl.col(BROKEN)), *parse.bad]), _first(parse.bad_answer)
    answer = {
        name: pl.when(answer_reason.is_null()).then(parse.columns[name]) for name in ("option", "propensity")
    }
    cell_reasons = {name: _first(cell.tests) for name, cell in parse.bad_cells.items()}
    known = {
        name: pl.when(cell_reason.is_null()).then(parse.columns[name])
        for name, cell_reason in cell_reasons.items()
    }
    # Several features may share a column, which counts once.
    told = pl.concat_list(pl.lit(None, pl.String), *cell_reasons.values()).list.drop_nulls()
    columns = {
        **parse.columns,
        **answer,
        **known,
        "_reason": reason,
        "_answer_reason": answer_reason,
        "_cell_reasons": told.list.unique(maintain_order=True),
    }
    cells = {_READ + name: cell for name, cell in parse.cells.items()}
    rows = source.select(cells, columns)
    return rows.with_columns(pl.lit(number, pl.Int32).alias("_source"))


def _first(tests: Sequence[Check]) -> pl.Expr:
    reasons = [pl.when(test.fill_null(False)).then(pl.lit(reason)) for reason, test in tests]
    return pl.coalesce(*reasons, pl.lit(None, pl.String))


def _examples(sources: Sequence[Source], unknown: pl.DataFrame, parse: Parse) -> Iterator[tuple[str, str]]:
    """Yield the reason and the text of a few cells that cannot be used, the first ones of each reason."""
    column_of = {reason: column for column, tests in parse.bad_cells.values() for reason, _ in tests}
    some = unknown.sort("_reason", "_source", ROW).group_by("_reason", maintain_order=True).head(_EXAMPLES)
    for number, source in enumerate(sources):
        wanted = some.filter(pl.col("_source") == number).select(ROW, "_reason")
        for row in source.raw(wanted).iter_rows(named=True) if wanted.height else ():
            yield row["_reason"], str(row[column_of[row["_reason"]]])


def _write(sources: Sequence[Source], reasons: pl.DataFrame, rejects: Rejects) -> None:
    for number, source in enumerate(sources):
        wanted = reasons.filter(pl.col("_source") == number).select(ROW, "_reason").sort(ROW, "_reason")
        if wanted.height:
            lines = source.raw(wanted).iter_rows(named=True)
            rejects.write(source.name, ((line.pop(ROW), line.pop("_reason"), line) for line in lines))
