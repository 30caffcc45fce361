"""What a value of a recipe may be."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

Count = Annotated[int, Meta(ge=1, le=1 << 24)]
Rows = Annotated[int, Meta(ge=1, le=1 << 28)]
Width = Annotated[int, Meta(ge=1, le=4096)]
Rate = Annotated[float, Meta(gt=0, le=1e9)]
Ridge = Annotated[float, Meta(ge=1e-6, le=1e9)]
Share = Annotated[float, Meta(ge=0, le=1)]
Weight = Annotated[float, Meta(ge=0, le=1e9)]
Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*$")]
Text = Annotated[str, Meta(min_length=1, max_length=300)]
Locale = Annotated[str, Meta(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
Option = Annotated[str, Meta(min_length=1, max_length=128)]
Cap = Annotated[int, Meta(ge=1, le=100)]
Side = Literal["viewer", "candidate"]

TomlTable = dict[str, Any]
"""A table as its file has it, not checked yet."""


class Strict(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of a recipe: an unknown key is refused."""
