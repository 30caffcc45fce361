"""An exported model as somebody outside uses it: encoder.json, the encoder of docs/export.md, ONNX Runtime.

Nothing here reads easq's own encoder or parameters, but `live_scores`, which is what it is compared with.
"""

import functools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime

from easq.features.columns import UNKNOWN, Shape, unpack
from easq.features.profiles import Profiles
from easq.log.events import EVENTS, Request
from easq.log.sqlite import SqliteLog
from easq.rank.engine import Engine
from easq.rank.query import Query
from easq.rank.run_model import RunModel
from easq.recipe.features import Feature
from easq.recipe.values import Side

PAGE = Path(__file__).parents[2] / "docs" / "export.md"
NOW = 1_700_000_000_000
KEYS = {"user_id", "item_id"}


def page_code() -> list[str]:
    """Return the Python of the page, block by block."""
    return re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@functools.cache
def page_encoder() -> Callable[..., dict[str, np.ndarray]]:
    """Return the page's encoder, without what it reads from a folder."""
    names: dict[str, Any] = {}
    exec(page_code()[0].partition("\nrules = ")[0], names)
    return names["encode"]


class CalledRequest(NamedTuple):
    """A request as a platform would send it: values by feature, None where unknown."""

    user_id: str
    items: list[str]
    viewer: dict[str, Any]
    candidates: list[dict[str, Any]]


class OutsideScorer:
    """Scores with what an export's folder holds."""

    def __init__(self, folder: Path) -> None:
        self.rules = json.loads((folder / "encoder.json").read_text())
        self._session = onnxruntime.InferenceSession(folder / "scorer.onnx")

    def inputs(self, request: CalledRequest) -> dict[str, np.ndarray]:
        # A key that is not given is the id of the viewer or of the item.
        viewer = {"user_id": request.user_id, **request.viewer}
        candidates = [
            {"item_id": item, **values}
            for item, values in zip(request.items, request.candidates, strict=True)
        ]
        return page_encoder()(self.rules, viewer, candidates)

    def outputs(self, request: CalledRequest) -> dict[str, np.ndarray]:
        names = [output["name"] for output in self.rules["outputs"]]
        return dict(zip(names, self._session.run(names, self.inputs(request)), strict=True))


def called_requests(log: Path, model: RunModel, num: int, seed: int = 0) -> Iterator[CalledRequest]:
    """Yield requests of a log, changed so that every rule of the encoder is met.

    A tenth of the values is unknown or not there, another tenth of the ids a text; half of the keys is left
    out. A score that is the reference or a chance stays, except for a few candidates.
    """
    random, features = np.random.default_rng(seed), model.recipe.features
    with SqliteLog(log, read_only=True) as events:
        logged = [e for p in range(events.partitions(EVENTS)) for e in events.read(EVENTS, p, 0, 1_000_000)]
    requests = [event for event in logged if isinstance(event, Request)][:num]
    assert len(requests) == num
    for event in requests:
        viewer = _side(event, features, "viewer", 1, random)[0]
        candidates = _side(event, features, "candidate", len(event.items), random)
        yield CalledRequest(event.user_id, event.items, viewer, candidates)


def _side(
    event: Request, features: tuple[Feature, ...], side: Side, num: int, random: np.random.Generator
) -> list[dict[str, Any]]:
    shape = Shape.of(features, side)
    packed = event.viewer if side == "viewer" else event.candidates
    values = unpack(shape, packed, event.lengths if side == "candidate" else {}, num)
    rows: list[dict[str, Any]] = [{} for _ in range(num)]

    def draw(value: Any, unknown: Any) -> Any:
        drawn = random.random()
        return (
            unknown if drawn < 0.1 else value if drawn < 0.9 or isinstance(value, float) else f"text {value}"
        )

    for n, row in enumerate(rows):
        for k, single in enumerate(shape.singles):
            number = int(values.ids_NK[n, k])
            row[single.name] = None if number == UNKNOWN else draw(number, None)
        for m, feature in enumerate(shape.numbers):
            value = float(values.numbers_NM[n, m])
            row[feature.name] = None if np.isnan(value) else draw(value, None)
        for vector, vector_ND in zip(shape.vectors, values.vectors, strict=True):
            is_unknown = bool(np.isnan(vector_ND[n]).any()) or random.random() < 0.1
            row[vector.name] = None if is_unknown else vector_ND[n].tolist()
        for feature, (ids_NL, count_N) in zip(shape.lists, values.lists, strict=True):
            row[feature.name] = [draw(int(v), "none") for v in ids_NL[n, : count_N[n]]] * random.integers(
                0, 3
            )
    if random.random() < 0.5:
        rows = [{name: value for name, value in row.items() if name not in KEYS} for row in rows]
    return rows


def engine_of(model: RunModel) -> Engine:
    """Return the live engine of a replay's parameters, with empty profiles."""
    return Engine(model.recipe, Profiles.of(model.recipe, 1), model.parameters, 10, 0)


def live_scores(engine: Engine, request: CalledRequest) -> np.ndarray:
    """Return the scores that the live engine serves, in the order of the candidates."""
    columns = {name: [row[name] for row in request.candidates] for name in request.candidates[0]}
    query = Query(request.user_id, request.items, context=request.viewer, features=columns)
    ranked = engine.rank(query, NOW)
    by_item = dict(zip(ranked.items, ranked.scores.tolist(), strict=True))
    return np.array([by_item[item] for item in request.items], np.float32)
