import dataclasses

import numpy as np
import pytest

from easq.sources.world.answering import AskRates
from easq.sources.world.calibration import CALIBRATION
from easq.sources.world.population import SCENARIOS
from easq.sources.world.simulate import DAY_MS, START_MS, World, WorldChunk


def simulate(
    seed: int = 1, num_requests: int = 400, scenario: str = "main"
) -> tuple[World, list[WorldChunk]]:
    world = World(seed, AskRates(), num_viewers=500, num_items=400, scenario=scenario)
    return world, list(world.chunks(num_requests, size=100))


def every(chunks: list[WorldChunk], column: str) -> np.ndarray:
    return np.concatenate([getattr(chunk, column) for chunk in chunks])


def test_equal_seeds_give_equal_bytes_and_others_do_not() -> None:
    first, second, third = (simulate(seed)[1][-1] for seed in (1, 1, 2))
    for field in dataclasses.fields(WorldChunk):
        one, other = getattr(first, field.name), getattr(second, field.name)
        assert one == other if isinstance(one, str | float) else one.tobytes() == other.tobytes(), field.name
    assert not np.array_equal(first.item_RC, third.item_RC)


def test_candidates_of_a_request_are_distinct_and_time_runs_forward() -> None:
    _, chunks = simulate()
    assert all(len(set(row)) == len(row) for row in every(chunks, "item_RC").tolist())
    assert (np.diff(every(chunks, "ts_R")) >= 0).all()


def test_as_many_requests_come_as_were_wanted_each_chunk_of_different_viewers() -> None:
    world = World(1, AskRates(), num_viewers=30, num_items=100)
    world.views_per_day = 1000
    chunks = list(world.chunks(500, size=64))
    assert sum(len(chunk.ts_R) for chunk in chunks) == 500
    assert all(len(set(chunk.user_R.tolist())) == len(chunk.user_R) for chunk in chunks)


def test_history_holds_what_the_viewer_watched_before() -> None:
    world, chunks = simulate(num_requests=3000)
    watched: dict[int, list[int]] = {}
    for chunk in chunks:
        for r, user in enumerate(chunk.user_R.tolist()):
            size = int(chunk.history_size_R[r])
            assert chunk.history_RL[r, :size].tolist() == watched.get(user, [])[-world.history :]
            duration = world.catalogue.duration_s_I[chunk.item_RC[r]]
            half = chunk.play_s_RC[r] >= np.float32(0.5) * duration
            watched.setdefault(user, []).extend(chunk.item_RC[r][half].tolist())


def test_bait_is_watched_and_regretted() -> None:
    world, chunks = simulate(num_requests=3000)
    items = every(chunks, "item_RC").ravel()
    ratio = every(chunks, "play_s_RC").ravel() / world.catalogue.duration_s_I[items]
    satisfaction = every(chunks, "satisfaction_RC").ravel()
    bait = world.catalogue.bait_I[items] > 0.5
    assert ratio[bait].mean() > 1.1 * ratio[~bait].mean()
    assert satisfaction[bait].mean() < 0.7 * satisfaction[~bait].mean()


def test_scenario_with_more_bait_is_watched_as_long_and_satisfies_less() -> None:
    (main, mains), (bait, baits) = simulate(num_requests=3000), simulate(num_requests=3000, scenario="bait")
    assert bait.catalogue.bait_I.mean() > 1.5 * main.catalogue.bait_I.mean()
    ratios = [
        (every(chunks, "play_s_RC") / world.catalogue.duration_s_I[every(chunks, "item_RC")]).mean()
        for world, chunks in ((main, mains), (bait, baits))
    ]
    assert ratios[1] > ratios[0]
    assert every(baits, "satisfaction_RC").mean() < 0.9 * every(mains, "satisfaction_RC").mean()


def test_truth_is_the_share_of_satisfied_moments() -> None:
    _, chunks = simulate(num_requests=3000)
    felt, truth = every(chunks, "felt_RC").ravel(), every(chunks, "satisfaction_RC").ravel()
    satisfied = felt > CALIBRATION.thresholds[2]
    for low, high in ((0.1, 0.2), (0.4, 0.5), (0.7, 0.8)):
        inside = (truth > low) & (truth < high)
        assert satisfied[inside].mean() == pytest.approx(truth[inside].mean(), abs=0.04)


def test_behaviors_keep_their_definitions() -> None:
    world, chunks = simulate(num_requests=1000)
    seconds = every(chunks, "play_s_RC")
    duration = world.catalogue.duration_s_I[every(chunks, "item_RC")]
    for name, least in (("click_RC", 7), ("long_view_RC", 18)):
        assert np.array_equal(every(chunks, name) == 1, seconds >= np.minimum(least, duration))
    assert np.array_equal(every(chunks, "play_ms_RC"), np.rint(seconds * 1000))
    assert list(chunks[0].behaviors)[:3] == ["play_ms", "click", "long_view"]


def test_catalogue_is_renewed_and_items_keep_their_numbers() -> None:
    world = World(1, AskRates(), num_viewers=200, num_items=400)
    world.views_per_day = 2000
    before = world.catalogue
    chunks = list(world.chunks(1000))
    assert len(world.catalogue.topic_I) == pytest.approx(400 + 4 * 400 / 20, abs=40)
    assert np.array_equal(world.catalogue.author_I[:400], before.author_I)
    items, age = every(chunks, "item_RC"), every(chunks, "age_days_RC")
    assert (items >= 400).any()
    assert (age >= 0).all()
    day_R = (every(chunks, "ts_R") - START_MS) / DAY_MS
    born = world.catalogue.born_day_I[items]
    assert (born <= day_R[:, None]).all()
    assert np.allclose(age, day_R[:, None] - born, atol=1e-3)


def test_interests_turn_with_time_and_keep_their_spread() -> None:
    viewers = simulate()[0].viewers
    first, later = viewers.interest.on(0), viewers.interest.on(20)
    assert np.corrcoef(first.ravel(), later.ravel())[0, 1] == pytest.approx(np.cos(2 * np.pi / 6), abs=0.1)
    assert later.std() == pytest.approx(first.std(), rel=0.05)


def test_some_viewers_stay_away_after_the_first_day() -> None:
    world = World(1, AskRates(), num_viewers=300, num_items=400)
    world.views_per_day = 20_000
    first, second = [], []
    for chunk in world.chunks(4000, size=50):
        (first if chunk.ts_R[0] < START_MS + DAY_MS else second).append(chunk)
    came, stayed = (len(set(every(chunks, "user_R").tolist())) for chunks in (first, second))
    assert came > 0.9 * 300
    assert 0.65 * came < stayed < 0.9 * came


def test_impossible_worlds_are_refused() -> None:
    with pytest.raises(ValueError, match="the ask rate must lie between 0 and 1, got 2"):
        AskRates(ask=2)
    with pytest.raises(ValueError, match="scenario: got 'sea'; allowed: main, bait"):
        World(1, AskRates(), scenario="sea")
    with pytest.raises(ValueError, match="num_items: got 9; allowed: 10 or more"):
        World(1, AskRates(), num_items=9)
    with pytest.raises(ValueError, match="num_viewers: got 0; allowed: 1 or more"):
        World(1, AskRates(), num_viewers=0)


def test_worlds_of_two_scenarios_have_no_request_in_common() -> None:
    assert list(SCENARIOS) == ["main", "bait", "silent"]
    main, bait, silent = (simulate(scenario=scenario)[1][0] for scenario in SCENARIOS)
    assert len({main.name, bait.name, silent.name}) == 3
