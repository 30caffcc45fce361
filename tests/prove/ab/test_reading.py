import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pytest

from easq.errors import InputError
from easq.log.events import EVENTS, Answered, Asked, Behavior, Event, Request
from easq.log.ids import stable_id
from easq.log.packing import pack_floats
from easq.log.sqlite import SqliteLog
from easq.prove.ab import reading
from easq.prove.ab import viewer_days as ab_table
from easq.prove.ab.answer_weights import ResponseSummary
from easq.prove.ab.reading import is_kept
from easq.prove.ab.viewer_days import ViewerDays, read_table, snapshots
from easq.recipe.experiments import Arm, Experiment
from tests.support.plain_ab import DAY_MS, plain
from tests.support.small_worlds import small_recipe, small_world, world_events

LIKES = {"like": 1.0, "comment": 1.0, "follow": 1.0, "forward": 1.0, "hate": 1.0}
EXPERIMENT = Experiment(name="easq", arms=(Arm(name="control"), Arm(name="treatment")), pre_days=2)


def written(path: Path, events: list[Event], partitions: int = 2) -> SqliteLog:
    log = SqliteLog(path, partitions)
    log.append(EVENTS, events)
    return log


def rows_of(table: ViewerDays) -> dict[int, dict[str, float]]:
    """Return sums by day, over viewers."""
    result: dict[int, dict[str, float]] = {}
    for day in np.unique(table.day_R).tolist():
        sums = table.sum_RC[table.day_R == day].sum(0).tolist()
        result[day] = dict(zip(table.metrics.columns, sums, strict=True))
    return result


def lively_events() -> list[Event]:
    """Return a world's events over two days, with what a platform's clients also send."""
    events = world_events(150)
    made = {e.event_id: e.ts - events[0].ts for e in events if isinstance(e, Request)}
    stretch = 1.6 * DAY_MS / max(made.values())
    events = [
        msgspec.structs.replace(e, ts=e.ts + round(stretch * made[getattr(e, "request_id", e.event_id)]))
        for e in events
    ]
    requests = [e for e in events if isinstance(e, Request)]
    first, other = requests[0], next(r for r in requests if r.user_id != requests[0].user_id)
    like = {"like": pack_floats([1.0])}

    def report(name: str, **changes: object) -> Behavior:
        fields = {
            "request_id": first.event_id,
            "user_id": first.user_id,
            "ts": first.ts + 1000,
            "items": first.items[:1],
        }
        return Behavior(**{"event_id": name, "values": like, **fields, **changes})  # type: ignore[arg-type]

    events += [
        report("again"),
        report("again2", values={"play_ms": pack_floats([1.0])}),
        report("late", ts=first.ts + 31 * 60_000, items=["never seen"]),
        report("of another", user_id=other.user_id, items=["never seen"]),
        report("of nothing", request_id="nothing", items=["never seen"]),
        report("only named", items=["i never logged"], values={}),
        Answered(
            event_id="twice", user_id=first.user_id, ts=first.ts + 5000, request_id=first.event_id,
            item_id=first.items[1], question="satisfaction", option="satisfied", propensity=0.5,
        ),
        Asked(
            event_id="other question", user_id=first.user_id, ts=first.ts + 5000, request_id=first.event_id,
            item_id=first.items[1], question="mood", propensity=0.5,
        ),
    ]  # fmt: skip
    return sorted(events, key=lambda e: e.ts)


@pytest.mark.parametrize("at_once", [7, 100, 1 << 16])
def test_sums_are_those_of_plain_loops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(reading, "_AT_ONCE", at_once)
    recipe, events = small_recipe(), lively_events()
    with written(tmp_path / "a.log", events) as log:
        table = read_table(recipe, None, log)
    expected = plain(recipe, events, LIKES)
    columns = [c for c in table.metrics.columns if not c.startswith("weighted")]
    assert len(rows_of(table)) > 1
    by_day: dict[int, dict[str, float]] = {}
    for (_, day), row in expected.items():
        for name, value in row.items():
            by_day.setdefault(day, {}).setdefault(name, 0.0)
            by_day[day][name] += value
    for day, result in rows_of(table).items():
        for column in columns:
            assert result[column] == pytest.approx(by_day[day].get(column, 0.0), rel=1e-6), (day, column)
    assert table.counts["late"] == 3
    # Viewers apart: days of which something but an answer's weight is known.
    known = table.sum_RC[:, : len(columns)].any(1)
    assert known.sum() == len(expected)


def test_several_processes_read_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with written(tmp_path / "a.log", lively_events()) as log:
        alone = read_table(small_recipe(), EXPERIMENT, log)
        monkeypatch.setattr(ab_table, "_WORTH_IT", 0)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
        opener = partial(SqliteLog, tmp_path / "a.log", read_only=True)
        together = read_table(small_recipe(), EXPERIMENT, log, opener=opener)
    for name in ("viewer_R", "day_R", "sum_RC", "arm_U", "entry_day_U"):
        assert np.array_equal(getattr(alone, name), getattr(together, name))
    assert alone.counts == together.counts


def test_values_of_a_wrong_size_are_refused_and_counted(tmp_path: Path) -> None:
    events = world_events(20)
    first = next(e for e in events if isinstance(e, Behavior))
    wrong = msgspec.structs.replace(first, event_id="wrong", values={"like": b"\0"}, items=["other"])
    with written(tmp_path / "a.log", [*events, wrong]) as log:
        table = read_table(small_recipe(), None, log)
    assert table.counts["refused"] == 1
    assert table.counts["views"] == 200


def test_an_empty_log_is_reported(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "a.log") as log, pytest.raises(InputError, match="holds no request"):
        read_table(small_recipe(), None, log)


def in_arms(events: list[Event], since: int) -> list[Event]:
    """Label requests: from a time on viewers are in the arm of their number's parity."""
    names = ("control", "treatment")
    return [
        msgspec.structs.replace(e, arm=f"other/x,easq/{names[int(e.user_id[1:]) % 2]}")
        if isinstance(e, Request) and e.ts >= since
        else e
        for e in events
    ]


def test_a_snapshot_separates_the_days_before_and_since_the_entry(tmp_path: Path) -> None:
    events = lively_events()
    days = sorted({e.ts // DAY_MS for e in events})
    start = days[0] + 1
    events = in_arms(events, start * DAY_MS)
    recipe = small_recipe()
    with written(tmp_path / "a.log", events) as log:
        table = read_table(recipe, EXPERIMENT, log)
    expected = plain(recipe, events, LIKES)
    *_, look = snapshots(table, start, table.last_day, EXPERIMENT.pre_days)
    entered = {e.user_id: e.ts // DAY_MS for e in reversed(events) if isinstance(e, Request) and e.arm}
    views = table.metrics.columns.index("views")
    for arm in (0, 1):
        mine = {u: day for u, day in entered.items() if int(u[1:]) % 2 == arm}
        result = look.sum_UC[look.arm_U == arm, views].sum()
        assert result == sum(r["views"] for (u, d), r in expected.items() if u in mine and d >= mine[u])
        before = look.before_UC[look.arm_U == arm, views].sum()
        assert before == sum(r["views"] for (u, d), r in expected.items() if u in mine and d < start)
        assert sorted(look.observed_U[look.arm_U == arm]) == sorted(
            table.last_day - d + 1 for d in mine.values()
        )
    assert not table.crossed_U.any()


def test_who_is_seen_in_two_arms_stays_in_the_first_and_is_counted(tmp_path: Path) -> None:
    events = in_arms(world_events(100), 0)
    user = events[0].user_id
    last = max(n for n, e in enumerate(events) if isinstance(e, Request) and e.user_id == user)
    flipped = {"control": "treatment", "treatment": "control"}[events[last].arm.rpartition("/")[2]]
    events[last] = msgspec.structs.replace(events[last], arm=f"easq/{flipped}")
    with written(tmp_path / "a.log", events, 1) as log:
        table = read_table(small_recipe(), EXPERIMENT, log)
    assert table.crossed_U.tolist() == [n == 0 for n in range(len(table.crossed_U))]
    assert table.arm_U[0] == int(user[1:]) % 2


def test_memory_is_bounded_by_forgetting_viewers_at_random(tmp_path: Path) -> None:
    events = world_events(150)
    with written(tmp_path / "a.log", events) as log:
        whole, thinned = (read_table(small_recipe(), None, log, most_rows=n) for n in (1 << 22, 40))
    assert whole.share == 1
    assert len(thinned.day_R) < len(whole.day_R)
    remaining = [
        u for u in {e.user_id for e in events} if is_kept(np.array([stable_id(u)]), thinned.share)[0]
    ]
    requests = whole.metrics.columns.index("requests")
    expected = sum(isinstance(e, Request) and e.user_id in remaining for e in events)
    assert 0 < thinned.sum_RC[:, requests].sum() == expected


def test_answers_stand_for_asks_and_views_that_gave_none(tmp_path: Path) -> None:
    world = small_world(ask=0.5, answer=0.3)
    assert world.propensity == 0.5
    with written(tmp_path / "a.log", world_events(400, answer=0.3)) as log:
        table = read_table(small_recipe(), None, log)
    sums = rows_of(replace(table, day_R=np.zeros_like(table.day_R)))[0]
    # All answers together stand for all asks, and each ask for two eligible views.
    assert sums["weighted"] == pytest.approx(2 * sums["asked"], rel=0.1)
    assert 0 < sums["weighted_satisfied"] < sums["weighted"]
    assert isinstance(table.response, ResponseSummary)
    assert table.response.effective_answers < sums["answered"]


@pytest.mark.parametrize("ahead", [365, 76 * 365])
def test_a_request_of_a_wrong_clock_does_not_move_the_end(tmp_path: Path, ahead: int) -> None:
    events = [
        msgspec.structs.replace(e, arm="easq/control") for e in world_events(40) if isinstance(e, Request)
    ]
    far = msgspec.structs.replace(events[0], event_id="far", ts=events[0].ts + ahead * DAY_MS)
    recipe = small_recipe()
    with written(tmp_path / "right.log", list(events)) as log:
        right = read_table(recipe, EXPERIMENT, log)
    with written(tmp_path / "wrong.log", [*events, far]) as log:
        wrong = read_table(recipe, EXPERIMENT, log)
    assert wrong.last_arm_day == right.last_arm_day


def test_a_pause_of_years_takes_moments(tmp_path: Path) -> None:
    events = [
        msgspec.structs.replace(e, arm="easq/control") for e in world_events(40) if isinstance(e, Request)
    ]
    later = [
        msgspec.structs.replace(e, event_id=f"l{e.event_id}", ts=e.ts + 76 * 365 * DAY_MS) for e in events
    ]
    with written(tmp_path / "a.log", [*events, *later]) as log:
        table = read_table(small_recipe(), EXPERIMENT, log)
    looks = list(snapshots(table, table.first_day, table.last_arm_day, 2))
    assert table.last_arm_day - table.first_day > 76 * 364
    assert len(looks) < 100
    assert looks[-1].sum_UC.sum() == looks[-1].before_UC.sum() + table.sum_RC.sum()
