"""Turn cells of text, as data sets write them, into numbers and ids."""

import numpy as np
import polars as pl

from easq.arrays import F32, Bool
from easq.errors import InputError
from easq.features.columns import UNKNOWN
from easq.features.vector_values import are_vectors
from easq.log.ids import stable_ids

_LARGEST_EXACT = 2.0**53
_EXPONENT = r"^[+-]?\d+(\.\d+[eE]\+?|[eE]\+)\d+$"
_TRUTH = {"true": "1", "false": "0"}


def blank(column: str) -> pl.Expr:
    """Return whether a cell of text is empty."""
    return pl.col(column).str.strip_chars().fill_null("") == ""


def name(column: str) -> pl.Expr:
    """Return a name of a viewer, an item or a request: `1003.0`, as a column of floats has it, is `1003`."""
    return pl.col(column).str.strip_chars().str.replace(r"^(0|-?[1-9]\d{0,18})\.0+$", "$1")


def inexact(text: pl.Expr) -> pl.Expr:
    """Return whether a text is a whole number as floats are written that are large, so may stand for several.

    Besides `1.0` from 2^53 on that is any exponent: of Python `1e+16`, of Java `1.2345678E7`. Without a sign
    and a point it is none, because `12e45678` may be a name of hexadecimal digits.
    """
    text = text.str.strip_chars()
    is_large = text.cast(pl.Float64, strict=False).abs() >= _LARGEST_EXACT
    return text.str.contains(_EXPONENT) | (text.str.contains(r"^-?\d+\.0+$") & is_large)


def number(column: str) -> pl.Expr:
    """Return a cell as float64, null if it is empty, not finite or not a number. true is 1, false is 0."""
    value = pl.col(column).str.strip_chars().str.to_lowercase().replace(_TRUTH).cast(pl.Float64, strict=False)
    return pl.when(value.is_finite()).then(value)


def whole(column: str) -> pl.Expr:
    """Return a cell as int64, also if it is written as a float (`712.0`). Null if it is neither."""
    text = pl.col(column).str.strip_chars()
    value = text.cast(pl.Float64, strict=False)
    is_exact = (value == value.floor()) & (value.abs() < _LARGEST_EXACT)
    return pl.coalesce(
        text.cast(pl.Int64, strict=False), pl.when(is_exact).then(value).cast(pl.Int64, strict=False)
    )


def ids(values: pl.Series) -> pl.Series:
    """Return an int64 id per value: a whole number is its own id, other text gets its stable id.

    `4` and `4.0` are the same value, as in `ids.category_id`. Null and the empty text are UNKNOWN.
    """
    text = values.cast(pl.String).str.strip_chars()
    plain = text.str.replace(r"^(0|-?[1-9]\d{0,18})\.0+$", "$1")
    digits = plain.cast(pl.Int64, strict=False)
    frame = pl.DataFrame({"text": text, "whole": digits, "plain": plain}).with_columns(
        pl.when(pl.col("whole").cast(pl.String) == pl.col("plain")).then("whole").alias("whole")
    )
    words = frame.filter(pl.col("whole").is_null() & (pl.col("text") != ""))["text"].unique()
    named = dict(zip(words, stable_ids(words), strict=True))
    word = pl.col("text").replace_strict(named, default=None, return_dtype=pl.Int64)
    return frame.select(pl.coalesce("whole", word).fill_null(UNKNOWN)).to_series().alias(values.name)


def id_lists(values: pl.Series, separator: str) -> pl.Series:
    """Return the ids of the parts of each text, or of each list of texts; an empty list for an empty one."""
    if values.dtype == pl.List:
        parts = values.fill_null(pl.lit([], pl.List(pl.String)))
    else:
        parts = values.cast(pl.String).fill_null("").str.split(separator)
    words = parts.explode().unique()
    parts = parts.list.eval(pl.element().filter(pl.element().str.strip_chars() != ""))
    named = pl.element().replace_strict(words, ids(words), return_dtype=pl.Int64)
    return parts.list.eval(named).cast(pl.List(pl.Int64)).alias(values.name)


def vectors(values: pl.Series, dim: int) -> tuple[F32, Bool]:
    """Return lists of numbers as rows of float32, and which of them are wrong: of another length, not finite.

    A null, and a list of NaN alone, is a row of NaN. Raises InputError for a column of another type.
    """
    values = values.arr.to_list() if isinstance(values.dtype, pl.Array) else values
    if not (isinstance(values.dtype, pl.List) and values.dtype.inner.is_numeric()):
        raise InputError(f"column {values.name}: got {values.dtype}; allowed: lists of {dim} numbers")
    length_N = values.list.len().fill_null(0).to_numpy()
    vector_ND = np.full((len(values), dim), np.nan, np.float32)
    numbers = values.filter(pl.Series(length_N == dim)).explode().cast(pl.Float32)
    vector_ND[length_N == dim] = numbers.fill_null(np.nan).to_numpy().reshape(-1, dim)
    is_given_N = values.is_not_null().to_numpy()
    is_wrong_N: Bool = (is_given_N & (length_N != dim)) | ~are_vectors(vector_ND)
    return vector_ND, is_wrong_N


def numbers(values: pl.Expr, dtype: pl.DataType, separator: str) -> pl.Expr:
    """Return the numbers of vectors: lists of them, or texts with `separator` between, also in brackets."""
    if dtype != pl.String:
        return values.cast(pl.List(pl.Float32))
    text = values.str.strip_chars().str.strip_prefix("[").str.strip_suffix("]").str.strip_chars()
    number = pl.element().str.strip_chars().cast(pl.Float64, strict=False).cast(pl.Float32)
    return pl.when(text != "").then(text.str.split(separator).list.eval(number))


def is_vector(values: pl.Expr, dim: int) -> pl.Expr:
    """Return whether lists of numbers are of a length, and finite throughout."""
    is_finite = values.list.eval(pl.element().is_finite().fill_null(False)).list.all()
    return (values.list.len() == dim) & is_finite
