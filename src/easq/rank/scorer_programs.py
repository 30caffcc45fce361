"""A scorer as a program of torch.export and as an ONNX model, each compared with the scorer that serves."""

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from easq.arrays import F32
from easq.errors import InputError, cut
from easq.features.encode import Rows
from easq.rank.exported_scorer import OF_VIEWER, ExportedScorer

OPSET = 18
"""Of ONNX: the first with exclusive or of integers, which crosses need."""

_LIBRARIES = ("onnx", "onnxscript", "onnxruntime")
_NUM = "num_candidates"
_SIZES = (1, 2, 3, 50)
_TOLERANCE = 1e-5
_TRACES = ("stack_trace", "nn_module_stack", "source_fn_stack", "from_node", "torch_fn")

Outputs = Sequence[F32]


def require_onnx() -> None:
    """Raise InputError, saying what to install, unless the libraries of the extra `export` are there."""
    if missing := [name for name in _LIBRARIES if find_spec(name) is None]:
        raise InputError(
            f"scorer.onnx needs {', '.join(missing)}: pip install 'easq[export]', or leave it out with "
            "--no-onnx"
        )


def torch_program(scorer: ExportedScorer, kind: str) -> torch.export.ExportedProgram:
    """Return the scorer as a program for any number of candidates.

    Raises InputError, naming the method, if torch.export cannot follow it.
    """
    num = torch.export.Dim(_NUM, min=1)
    viewer, *others = (None if name in OF_VIEWER else {0: num} for name in scorer.inputs)
    # All inputs after the first two are one argument to torch.export.
    shapes = (viewer, others[0], *([tuple(others[1:])] if others[1:] else []))
    with _quiet(), _refused(kind, "torch.export"), torch.no_grad():
        program = torch.export.export(scorer, scorer.arrays(scorer.drawn(7)), dynamic_shapes=shapes)
        for module in program.graph_module.modules():
            if isinstance(module, torch.fx.GraphModule):
                for node in module.graph.nodes:  # where the code lies on this machine says nothing elsewhere
                    for name in _TRACES:
                        node.meta.pop(name, None)
    return program


def onnx_model(program: torch.export.ExportedProgram, scorer: ExportedScorer, kind: str) -> Any:
    """Return the program as an onnx.ModelProto.

    Raises InputError, naming the method, if ONNX lacks an operation that it needs.
    """
    with _quiet(), _refused(kind, "ONNX"):
        exported = torch.onnx.export(
            program,
            verbose=False,
            dynamo=True,
            external_data=False,
            opset_version=OPSET,
            input_names=list(scorer.inputs),
            output_names=list(scorer.outputs),
        )
        assert exported is not None
        model = exported.model_proto
    graph = model.graph
    del graph.value_info[:]
    for value in (*graph.input, *graph.output):
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param:
                size.dim_param = _NUM
    # Traces of the code say where it lies on this machine.
    for part in (*graph.node, *graph.input, *graph.output, *graph.initializer, graph, model):
        del part.metadata_props[:]
        part.doc_string = ""
    return model


def check_program(
    program: torch.export.ExportedProgram,
    scorer: ExportedScorer,
    live: Callable[[Rows], Outputs],
    kind: str,
) -> float:
    """Return how far the program's outputs are from the live ones at most; see `_check`."""
    module = program.module()

    def run(rows: Rows) -> Outputs:
        with torch.no_grad():
            return [output.numpy() for output in module(*scorer.arrays(rows))]

    return _check("scorer.pt2", run, scorer, live, kind)


def check_onnx(
    model: str | bytes, scorer: ExportedScorer, live: Callable[[Rows], Outputs], kind: str
) -> float:
    """Return how far an ONNX model's outputs are from the live ones at most; see `_check`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    with _refused(kind, "ONNX Runtime"):
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def run(rows: Rows) -> Outputs:
        arrays = [array.numpy() for array in scorer.arrays(rows)]
        with _refused(kind, "ONNX Runtime"):
            outputs: Outputs = session.run(
                list(scorer.outputs), dict(zip(scorer.inputs, arrays, strict=True))
            )
        return outputs

    return _check("scorer.onnx", run, scorer, live, kind)


def _check(
    file: str,
    run: Callable[[Rows], Outputs],
    scorer: ExportedScorer,
    live: Callable[[Rows], Outputs],
    kind: str,
) -> float:
    """Compare on requests of several sizes, drawn at random.

    Raises InputError, naming the method, if an output differs by more than a hundred-thousandth of its size,
    or of 1 where it is smaller: the program of such a method depends on the number of candidates.
    """
    most = 0.0
    for num in _SIZES:
        rows = scorer.drawn(num, seed=num)
        for name, expected_N, found_N in zip(scorer.outputs, live(rows), run(rows), strict=True):
            away_N = np.abs(found_N - expected_N) / np.maximum(1, np.abs(expected_N))
            if not (away_N <= _TOLERANCE).all():
                raise InputError(
                    f"method.kind: {kind!r} cannot be exported: {name} of {file} differs by "
                    f"{float(away_N.max()):g} from the live one with {num} candidates"
                )
            most = max(most, float(away_N.max()))
    return most


@contextlib.contextmanager
def _refused(kind: str, what: str) -> Iterator[None]:
    # Each of these libraries has a dozen kinds of errors for what it cannot follow, without a common base.
    try:
        yield
    except Exception as error:
        lines = [line for line in str(error.__cause__ or error).splitlines() if line.strip()]
        reason = cut(lines[0] if lines else type(error).__name__, 200)
        raise InputError(f"method.kind: {kind!r} cannot be exported: {what} says {reason}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what the exporters of torch tell about themselves."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
