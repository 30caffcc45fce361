"""Score a table of candidates with a trained model."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from easq.cli.shared import Json, app, console, notes, progress, show
from easq.errors import InputError

if TYPE_CHECKING:  # loaded when the command needs it
    from easq.rank.frame_scorer import FrameScorer

Progress = Callable[[int, int], None]


@app.command
def score(
    *,
    data: Path,
    out: Path,
    run: Annotated[Path | None, Parameter(help="The folder of a finished replay.")] = None,
    home: Annotated[Path | None, Parameter(help="A system's folder; it may run meanwhile.")] = None,
    as_json: Json = False,
) -> None:
    """Score a table of candidates as the service would, without logging anything.

    The table has the columns user_id and item_id, and columns named like features of the recipe. With --home
    what it lacks is looked up as of the newest event, as the service does; with --run it is unknown.

    Parameters
    ----------
    data
        A Parquet file, one row for each candidate of each viewer.
    out
        The Parquet file to write: the same rows with a column `score`, higher for what ranks higher.
    """
    if (run is None) == (home is None):
        raise InputError("give either --run FOLDER or --home FOLDER")
    if not data.is_file():
        raise InputError(f"--data: there is no file at {data}")
    if out.exists() and out.samefile(data):
        raise InputError("--out is the file of --data; choose another")
    with progress() as watch:
        scorer = _of_home(home, watch) if home is not None else _of_run(run or Path())
        num_rows, lacking = _score(scorer, data, out, watch("score", 1))
    if lacking:
        where = "looked up in the home" if home is not None else "unknown for every row"
        notes.print(f"The table has no column for {', '.join(lacking)}: {where}.", highlight=False)
    show(
        {"rows": num_rows, "out": str(out), "not_in_table": lacking},
        as_json,
        lambda: console.print(f"{num_rows:,} rows scored, in {out}", highlight=False),
    )


def _score(scorer: "FrameScorer", data: Path, out: Path, on_rows: Progress) -> tuple[int, list[str]]:
    """Write the scored table, batch by batch; return its rows and the features that it lacks."""
    import polars as pl

    from easq.rank.frame_scorer import SCORE

    try:
        table = pl.scan_parquet(data, glob=False)
        schema = table.collect_schema()
        num_rows = int(table.select(pl.len()).collect().item())
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(f"--data: {data} cannot be read as Parquet: {error}") from None
    lacking, done, refused = scorer.check(schema.names()), 0, list[InputError]()

    def scored(rows: pl.DataFrame) -> pl.DataFrame:
        nonlocal done
        try:
            result = scorer.score(rows)
        except InputError as error:  # polars would wrap it
            refused.append(error)
            raise
        done += len(rows)
        on_rows(done, num_rows)
        return result

    part = out.with_name(f".{out.name}.part")
    try:
        output = pl.Schema({**schema, SCORE: pl.Float32()})
        table.map_batches(scored, schema=output, streamable=True).sink_parquet(part, maintain_order=True)
        part.replace(out)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise (refused or [InputError(f"--out: {out} cannot be written: {error}")])[0] from None
    finally:
        part.unlink(missing_ok=True)
    return num_rows, lacking


def _of_run(run: Path) -> "FrameScorer":
    from easq.rank.frame_scorer import FrameScorer
    from easq.rank.run_model import read_run

    model = read_run(run)
    return FrameScorer(model.recipe, model.parameters)


def _of_home(home: Path, watch: Callable[[str, int], Progress]) -> "FrameScorer":
    from easq.features.profiles import Profiles
    from easq.features.profiles.rebuild import catch_up, end_offsets
    from easq.home.home import open_home
    from easq.log.events import EVENTS
    from easq.log.sqlite import SqliteLog
    from easq.model.method import read_method
    from easq.rank.frame_scorer import FrameScorer
    from easq.rank.pinned_model import newest

    opened = open_home(home, methods=read_method)
    model = newest(opened)
    with SqliteLog(opened.folder / "events.log", read_only=True) as log:
        ends = end_offsets(log)
        profiles, on_events, done = Profiles.of(opened.recipe, log.partitions(EVENTS)), watch("read", 1), 0

        def after_chunk(number: int) -> None:
            nonlocal done
            done += number
            on_events(done, sum(ends))

        catch_up(profiles, log, ends, after_chunk)
    return FrameScorer(opened.recipe, model.parameters, profiles, profiles.newest_ms)
