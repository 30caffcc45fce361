"""Write a trained model as files that other programs score with."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from easq.cli.shared import Json, app, console, show
from easq.errors import InputError

if TYPE_CHECKING:  # loaded when the command needs it
    from easq.rank.export import ExportedModel


@app.command
def export(
    *,
    out: Path,
    run: Annotated[Path | None, Parameter(help="The folder of a finished replay.")] = None,
    home: Annotated[Path | None, Parameter(help="A system's folder; it may run meanwhile.")] = None,
    onnx: Annotated[bool, Parameter(negative="--no-onnx")] = True,
    as_json: Json = False,
) -> None:
    """Write a model as files that other programs score with: ONNX, torch.export and safetensors.

    Beside them stands encoder.json: how the features of a request become the scorer's inputs. Each program
    is compared with the live scorer before the folder is there. docs/export.md describes the files.

    Parameters
    ----------
    out
        The folder to write. An earlier export there is replaced; anything else is refused.
    onnx
        Write scorer.onnx, which needs pip install 'easq[export]'. The other files need nothing more.
    """
    if (run is None) == (home is None):
        raise InputError("give either --run FOLDER or --home FOLDER")
    from easq.rank.export import check_folder
    from easq.rank.export import export as write
    from easq.rank.scorer_programs import require_onnx

    check_folder(out)
    if onnx:
        require_onnx()
    started = time.monotonic()
    model = _of_home(home) if home is not None else _of_run(run or Path())
    result = write(model, out, with_onnx=onnx)
    seconds = time.monotonic() - started
    summary = {
        "out": str(out),
        "version": model.version,
        "bytes": result.sizes,
        "largest_difference": result.differences,
        "seconds": round(seconds, 1),
    }

    def as_text() -> None:
        for name, size in result.sizes.items():
            away = result.differences.get(name)
            checked = "" if away is None else f", within {away:.1g} of the live scores"
            console.print(f"{name}: {size:,} bytes{checked}", highlight=False)
        console.print(f"version {model.version}, in {out}", highlight=False)

    show(summary, as_json, as_text)


def _of_run(run: Path) -> "ExportedModel":
    from easq.rank.export import ExportedModel
    from easq.rank.run_model import read_run

    model = read_run(run)
    return ExportedModel(model.recipe, model.parameters, f"run-{model.digest}", model.newest_ms)


def _of_home(home: Path) -> "ExportedModel":
    from easq.home.home import open_home
    from easq.log.events import EVENTS
    from easq.log.sqlite import SqliteLog
    from easq.model.method import read_method
    from easq.rank.export import ExportedModel
    from easq.rank.pinned_model import newest

    opened = open_home(home, methods=read_method)
    model, newest_ms = newest(opened), 0
    with SqliteLog(opened.folder / "events.log", read_only=True) as log:
        for partition, until in enumerate(model.until):
            for event in log.read(EVENTS, partition, until - 1, 1) if until else ():
                newest_ms = max(newest_ms, event.ts)
    return ExportedModel(opened.recipe, model.parameters, model.name, newest_ms)
