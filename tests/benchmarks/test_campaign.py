"""A campaign moves its author far when answers are believed, and much less when they are judged."""

import sys

import pytest
from campaign import Campaign, disliked_author

from easq.learn.trainer import compute_alike
from easq.model.method import read_method
from easq.recipe.read import read_recipe
from easq.sources.world.simulate import AskRates, World
from tests.support.paths import RECIPES


@pytest.mark.parametrize("spares_others", [False, True])
@pytest.mark.parametrize("seed", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_the_defense_removes_most_of_a_campaigns_gain(seed: int, spares_others: bool) -> None:
    """The short form of `benchmarks/attack.py`, with four times as many asks.

    On EASQ, which few answers pull far: the probe's price bounds a campaign before any defense does.
    """
    from attack import ARMS, Attack, mean_rank

    compute_alike(1)
    recipe = read_recipe(RECIPES / "world.toml", ["method.kind=easq"], methods=read_method)
    attack = Attack(spares_others=spares_others)
    ranked = {arm: mean_rank(arm, seed, 60_000, AskRates(0.2, 0.1), attack, recipe) for arm in ARMS}
    for name in ("attack", "common"):
        sys.modules.pop(name)
    silent = ranked["silent"][0]
    undefended, defended = (silent - ranked[arm][0] for arm in ("undefended", "defended"))
    # Of the way to the first place: how far there is to go depends on the world and on the method.
    assert undefended > 0.6 * (silent - 1)
    assert defended < 3.5
    assert defended < 0.6 * undefended
    told = ranked["defended"][1]
    # Who also rates everybody else down floods no one author: that half is found later.
    assert told.hostile_weight < (0.2 if spares_others else 0.5) * told.hostile
    assert told.honest_weight > 0.99 * told.honest


@pytest.mark.parametrize(("aim", "most"), [("silence", 0.5), ("blame", 1.5)])
def test_the_defense_is_no_weapon_against_a_liked_author(aim: str, most: float) -> None:
    """Neither a flood of praise, which makes praise doubtful, nor one of blame costs the author much."""
    from attack import Attack, mean_rank

    compute_alike(1)
    attack = Attack(aim, spares_others=True)
    silent, defended = (
        mean_rank(arm, 4, 60_000, AskRates(0.2, 0.1), attack) for arm in ("silent", "defended")
    )
    for name in ("attack", "common"):
        sys.modules.pop(name)
    assert defended[0] - silent[0] < most
    told = defended[1]
    assert told.hostile_weight < 0.2 * told.hostile
    assert told.honest_weight > 0.99 * told.honest


def test_the_campaign_answers_every_ask_and_leaves_honest_viewers_as_they_were() -> None:
    world = World(1, AskRates(0.3, 0.2), num_viewers=200, num_items=400)
    campaign = Campaign(disliked_author(world))
    (before,) = world.chunks(200, size=200)
    after = campaign.join(world, before, 0.3)
    hostile_R = campaign.is_hostile(world, before.user_R)
    assert hostile_R.sum() == 10
    for name in ("item_RC", "asked_RC", "option_RC", "play_s_RC"):
        assert (getattr(after, name)[~hostile_R] == getattr(before, name)[~hostile_R]).all()
    is_own_RC = world.catalogue.author_I[after.item_RC] == campaign.author
    assert (is_own_RC[hostile_R].sum(1) >= 3).all()
    assert all(len(set(row)) == world.candidates for row in after.item_RC.tolist())
    asked_RC = after.asked_RC & hostile_R[:, None]
    assert (after.option_RC[asked_RC & is_own_RC] == 2).all()
    assert (after.option_RC[asked_RC & ~is_own_RC] == 0).all()
    assert (Campaign(campaign.author, is_silent=True).join(world, before, 0.3).option_RC[hostile_R] < 0).all()
