"""An export gives the live scores outside of easq, or is not there; equal exports have equal bytes."""

import json
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import onnxruntime
import polars as pl
import pytest
import torch
from safetensors import safe_open

from easq.errors import InputError
from easq.features.encode import Rows
from easq.features.profiles import Profiles
from easq.home.home import open_home
from easq.home.snapshots import load_parameters
from easq.model.method import methods, read_method
from easq.rank.engine import Engine
from easq.rank.export import ExportedModel, ExportResult, check_folder, export
from easq.rank.frame_scorer import FrameScorer
from easq.rank.parameters import Parameters
from easq.rank.pinned_model import newest
from easq.rank.run_model import RunModel, read_run
from easq.rank.scorer_programs import check_program, require_onnx, torch_program
from tests.cli.test_cli import easq
from tests.support.dense_world import dense_steps, vector_of, with_dense
from tests.support.exported_model import (
    PAGE,
    CalledRequest,
    OutsideScorer,
    called_requests,
    engine_of,
    live_scores,
    page_code,
)
from tests.support.exported_runs import stack_run, world_run
from tests.support.live_home import trained_system
from tests.support.small_worlds import small_recipe

FILES = {"encoder.json", "model.safetensors", "scorer.onnx", "scorer.pt2"}


def exported(model: RunModel, out: Path, **options: Any) -> ExportResult:
    return export(ExportedModel(model.recipe, model.parameters, "run-1", model.newest_ms), out, **options)


def compare(run: Path, log: Path, out: Path, num: int) -> dict[str, float]:
    """Export a run; return how far outside scores, programs and batch scores are from the live ones."""
    model = read_run(run)
    exported(model, out)
    outside, engine = OutsideScorer(out), engine_of(model)
    program = torch.export.load(out / "scorer.pt2").module()
    requests = list(called_requests(log, model, num))
    most = dict.fromkeys(("onnx", "pt2", "batch"), 0.0)
    batch = batch_scores(model, requests)
    for request, batch_N in zip(requests, batch, strict=True):
        live_N = live_scores(engine, request)
        arrays = [torch.from_numpy(array) for array in outside.inputs(request).values()]
        found = {
            "onnx": outside.outputs(request)["score"],
            "pt2": program(*arrays)[0].numpy(),
            "batch": batch_N,
        }
        for name, score_N in found.items():
            most[name] = max(most[name], float(np.abs(score_N - live_N).max()))
    return most


def batch_scores(model: RunModel, requests: list[CalledRequest]) -> list[np.ndarray]:
    scorer, scores = FrameScorer(model.recipe, model.parameters), []
    for request in requests:
        rows = [
            {"item_id": item, **request.viewer, **values}
            for item, values in zip(request.items, request.candidates, strict=True)
        ]
        # Ids as texts, which a column holds of one kind; a key that is not given is that of the row.
        table = pl.DataFrame(
            [
                {"user_id": request.user_id, **{name: as_cell(value) for name, value in row.items()}}
                for row in rows
            ],
            infer_schema_length=None,
        )
        lists = [f.name for f in model.recipe.features if getattr(f, "length", None)]
        table = table.with_columns(pl.col(name).cast(pl.List(pl.String)) for name in lists)
        numbers = [
            f.name for f in model.recipe.features if hasattr(f, "boundaries") or f.name.startswith("p")
        ]
        table = table.with_columns(pl.col(name).cast(pl.Float64) for name in numbers)
        table = table.with_columns(pl.col("user_id", "item_id").fill_null("\0unknown"))
        scores.append(scorer.score(table)["score"].to_numpy())
    return scores


def as_cell(value: Any) -> Any:
    if isinstance(value, list):
        return [entry if isinstance(entry, float) else str(entry) for entry in value]
    return value if value is None or isinstance(value, float) else str(value)


class Exported(NamedTuple):
    """A replay of the recommended method, its export, and what the export said."""

    run: Path
    log: Path
    folder: Path
    result: ExportResult


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("export")
    run, log = world_run(folder, 1_000, "method.kind=probe")
    return Exported(run, log, folder / "model", exported(read_run(run), folder / "model"))


def test_outside_scores_are_the_live_ones(probe: Exported) -> None:
    most = compare(probe.run, probe.log, probe.folder, 100)
    assert max(most.values()) < 1e-5, most
    assert set(probe.result.sizes) == FILES
    assert max(probe.result.differences.values()) < 1e-5


def test_outputs_beside_the_score_are_those_that_are_explained(probe: Exported) -> None:
    model = read_run(probe.run)
    (request,) = called_requests(probe.log, model, 1)
    outside = OutsideScorer(probe.folder)
    inputs = outside.inputs(request)
    num = len(request.items)
    rows = Rows(
        inputs["viewer"], inputs["candidates"], np.zeros(num, np.int64), np.zeros((num, 0), np.float32)
    )
    base_N, satisfaction_N = model.parameters.explain(rows)
    found = outside.outputs(request)
    assert found["base_score"] == pytest.approx(base_N, abs=1e-5)
    assert found["satisfaction"] == pytest.approx(satisfaction_N, abs=1e-5)
    assert np.abs(found["score"] - found["base_score"]).max() > 1e-4


def test_equal_exports_have_equal_bytes(probe: Exported, tmp_path: Path) -> None:
    exported(read_run(probe.run), tmp_path / "again")
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (probe.folder / name).read_bytes(), name
        assert str(PAGE.parents[1]).encode() not in (probe.folder / name).read_bytes(), name
    # An earlier export is replaced, and its folder keeps nothing of before.
    exported(read_run(probe.run), tmp_path / "again", with_onnx=False)
    assert {path.name for path in (tmp_path / "again").iterdir()} == FILES - {"scorer.onnx"}
    assert [path.name for path in tmp_path.iterdir()] == ["again"]


def test_files_say_what_they_are_of(probe: Exported) -> None:
    rules = json.loads((probe.folder / "encoder.json").read_text())
    assert (rules["format"], rules["format_version"], rules["version"]) == ("easq-export", 1, "run-1")
    assert rules["method"] == "probe"
    assert rules["newest_event_ms"] == read_run(probe.run).newest_ms > 1_600_000_000_000
    with safe_open(probe.folder / "model.safetensors", "np") as file:
        notes = json.loads(file.metadata()["easq"])
    session = onnxruntime.InferenceSession(probe.folder / "scorer.onnx")
    assert notes == json.loads(session.get_modelmeta().custom_metadata_map["easq"])
    assert notes.items() <= rules.items()
    weights = load_parameters(probe.folder / "model.safetensors")
    parameters = Parameters(read_run(probe.run).recipe)
    assert parameters.refuses_version(weights) == ""


def test_the_page_runs_and_its_triton_file_fits(probe: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(probe.folder.parent)
    names: dict[str, Any] = {}
    for block in page_code():
        exec(block, names)
    assert names["score"] == pytest.approx(names["same"], abs=1e-5)
    assert sorted(names["ranked"]) == ["i1", "i2"]
    (config,) = re.findall(r'^```text\n(name: "easq".*?)^```$', PAGE.read_text(), re.MULTILINE | re.DOTALL)
    entries = re.findall(r'name: "(\w+)", data_type: (\w+), dims: \[ ([-\d, ]+) \]', config)
    kinds = {"TYPE_INT64": "int64", "TYPE_FP32": "float32"}
    written = [
        {"name": name, "type": kinds[kind], "shape": [int(size) for size in dims.split(",")]}
        for name, kind, dims in entries
    ]
    rules = names["rules"]
    assert written == rules["inputs"] + rules["outputs"]


@pytest.mark.slow
def test_large_weights_stand_beside_the_model(probe: Exported, tmp_path: Path) -> None:
    result = exported(read_run(probe.run), tmp_path / "model", most_inside=1_000_000)
    assert result.sizes["scorer.onnx"] < 1_000_000 < result.sizes["scorer.onnx.data"]
    (request,) = called_requests(probe.log, read_run(probe.run), 1)
    beside, inside = (OutsideScorer(folder).outputs(request) for folder in (tmp_path / "model", probe.folder))
    assert (beside["score"] == inside["score"]).all()


def test_outside_scores_beside_a_ranker_are_the_live_ones(tmp_path: Path) -> None:
    run, log = stack_run(tmp_path, 1_000, chances=True, reference=True)
    most = compare(run, log, tmp_path / "model", 100)
    assert max(most.values()) < 1e-5, most
    rules = json.loads((tmp_path / "model/encoder.json").read_text())
    assert [score["name"] for score in rules["scores"] if score["is_reference"]] == ["prod_score"]
    assert [score["name"] for score in rules["scores"] if score["is_chance"]] == [
        "p_click",
        "p_long",
        "p_like",
    ]


def with_dense_features(method: str) -> ExportedModel:
    recipe = with_dense(small_recipe(f"method.kind={method}"))
    learner, batches = dense_steps(f"method.kind={method}")
    for batch in batches:
        learner.step(batch)
    parameters = Parameters(recipe)
    parameters.replace(1, learner.state())
    return ExportedModel(recipe, parameters, "v", 0)


def test_a_program_with_dense_features_has_the_live_scores(tmp_path: Path) -> None:
    result = export(with_dense_features("probe"), tmp_path / "model", with_onnx=False)
    assert result.differences["scorer.pt2"] < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("method", ["probe", "easq"])
def test_outside_scores_with_dense_features_are_the_live_ones(method: str, tmp_path: Path) -> None:
    model = with_dense_features(method)
    assert max(export(model, tmp_path / "model").differences.values()) < 1e-5
    outside = OutsideScorer(tmp_path / "model")
    engine = Engine(model.recipe, Profiles.of(model.recipe, 1), model.parameters, 9, 0)
    assert [one["name"] for one in outside.rules["inputs"]][2:] == ["viewer_dense", "candidates_dense"]
    for seed in range(20):
        request = dense_call(seed)
        np.testing.assert_allclose(outside.outputs(request)["score"], live_scores(engine, request), atol=1e-5)


def dense_call(seed: int) -> CalledRequest:
    """Return a call with ids, vectors and numbers; about one in six is unknown."""

    def number(key: str) -> float | None:
        value = float(vector_of(key, 1)[0])
        return None if np.isnan(value) else value

    def vector(key: str, dim: int) -> list[float] | None:
        value = vector_of(key, dim)
        return None if np.isnan(value).any() else value.tolist()

    items = [f"{seed}:{n}" for n in range(1 + seed % 4)]
    candidates = [
        {
            "content": vector(i, 8),
            "cover": vector(i + "c", 2),
            "loudness": number(i),
            "seconds": number(i + "s"),
        }
        for i in items
    ]
    return CalledRequest(
        f"u{seed}", items, {"taste": vector(f"{seed}", 3), "age": number(f"{seed}")}, candidates
    )


def test_what_cannot_be_exported_is_refused_by_name_and_nothing_is_written(tmp_path: Path) -> None:
    recipe = small_recipe("method.kind=saqrec")
    model = ExportedModel(recipe, Parameters(recipe), "v", 0)
    with pytest.raises(InputError, match=r"method.kind: 'saqrec' cannot be exported: ONNX says .*sort"):
        export(model, tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_a_program_with_other_scores_is_refused(probe: Exported) -> None:
    model = read_run(probe.run)
    scorer = model.parameters.exported()
    program = torch_program(scorer, "probe")
    untrained = Parameters(model.recipe)
    with pytest.raises(InputError, match=r"'probe' cannot be exported: score of scorer.pt2 differs by "):
        check_program(program, scorer, lambda rows: [untrained.score(rows)] * 3, "probe")


def test_a_folder_with_something_else_is_refused(probe: Exported, tmp_path: Path) -> None:
    check_folder(tmp_path)
    check_folder(tmp_path / "new")
    check_folder(probe.folder)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"--out: .* is a file; --out names a folder"):
        check_folder(tmp_path / "notes.txt")
    with pytest.raises(InputError, match="holds something else than an export; choose another folder"):
        check_folder(tmp_path)
    (tmp_path / "encoder.json").write_text("{}")
    with pytest.raises(InputError, match=r"holds notes.txt beside an export"):
        check_folder(tmp_path)


def test_missing_libraries_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    require_onnx()
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(InputError, match=r"needs onnxscript: pip install 'easq\[export\]', or .* --no-onnx"):
        require_onnx()


def test_a_command_exports_a_run_and_a_home(probe: Exported, tmp_path: Path) -> None:
    done = easq("export", "--run", probe.run, "--out", tmp_path / "run", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert set(said["bytes"]) == FILES
    assert max(said["largest_difference"].values()) < 1e-5
    assert (tmp_path / "run/scorer.onnx").read_bytes() != b""
    with trained_system(tmp_path / "live") as system:
        folder = system.home.folder
    done = easq("export", "--home", folder, "--out", tmp_path / "home", "--no-onnx")
    assert done.returncode == 0, done.stderr
    rules = json.loads((tmp_path / "home/encoder.json").read_text())
    assert rules["version"] == pinned(folder) in done.stdout
    assert rules["newest_event_ms"] > 1_600_000_000_000
    refused = easq("export", "--out", tmp_path / "none")
    assert refused.returncode == 2
    assert "give either --run FOLDER or --home FOLDER" in refused.stderr
    with pytest.raises(InputError, match="holds no parameters; is it the folder of a finished replay"):
        read_run(tmp_path)


def pinned(folder: Path) -> str:
    return newest(open_home(folder, methods=read_method)).name


@pytest.mark.slow
@pytest.mark.parametrize("method", sorted(methods()))
def test_every_method_is_exported_or_refused(method: str, tmp_path: Path) -> None:
    recipe = small_recipe(f"method.kind={method}")
    torch.manual_seed(7)  # what EMER ranks candidates by differs in its last bit here, where all are equal
    model = ExportedModel(recipe, Parameters(recipe), "v", 0)
    if method == "saqrec":
        assert export(model, tmp_path / "model", with_onnx=False).differences["scorer.pt2"] < 1e-5
        return
    assert max(export(model, tmp_path / "model").differences.values()) < 1e-5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize("kind", ["probe", "behavior", "emer"])
@pytest.mark.parametrize("kept", [{"item_id"}, {"item_id", "recent_items"}])
def test_recipes_of_few_features_are_exported(kept: set[str], kind: str, tmp_path: Path) -> None:
    recipe = small_recipe(f"method.kind={kind}")
    features = tuple(feature for feature in recipe.features if feature.name in kept)
    recipe = msgspec.structs.replace(recipe, features=features)
    model = ExportedModel(recipe, Parameters(recipe), "v", 0)
    assert max(export(model, tmp_path / "model").differences.values()) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("method", ["probe", "behavior", "easq", "satisfaction_tower"])
def test_outside_scores_of_a_thousand_requests_are_the_live_ones(method: str, tmp_path: Path) -> None:
    run, log = world_run(tmp_path, 10_000, f"method.kind={method}")
    most = compare(run, log, tmp_path / "model", 1_000)
    assert max(most.values()) < 1e-5, most


@pytest.mark.slow
@pytest.mark.parametrize(("chances", "reference"), [(False, True), (True, True), (True, False)])
def test_outside_scores_of_a_thousand_requests_beside_a_ranker(
    chances: bool, reference: bool, tmp_path: Path
) -> None:
    run, log = stack_run(tmp_path, 10_000, chances=chances, reference=reference)
    most = compare(run, log, tmp_path / "model", 1_000)
    assert max(most.values()) < 1e-5, most
