import numpy as np
import pytest

from easq.sources.world.answering import AskRates, answer_chance, eligible, named_level, option
from easq.sources.world.simulate import World, WorldChunk


def simulate(ask: float, answer: float, num_requests: int = 4000) -> list[WorldChunk]:
    return list(
        World(1, AskRates(ask, answer), num_viewers=500, num_items=400).chunks(num_requests, size=100)
    )


def every(chunks: list[WorldChunk], column: str) -> np.ndarray:
    return np.concatenate([getattr(chunk, column) for chunk in chunks])


def test_asks_and_answers_come_at_their_rates_and_only_on_eligible_views() -> None:
    chunks = simulate(0.3, 0.4)
    asked, answer = every(chunks, "asked_RC"), every(chunks, "option_RC")
    long_enough = every(chunks, "play_s_RC") >= 7
    assert not (answer >= 0)[~asked].any()
    assert asked[long_enough].mean() == pytest.approx(0.3, abs=0.01)
    assert (answer >= 0)[asked].mean() == pytest.approx(0.4, abs=0.03)


def test_seven_seconds_or_half_of_the_video_make_a_view_eligible() -> None:
    seconds, ratio = np.array([[6.9, 7.0, 3.0]], np.float32), np.array([[0.1, 0.1, 0.5]], np.float32)
    assert eligible(seconds, ratio).tolist() == [[False, True, True]]


def test_who_is_annoyed_answers_more_often() -> None:
    chunks = simulate(1.0, 0.4)
    asked = every(chunks, "asked_RC")
    answered, felt = every(chunks, "option_RC")[asked] >= 0, every(chunks, "felt_RC")[asked]
    assert answered[felt < -1].mean() > 1.2 * answered[felt > 1].mean()


def test_no_chance_to_answer_passes_one() -> None:
    felt = np.array([-9.0, 0.0], np.float32)
    assert answer_chance(felt, 0.9).max() <= 1
    assert answer_chance(felt, 0.0).max() == 0


def test_answers_follow_the_truth() -> None:
    chunks = simulate(1.0, 1.0)
    answer, truth = every(chunks, "option_RC"), every(chunks, "satisfaction_RC")
    means = [truth[answer == o].mean() for o in (0, 1, 2)]
    assert means == sorted(means)


def test_way_of_answering_moves_the_level() -> None:
    felt, random = np.zeros(2000, np.float32), np.random.default_rng(1)
    kind, harsh = (named_level(felt, np.full(2000, s, np.float32), random).mean() for s in (0.5, -0.5))
    assert kind > harsh + 0.5


def test_levels_fall_into_three_options() -> None:
    assert option(np.arange(5)).tolist() == [0, 0, 1, 2, 2]
