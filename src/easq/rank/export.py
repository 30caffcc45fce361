"""Write a model as files that other programs score with: docs/export.md describes the format."""

import json
import secrets
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.numpy import save_file

from easq.arrays import F32
from easq.errors import InputError
from easq.features.encode import Rows
from easq.features.encoder_rules import encoder_rules
from easq.home.files import force_to_disk
from easq.home.snapshots import flatten
from easq.rank.exported_scorer import INPUTS, ExportedScorer
from easq.rank.parameters import Parameters
from easq.rank.scorer_programs import (
    OPSET,
    check_onnx,
    check_program,
    onnx_model,
    require_onnx,
    torch_program,
)
from easq.recipe.recipe import Recipe

FORMAT = "easq-export"
FORMAT_VERSION = 1
"""Grows when a reader of before would get other scores or none."""

WEIGHTS, ENCODER, PROGRAM, ONNX = "model.safetensors", "encoder.json", "scorer.pt2", "scorer.onnx"
ONNX_DATA = "scorer.onnx.data"
MOST_INSIDE = 1 << 30
"""Bytes of weights that scorer.onnx may hold itself; ONNX allows less than 2 GiB."""


class ExportedModel(NamedTuple):
    """Parameters, their recipe and version, and how far the events had come (ms; 0: unknown)."""

    recipe: Recipe
    parameters: Parameters
    version: str
    newest_ms: int


class ExportResult(NamedTuple):
    """Bytes of each file, and the largest difference of each program's outputs from the live ones."""

    sizes: dict[str, int]
    differences: dict[str, float]


def check_folder(out: Path) -> None:
    """Raise InputError unless `out` is new, empty or an earlier export alone, which may be replaced."""
    if out.exists() and not out.is_dir():
        raise InputError(f"--out: {out} is a file; --out names a folder")
    names = {path.name for path in out.iterdir()} if out.exists() else set()
    if names and ENCODER not in names:
        raise InputError(f"--out: {out} holds something else than an export; choose another folder")
    if others := sorted(names - {WEIGHTS, ENCODER, PROGRAM, ONNX, ONNX_DATA}):
        raise InputError(
            f"--out: {out} holds {others[0]} beside an export; choose another folder, or move it"
        )


def export(
    model: ExportedModel, out: Path, *, with_onnx: bool = True, most_inside: int = MOST_INSIDE
) -> ExportResult:
    """Write the files of a model, all of them or none; an earlier export in `out` is replaced.

    Raises InputError for a folder that holds something else, for libraries that are missing, and for a method
    that torch.export or ONNX cannot follow, naming it. Then nothing is written.
    """
    check_folder(out)
    if with_onnx:
        require_onnx()
    kind, scorer = model.recipe.method.kind, model.parameters.exported()
    live = _live(model.parameters, scorer)
    program = torch_program(scorer, kind)
    differences = {PROGRAM: check_program(program, scorer, live, kind)}
    graph = onnx_model(program, scorer, kind) if with_onnx else None
    part = out.with_name(f".{out.name}.{secrets.token_hex(8)}.part")
    try:
        part.mkdir(parents=True)
        _write_text_and_weights(model, scorer, part)
        torch.export.save(program, part / PROGRAM)
        if graph is not None:
            _save_onnx(graph, part / ONNX, _notes(model), most_inside)
            differences[ONNX] = check_onnx(str(part / ONNX), scorer, live, kind)
        for path in (*part.iterdir(), part):
            force_to_disk(path)
        sizes = {path.name: path.stat().st_size for path in sorted(part.iterdir())}
        _put_in_place(part, out)
    except OSError as error:
        raise InputError(f"--out: {out} cannot be written: {error}") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return ExportResult(sizes, differences)


def _live(parameters: Parameters, scorer: ExportedScorer) -> Callable[[Rows], list[F32]]:
    """Return what gives the outputs that the parameters serve and explain."""

    def outputs(rows: Rows) -> list[F32]:
        base_N, satisfaction_N = parameters.explain(rows)
        found = [parameters.score(rows), base_N, *([] if satisfaction_N is None else [satisfaction_N])]
        assert len(found) == len(scorer.outputs)
        return found

    return outputs


def _notes(model: ExportedModel) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "easq": version("easq"),
        "recipe": model.recipe.name,
        "method": model.recipe.method.kind,
        "version": model.version,
        "newest_event_ms": model.newest_ms or None,
    }


def _write_text_and_weights(model: ExportedModel, scorer: ExportedScorer, folder: Path) -> None:
    notes = _notes(model)
    arrays = {
        name.replace(":", ".", 1): np.ascontiguousarray(value)
        for name, value in flatten(model.parameters.state()).items()
    }
    # Several entries would stand in an order that changes from process to process.
    save_file(arrays, folder / WEIGHTS, {"easq": json.dumps(notes)})
    sizes = {"viewer": [1, scorer.widths[0]], "candidates": [-1, scorer.widths[1]]}
    sizes |= {"scores": [-1, scorer.num_scores]}
    sizes |= {"viewer_dense": [1, scorer.dense_widths[0]], "candidates_dense": [-1, scorer.dense_widths[1]]}
    inputs = [
        {"name": name, "type": "int64" if name in INPUTS[:2] else "float32", "shape": sizes[name]}
        for name in scorer.inputs
    ]
    outputs = [{"name": name, "type": "float32", "shape": [-1]} for name in scorer.outputs]
    rules = {**notes, "opset": OPSET, "inputs": inputs, "outputs": outputs, **encoder_rules(model.recipe)}
    (folder / ENCODER).write_text(json.dumps(rules, indent=1, allow_nan=False) + "\n")


def _save_onnx(graph: Any, path: Path, notes: dict[str, Any], most_inside: int) -> None:
    import onnx

    onnx.helper.set_model_props(graph, {"easq": json.dumps(notes)})
    if sum(len(array.raw_data) for array in graph.graph.initializer) <= most_inside:
        path.write_bytes(graph.SerializeToString(deterministic=True))
        return
    onnx.save_model(graph, path, save_as_external_data=True, location=ONNX_DATA)


def _put_in_place(part: Path, out: Path) -> None:
    """Let a folder take the place of another, which is gone last."""
    old = out.with_name(f"{part.name}.old")
    if out.exists():
        out.rename(old)
    part.rename(out)
    force_to_disk(out.parent)
    shutil.rmtree(old, ignore_errors=True)
