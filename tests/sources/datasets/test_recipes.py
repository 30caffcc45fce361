"""The recipes for the real data sets ask for what the loaders say."""

from pathlib import Path

import pytest

from easq.log.events import Answered, Behavior
from easq.recipe.features import Categorical, History, Multi, Numeric
from easq.recipe.read import read_recipe
from easq.sources.datasets.base import EventSource
from easq.sources.datasets.eeg_svrec import load_eeg_svrec
from easq.sources.datasets.kuairand import load_kuairand
from tests.support.paths import RECIPES
from tests.support.small_datasets import (
    NOON,
    eeg_svrec,
    eeg_view,
    events_of,
    kuairand,
    kuairand_view,
    requests_of,
)


def fabricated(name: str, root: Path) -> EventSource:
    if name == "eeg_svrec":
        return load_eeg_svrec(eeg_svrec(root, {"01": {"10": eeg_view(NOON, 40, like=1)}}))
    flags = ("is_click", "long_view", "is_comment", "is_follow", "is_forward", "is_profile_enter", "is_like")
    return load_kuairand(kuairand(root, [kuairand_view(1, 10, NOON, **dict.fromkeys(flags, 1))]))


@pytest.mark.parametrize("name", ["kuairand", "eeg_svrec"])
def test_every_feature_behavior_and_option_of_a_recipe_is_in_the_events(tmp_path: Path, name: str) -> None:
    recipe = read_recipe(RECIPES / f"{name}.toml")
    assert recipe.data is not None
    assert recipe.data.loader == name
    loaded = fabricated(name, tmp_path)
    (request,) = requests_of(loaded)
    for feature in recipe.features:
        match feature:
            case History():
                assert feature.name in request.viewer
            case Multi():
                assert feature.name in request.candidates
                assert len(request.lengths[feature.name]) == 2
            case Categorical() | Numeric():
                side = request.viewer if feature.side == "viewer" else request.candidates
                assert len(side[feature.name]) == (4 if isinstance(feature, Numeric) else 8)
    declared = {feature.name for feature in recipe.features}
    assert declared <= request.viewer.keys() | request.candidates.keys()
    (done,) = (event for event in events_of(loaded) if isinstance(event, Behavior))
    assert {behavior.name for behavior in recipe.behaviors} <= done.values.keys()
    (answer,) = (event for event in events_of(loaded) if isinstance(event, Answered))
    assert answer.question == recipe.question.name
    assert answer.option in recipe.question.options
