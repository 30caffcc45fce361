from dataclasses import fields

import numpy as np
import pytest

from easq.sources.world.calibration import CALIBRATION
from easq.sources.world.lab import Session, draw_guests, run_session
from easq.sources.world.population import SCENARIOS, read_scenario
from easq.sources.world.realism import behavior_auc
from easq.sources.world.simulate import AskRates, World, WorldChunk


def laboratory(scenario: str) -> Session:
    return run_session(draw_guests(400, 2, CALIBRATION.sharpness, scenario), 2)


def chunk_of(scenario: str) -> WorldChunk:
    return next(World(3, AskRates(), 500, 400, scenario).chunks(300))


def test_silence_of_zero_is_the_main_scenario() -> None:
    main, silent = chunk_of("main"), chunk_of("silent=0")
    for field in fields(WorldChunk):
        if field.name != "name":
            assert np.array_equal(getattr(main, field.name), getattr(silent, field.name)), field.name


def test_the_more_silence_the_less_behavior_tells_and_likes_stay_as_frequent() -> None:
    sessions = [laboratory(scenario) for scenario in ("main", "silent=0.3", "silent=0.7", "silent=1")]
    aucs = [behavior_auc(session) for session in sessions]
    likes = [float(session.reactions.did["like"].mean()) for session in sessions]
    assert aucs == sorted(aucs, reverse=True)
    assert aucs[0] > 0.8
    assert aucs[-1] < 0.56
    assert likes == pytest.approx([likes[0]] * 4, rel=0.05)


def test_silent_viewers_are_served_by_what_they_show_and_satisfied_by_what_they_feel() -> None:
    main, silent = chunk_of("main"), chunk_of("silent=1")
    # Where retrieval follows impulse alone, candidates are no nearer to the viewer's interests than others.
    assert silent.satisfaction_RC.mean() < main.satisfaction_RC.mean() - 0.05
    satisfied_RC, liked_RC = silent.satisfaction_RC, silent.like_RC
    assert abs(np.corrcoef(satisfied_RC.ravel(), liked_RC.ravel())[0, 1]) < 0.05


def test_silence_is_read_from_the_name_of_a_scenario() -> None:
    assert read_scenario("silent").silence == SCENARIOS["silent"].silence == 0.75
    assert read_scenario("silent=.30").name == "silent=0.3"
    for text in ("silent=1.1", "silent=nan", "silent=", "main=0.5", "main=", "sea", ""):
        with pytest.raises(ValueError, match="scenario: got"):
            read_scenario(text)


def test_worlds_of_other_silences_have_other_names() -> None:
    assert chunk_of("silent").name != chunk_of("silent=0.3").name
    # A silence and a seed are told apart.
    assert "silent=0.3_3." in chunk_of("silent=0.3").name
