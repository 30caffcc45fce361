"""A campaign moves its author far when answers are believed, and much less when they are judged."""

import sys

import pytest
from campaign import Campaign, disliked_author

from easq.learn.trainer import compute_alike
from easq.sources.world.simulate import AskRates, World


@pytest.mark.parametrize("seed", [2, 4])
def test_the_defense_removes_most_of_a_campaigns_gain(seed: int) -> None:
    """The short form of `benchmarks/attack.py`, with four times as many asks."""
    from attack import ARMS, mean_rank  # type: ignore[import-not-found]

    compute_alike(1)
    rank = {arm: mean_rank(arm, seed, 60_000, AskRates(0.2, 0.1), False)[0] for arm in ARMS}
    for name in ("attack", "common"):
        sys.modules.pop(name)
    undefended, defended = (rank["silent"] - rank[arm] for arm in ("undefended", "defended"))
    # Of the way to the first place: how far there is to go depends on the world and on the method.
    assert undefended > 0.6 * (rank["silent"] - 1)
    assert defended < 3.5
    assert defended < 0.6 * undefended


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
