"""JSON lines as rows: which keys they have, the text of each, and the lists and objects within."""

import re
from pathlib import Path

import polars as pl

from easq.errors import InputError

_TEXT = r'"(?:[^"\\]|\\.)*"'
_OPENING = r"[\[{]"


def json_text(column: str, path: Path) -> pl.Expr:
    """Return the text of one key of JSON lines. Raises InputError for a name that no path can hold."""
    if "'" in column or "\\" in column:
        raise InputError(f"{path}: a key of JSON lines cannot hold ' or \\ here, got {column!r}")
    return pl.col("line").str.json_path_match(f"$['{column}']").alias(column)


def missing_keys(rows: pl.LazyFrame, columns: list[str]) -> list[str]:
    """Return the keys that no line of JSON names, be it with the codes of characters instead of these."""
    for pattern_of in (_plain_key, _escaped_key):
        found = rows.select(
            pl.col("line").str.contains(pattern_of(column)).any().alias(column) for column in columns
        ).collect()
        if not (columns := [column for column in found.columns if not found[column].item()]):
            return []
    return columns


def is_nested(text: pl.Expr) -> pl.Expr:
    """Return whether the text of a key is a list or an object, and not a text that begins like one."""
    begins = text.str.contains(f"^{_OPENING}")
    return pl.when(begins).then(text).str.json_path_match("$").is_not_null()


def flat_parts(text: pl.Expr) -> pl.Expr:
    """Return the parts of a list as texts; null for a list that holds lists or objects, and for an object."""
    inner = text.str.replace_all(_TEXT, "").str.strip_prefix("[")
    scalars = text.str.extract_all(rf"{_TEXT}|[^\s,\[\]]+")
    # Not decoded as a list of texts, which would write `1e+16` as the digits of one of several numbers.
    parts = scalars.list.eval(pl.element().str.json_path_match("$"))
    return pl.when(~inner.str.contains(_OPENING)).then(parts)


def _plain_key(column: str) -> str:
    return re.escape(f'"{column}"')


def _escaped_key(column: str) -> str:
    return '"' + "".join(f"(?:{re.escape(sign)}|(?i:{_escape(sign)}))" for sign in column) + '"'


def _escape(sign: str) -> str:
    """Return the pattern of a character in the escapes of JSON: one, or two beyond 16 bits."""
    units = sign.encode("utf-16-be").hex()
    return "".join(rf"\\u{units[place : place + 4]}" for place in range(0, len(units), 4))
