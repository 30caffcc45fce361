"""The ranker stays where it was when an update is wrong, and finds its way back when a version comes."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from easq.errors import InputError
from easq.log.events import UPDATES, Delta, delta_checksum
from easq.log.packing import pack_floats, pack_ids
from easq.model.crosses import NUM_CROSSES
from easq.rank.parameters import Parameters
from easq.rank.pinned_model import newest
from easq.rank.replica import Replica
from tests.support.live_home import LiveSystem, TrimmedMeanwhile, event_batches, live_system
from tests.support.past_parameters import parameters_of

Changes = dict[str, object]


def learn_on(system: LiveSystem, first: int, last: int) -> None:
    learner = system.learner()
    for batch in event_batches()[first:last]:
        system.append(batch)
        system.clock.now += 0.2
        learner.tick()
    learner.close()


def follow(replica: Replica) -> None:
    while replica.poll():
        pass


def last_delta(system: LiveSystem) -> Delta:
    (start,) = system.updates.start_offsets(UPDATES)
    return [e for e in system.updates.read(UPDATES, 0, start, 10_000) if isinstance(e, Delta)][-1]


def table(replica: Replica) -> np.ndarray:
    return replica._parameters._table_RE.numpy().copy()


def test_deltas_lead_to_the_learners_parameters(tmp_path: Path) -> None:
    with live_system(tmp_path) as system:
        early = system.replica()
        assert not early.poll()
        learner = system.learner()
        follow(early)
        for batch in event_batches():
            system.append(batch)
            learner.tick()
            follow(early)
            assert np.array_equal(table(early), learner.trainer.learner.table.weight.numpy())
        late = system.replica()
        follow(late)
        assert np.array_equal(table(late), table(early))
        assert late.status.seq == early.status.seq
        assert early.status.newest_answer == learner.trainer.newest_answer > 0
        assert (early.status.gaps, early.status.refused) == (0, 0)
        learner.close()


def spoiled(delta: Delta, what: str) -> Delta:
    """Return the delta that would come next, with one thing wrong."""
    seq = delta.seq + 1
    delta = msgspec.structs.replace(delta, event_id=f"spoiled-{what}", seq=seq, after=delta.seq)
    name, column = sorted(delta.dense.items())[0]
    nan = np.full(len(column) // 4, np.nan, np.float32)
    rows, values = np.frombuffer(delta.rows, np.int64), delta.values
    changes: dict[str, Changes] = {
        "damaged": {"values": bytes([values[0] ^ 1]) + values[1:]},
        "not finite": {"dense": {**delta.dense, name: pack_floats(nan)}},
        "a name less": {"dense": {n: c for n, c in delta.dense.items() if n != name}},
        "too short": {"dense": {**delta.dense, name: column[:-4]}},
        "rows beyond": {"rows": pack_ids(rows + 10**9)},
        "rows below": {"rows": pack_ids(-1 - rows)},
        "values too few": {"values": values[:-4]},
        "rows cut off": {"rows": delta.rows[:-1]},
        "crosses beyond": {"crosses": pack_ids([NUM_CROSSES]), "cross_values": pack_floats([1.0])},
        "cross values too few": {"crosses": pack_ids([1, 2]), "cross_values": pack_floats([1.0])},
        "crosses cut off": {"crosses": pack_ids([1, 2])[:-1], "cross_values": pack_floats([1.0, 1.0])},
        "a cross not finite": {"crosses": pack_ids([1]), "cross_values": pack_floats([np.inf])},
    }
    delta = msgspec.structs.replace(delta, **changes[what])
    if what == "damaged":
        return delta
    columns = delta.rows, delta.values, delta.dense, delta.crosses, delta.cross_values
    return msgspec.structs.replace(delta, checksum=delta_checksum(*columns))


@pytest.mark.parametrize(
    "what",
    [
        "damaged",
        "not finite",
        "a name less",
        "too short",
        "rows beyond",
        "rows below",
        "values too few",
        "rows cut off",
        "crosses beyond",
        "cross values too few",
        "crosses cut off",
        "a cross not finite",
    ],
)
def test_wrong_update_is_refused_and_the_next_version_heals(tmp_path: Path, what: str) -> None:
    with live_system(tmp_path) as system:
        learn_on(system, 0, 6)
        replica = system.replica()
        follow(replica)
        before, seq = table(replica), replica.status.seq
        system.updates.append(UPDATES, [spoiled(last_delta(system), what)])
        follow(replica)
        assert (replica.status.refused, replica.status.gaps) == (1, 1)
        assert np.array_equal(table(replica), before)
        assert replica._parameters.seq == replica.status.seq == seq


def test_gap_keeps_the_old_parameters_until_a_version_is_there(tmp_path: Path) -> None:
    with live_system(tmp_path) as system:
        learn_on(system, 0, 4)
        replica = system.replica()
        follow(replica)
        before, delta = table(replica), last_delta(system)
        missing = msgspec.structs.replace(
            delta, event_id="after a gap", seq=delta.seq + 5, after=delta.seq + 3
        )
        system.updates.append(UPDATES, [missing])
        follow(replica)
        assert (replica.status.gaps, replica.status.applied > 0) == (1, True)
        assert np.array_equal(table(replica), before)
        system.clock.now += 1000  # a version is due
        learn_on(system, 4, 12)
        follow(replica)
        late = system.replica()
        follow(late)
        assert replica.status.gaps == 1


def test_update_that_was_trimmed_away_is_made_up_for_by_a_version(tmp_path: Path) -> None:
    with live_system(tmp_path, "live.snapshot_seconds=0.5") as system:
        learn_on(system, 0, 2)
        replica = system.replica()
        follow(replica)
        learn_on(system, 2, 20)
        assert system.updates.start_offsets(UPDATES)[0] > replica._offset
        follow(replica)
        fresh = system.replica()
        follow(fresh)
        assert np.array_equal(table(replica), table(fresh))
        assert replica.status.seq == fresh.status.seq


def test_a_trim_while_a_ranker_starts_is_no_gap(tmp_path: Path) -> None:
    with live_system(tmp_path, "live.snapshot_seconds=1e9") as system:
        learn_on(system, 0, 6)
        with TrimmedMeanwhile(system.home.folder / "updates.log") as updates:
            late = Replica(system.home, updates, Parameters(system.home.recipe), lambda change: change())
            follow(late)
        assert system.updates.start_offsets(UPDATES) == [1]
        assert (late.status.gaps, late.status.applied > 0) == (0, True)
        assert late.status.seq == last_delta(system).seq


def test_parameters_of_a_past_version_are_those_it_had(tmp_path: Path) -> None:
    with live_system(tmp_path) as system:
        learner, replica = system.learner(), system.replica()
        past = {}
        for batch in event_batches()[:8]:
            system.append(batch)
            learner.tick()
            follow(replica)
            past[replica._parameters.name] = table(replica)
        learner.close()
        for name, weight in past.items():
            assert np.array_equal(parameters_of(system.home, system.updates, name)._table_RE.numpy(), weight)
        with pytest.raises(InputError, match="there never was a version v000000009999"):
            parameters_of(system.home, system.updates, "v000000009999")


@pytest.mark.parametrize("damage", ["notes", "arrays", "kind", "values"])
def test_damaged_version_is_refused_once_and_the_one_before_serves(tmp_path: Path, damage: str) -> None:
    with live_system(tmp_path) as system:
        learn_on(system, 0, 4)
        versions = system.home.versions
        before = versions.names()[-1]
        state = versions.load(versions.names()[-1])
        if damage == "kind":
            state["table"]["weight"] = state["table"]["weight"].astype(np.float64)
        elif damage == "values":
            state["table"]["weight"][3] = np.inf
        name = versions.save(10**6, state, {"seq": 10**6})
        folder = system.home.folder / "versions" / name
        if damage == "notes":
            (folder / "notes.json").write_text("{")
        elif damage == "arrays":
            (folder / "state.safetensors").write_bytes(b"\xff" * 100)
        replica = system.replica()
        follow(replica)
        assert (replica.status.refused, replica.status.loaded) == (1, 1)
        assert replica._parameters.seq >= versions.notes(before)["seq"]
        assert newest(system.home).parameters.seq == replica._parameters.seq
        weight = np.nan_to_num(state["table"]["weight"].astype(np.float32), posinf=0)
        state = {**state, "table": {**state["table"], "weight": weight}}
        versions.save(10**6 + 1, state, {"seq": 10**6 + 1})
        replica = system.replica()
        replica.poll()
        assert replica._parameters.seq == 10**6 + 1


def test_version_of_another_model_is_refused(tmp_path: Path) -> None:
    with live_system(tmp_path) as system:
        learn_on(system, 0, 2)
        system.home.versions.save(10**6, {"table.weight": np.zeros((2, 2), np.float32)}, {"seq": 10**6})
        replica = system.replica()
        follow(replica)
        assert replica.status.refused == 1
        assert 0 <= replica._parameters.seq < 10**6
