"""The recipes that come with the package, found by name where no file of yours has that path.

A name is the path below `easq/recipes` without `.toml`, such as `recommended` or `arms/behavior`.
"""

from pathlib import Path

PACKAGED = Path(__file__).parents[1] / "recipes"
"""The folder of the package that holds them; they are files, since a recipe may extend a file beside it."""

_MAPPING = "_mapping"


def located(path: Path, beside: Path = Path(), name: str = "") -> Path:
    """Return the file that `path` means: the one below `beside`, or else the packaged one of that name.

    `name` is the packaged name if it is not `path` itself. A path that is neither is returned as if it were a
    file, so that reading it says what is missing.
    """
    own = beside / path
    try:
        is_file = own.is_file()
    except (OSError, ValueError):  # too long, or with a null character
        return own
    return own if is_file else _packaged_file(name or path.as_posix()) or own


def packaged_names() -> list[str]:
    """Return the names of whole recipes: neither overlays, nor mappings, nor the bench's files."""
    return [name for name in all_packaged_names() if "/" not in name and not name.endswith(_MAPPING)]


def all_packaged_names() -> list[str]:
    """Return all packaged names: recipes, mappings, overlays of arms, the bench's plan and methods."""
    files = sorted(PACKAGED.rglob("*.toml"))
    return [path.relative_to(PACKAGED).with_suffix("").as_posix() for path in files]


def mapping_of(name: str) -> str | None:
    """Return the name of the mapping of a packaged recipe that reads a table, None for another one."""
    return name + _MAPPING if _packaged_file(name + _MAPPING) else None


def packaged_text(name: str) -> str:
    """Return a packaged file as it stands, with its comments."""
    return (PACKAGED / f"{name}.toml").read_text()


def summary_of(name: str) -> str:
    """Return the first sentence of a packaged file's first comment, empty if it begins without one.

    >>> summary_of("world")
    'A run on the simulated world of `easq world make`: 12 features, 10 candidates a request, 8 behaviors'
    """
    comment = []
    for line in packaged_text(name).splitlines():
        if not line.startswith("#"):
            break
        comment.append(line.removeprefix("#").strip())
    return " ".join(comment).partition(". ")[0].removesuffix(".")


def what_is_packaged() -> str:
    """Return the words with which an error about a path says which names there are."""
    return f"allowed: a file, or the name of a packaged recipe: {', '.join(packaged_names())}"


def _packaged_file(name: str) -> Path | None:
    # Only a name as it is listed, so that no path leads out of the folder.
    return PACKAGED / f"{name}.toml" if name in all_packaged_names() else None
