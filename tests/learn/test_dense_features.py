"""Dense features through a live system and a replay: kills, bytes, what is served, what answers keep."""

import random
from pathlib import Path

import numpy as np
import pytest

from easq.features.columns import unpack
from easq.features.encode import ServingEncoder
from easq.home.snapshots import flatten
from easq.learn.answer_rows import answered_rows, with_replayed
from easq.learn.privacy import export
from easq.learn.verify import verify
from easq.log.events import EVENTS, PROFILES, Request, ViewerUpdate
from easq.log.packing import pack_floats
from easq.log.sqlite import SqliteLog
from easq.model import dense_features
from easq.rank.parameters import Parameters
from tests.support.continued import assert_continues
from tests.support.crashing_log import run_with_kills
from tests.support.dense_world import (
    DENSE,
    dense_events,
    dense_request,
    dense_steps,
    dense_system,
    in_batches,
    vector_of,
    with_dense,
)
from tests.support.small_worlds import small_recipe


@pytest.mark.parametrize("method", ["probe", pytest.param("easq", marks=pytest.mark.slow)])
def test_a_learner_killed_anywhere_continues_to_the_same_bytes(
    tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dense_features, "NUM_FIRST", 300)
    settings = (f"method.kind={method}", "live.checkpoint_seconds=1", "live.snapshot_seconds=2")
    with dense_system(tmp_path, *settings) as system:
        learner = run_with_kills(system, in_batches(dense_events()), random.Random(2))
        verified = verify(system.home, system.events, system.updates)
        assert verified.different == []
        follower = system.replica()
        while follower.poll():
            pass
        dense = learner.trainer.learner.dense.state_dict()
        served = follower._parameters._dense
        assert {name for name in dense if ".dense." in name} == {name for name in served if ".dense." in name}
        assert all(np.array_equal(served[name].numpy(), value.numpy()) for name, value in dense.items())
        found = [value.numpy() for name, value in served.items() if name.endswith("boundary_Q")]
        assert all((value < 1e3).all() for value in found)


@pytest.mark.parametrize("method", ["probe", "behavior", "easq"])
def test_served_scores_are_those_of_training(method: str) -> None:
    recipe = with_dense(small_recipe(f"method.kind={method}"))
    learner, batches = dense_steps(f"method.kind={method}")
    for batch in batches[:-1]:
        learner.step(batch)
    parameters = Parameters(recipe)
    parameters.replace(1, learner.state())
    encoder = ServingEncoder(recipe.features, recipe.row_salt)
    rows = batches[-1].rows
    request = next(
        e for e in dense_events() if isinstance(e, Request) and e.event_id == batches[-1].request_ids[0]
    )
    viewer = unpack(encoder.viewer_shape, request.viewer, {}, 1)
    candidates = unpack(encoder.candidate_shape, request.candidates, request.lengths, len(request.items))
    served_N = parameters.score(encoder.encode(viewer, candidates))
    trained_N = learner.score(batches[-1])[rows.request_N == 0]
    assert len(trained_N)
    places = batches[-1].position_N[rows.request_N == 0]
    np.testing.assert_allclose(served_N[places], trained_N, atol=1e-5)


def test_answers_are_replayed_with_the_vectors_of_their_lists() -> None:
    _, batches = dense_steps("method.kind=emer", "training.batch_answers=40")
    batch = next(b for b in batches if len(b.option_A) > 3)
    rows = batch.rows
    assert rows.dense is not None
    width = rows.dense.candidate_NY.shape[1]
    kept = answered_rows(batch, 3)
    assert kept.candidate_dense_AY is not None
    lists = kept.candidate_dense_AY.reshape(len(batch.option_A), 3, width)
    np.testing.assert_array_equal(lists[:, 0], rows.dense.candidate_NY[batch.answer_row_A])
    joined = with_replayed(rows, kept)
    assert joined.dense is not None
    num = len(rows.request_N)
    assert len(joined.dense.candidate_NY) == len(joined.candidate_NV)
    assert not np.isinf(joined.dense.candidate_NY).any()  # what stands for a missing mate is left out
    first = joined.candidate_NV[num:], joined.dense.candidate_NY[num:]
    for ids_V, vector_Y in zip(*first, strict=True):
        same = (rows.candidate_NV == ids_V).all(1)
        assert any(np.array_equal(vector_Y, other, equal_nan=True) for other in rows.dense.candidate_NY[same])


@pytest.mark.parametrize("side", ["viewer", "candidate"])
@pytest.mark.parametrize("method", ["easq", "emer_s"])
def test_a_learner_continues_where_one_side_alone_has_dense_features(method: str, side: str) -> None:
    settings = [f"method.kind={method}", "training.batch_answers=5"]
    settings += ["method.answers_per_step=12"] if method == "easq" else []
    features = [feature for feature in DENSE if getattr(feature, "side", "") == side]
    learner, batches = dense_steps(*settings, features=features)
    for batch in batches[:10]:
        learner.step(batch)
    state = flatten(learner.state())
    other, _ = dense_steps(*settings, features=features, num_requests=1)
    assert_continues(learner, other, batches[10:20])
    kept = {name.split(":")[1] for name in state if "_dense_A" in name and name.startswith("buffer")}
    assert kept == {"viewer_dense_AX" if side == "viewer" else "candidate_dense_AY"}


def test_a_method_that_replays_no_answers_keeps_no_vectors() -> None:
    probe, _ = dense_steps("method.kind=probe", num_requests=1)
    easq, _ = dense_steps("method.kind=easq", num_requests=1)
    widths = [
        {name: value.shape[1] for name, value in flatten(one.state()).items() if "_dense_A" in name}
        for one in (probe, easq)
    ]
    assert widths == [{}, {"buffer:viewer_dense_AX": 4, "buffer:candidate_dense_AY": 12}]


def test_what_is_exported_of_a_viewer_holds_vectors_as_numbers(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "events.log") as log:
        taste = ViewerUpdate(event_id="t", user_id="ann", ts=1, values={"taste": pack_floats([1, -2, 3])})
        log.append(PROFILES, [taste])
        request = dense_request(
            Request(event_id="r", user_id="ann", ts=2, items=["i2"], viewer={}, candidates={})
        )
        log.append(EVENTS, [request])
        lines = list(export(log, "ann", with_dense(small_recipe())))
    (logged, update, profile) = lines
    assert logged["event"]["candidates"]["cover"] == vector_of("i2c", 2).tolist()
    assert update["event"]["values"] == profile["profile"]["told"] == {"taste": [1, -2, 3]}
