"""How far 5 % hostile viewers move one author by their answers, with and without the defence.

    python benchmarks/attack.py [--aim promote|silence|blame] [--views 300000] [--seeds 5] [--json]

Each seed is a world with a disliked author (promote) or a liked one, and a model trained on it three times:
the campaign silent, answering undefended, and answering against quality weights and the bound of a viewer's
weight. Then the author's items are ranked among nine others each, for honest viewers: 1 is first, 10 last.
"""

import argparse
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from campaign import Campaign, disliked_author, judged, liked_author, one_busy_viewer
from common import DEFAULT, RATES, show

from easq.features.batch import Batcher, make_batch
from easq.features.examples import AnsweredView
from easq.features.join import build_joiner
from easq.learn.build import build_encoder, build_learner
from easq.learn.learner import Learner
from easq.learn.trainer import compute_alike
from easq.log.events import Answered, Request
from easq.recipe.recipe import Recipe
from easq.sources.world.recording import events
from easq.sources.world.simulate import AskRates, World

ARMS = ("silent", "undefended", "defended")
_PROBES = 1000


@dataclass
class Told:
    """What an arm's answers came to: how many, and their weight, of the campaign and of others."""

    hostile: int = 0
    hostile_weight: float = 0.0
    honest: int = 0
    honest_weight: float = 0.0


def recipe_of(arm: str, recipe: Recipe = DEFAULT) -> Recipe:
    """Return the recipe of an arm: undefended, no viewer's weight is bounded."""
    if arm == "defended":
        return recipe
    answers = msgspec.structs.replace(recipe.answers, viewer_weight=0.0)
    return msgspec.structs.replace(recipe, answers=answers)


@dataclass(frozen=True)
class Attack:
    """What the campaign wants, and who it is.

    promote: praise a disliked author. silence: praise a liked one, so that the defence takes the praise of
    others for a flood. blame: say the worst about a liked one. If one viewer `is_alone`, he makes a tenth of
    all requests, and is asked about all that he opens.
    """

    aim: str = "promote"
    spares_others: bool = False
    is_alone: bool = False

    def campaign(self, world: World, is_silent: bool) -> Campaign:
        """Return the campaign in a world."""
        author = disliked_author(world) if self.aim == "promote" else liked_author(world)
        return Campaign(
            author,
            is_silent=is_silent,
            spares_others=self.spares_others,
            num_hostile=int(self.is_alone),
            blames=self.aim == "blame",
        )


def mean_rank(
    arm: str, seed: int, views: int, rates: AskRates, attack: Attack, recipe: Recipe = DEFAULT
) -> tuple[float, Told]:
    """Simulate a world, train a model on it, and return the author's mean rank for honest viewers."""
    recipe, world, told = recipe_of(arm, recipe), World(seed, rates), Told()
    campaign = attack.campaign(world, arm == "silent")
    encoder, joiner = build_encoder(recipe), build_joiner(recipe)
    learner = build_learner(recipe, encoder)
    batcher = Batcher(recipe.training.batch_rows, recipe.training.batch_answers)
    num_hostile = campaign.number(world)

    def author_of(item_id: str) -> str:
        return str(world.catalogue.author_I[int(item_id[1:])])

    def stream() -> Any:
        for chunk in world.chunks(-(-views // world.candidates)):
            told_chunk = one_busy_viewer(chunk, 0.1) if attack.is_alone else chunk
            joined = campaign.join(world, told_chunk, 1.0 if attack.is_alone else rates.ask)
            yield from sorted(events(world, joined), key=lambda e: e.ts)

    said = judged(stream(), recipe.quality, author_of) if arm == "defended" else stream()
    for event in said:
        if isinstance(event, Answered):
            if int(event.user_id[1:]) < num_hostile:
                told.hostile, told.hostile_weight = told.hostile + 1, told.hostile_weight + event.weight
            else:
                told.honest, told.honest_weight = told.honest + 1, told.honest_weight + event.weight
        batcher.add(joiner.push(event))
        while cut := batcher.cut():
            learner.step(make_batch(encoder, recipe.behaviors, recipe.order.cap, cut))
    return _rank(world, campaign, learner, encoder, recipe), told


def _rank(world: World, campaign: Campaign, learner: Learner, encoder: Any, recipe: Recipe) -> float:
    """Put an item of the author in the place of the first candidate of fresh requests of honest viewers."""
    own_I = np.flatnonzero(world.catalogue.author_I == campaign.author)
    chunk = next(world.chunks(2 * _PROBES, size=2 * _PROBES))
    is_own_RC = world.catalogue.author_I[chunk.item_RC] == campaign.author
    kept = ~campaign.is_hostile(world, chunk.user_R) & ~is_own_RC.any(1)
    for number, r in enumerate(np.flatnonzero(kept)):
        chunk.item_RC[r, 0] = own_I[number % len(own_I)]
    requests = [e for e in events(world, chunk) if isinstance(e, Request)]
    asked = [AnsweredView(r, 0, 0, 1.0) for r, k in zip(requests, kept, strict=True) if k][:_PROBES]
    batch = make_batch(encoder, recipe.behaviors, recipe.order.cap, asked)
    score_RC = learner.score(batch).reshape(len(asked), world.candidates)
    return float(1 + (score_RC[:, 1:] > score_RC[:, :1]).sum(1).mean())


def measure(seeds: int, views: int, rates: AskRates, attack: Attack) -> dict[str, Any]:
    """Return ranks by seed and arm, and how far each arm moved the author from where silence leaves it.

    Places lost are negative.
    """
    compute_alike(1)
    rows: list[dict[str, Any]] = []
    for seed in range(1, seeds + 1):
        ranks: dict[str, float] = {}
        told: dict[str, Told] = {}
        for arm in ARMS:
            ranks[arm], told[arm] = mean_rank(arm, seed, views, rates, attack)
        rows.append({"seed": seed, **ranks, "answers": vars(told["defended"])})
    moved = {arm: [row["silent"] - row[arm] for row in rows] for arm in ARMS[1:]}
    return {
        "views": views,
        "rows": rows,
        **{f"{arm}_places_won": float(np.mean(moved[arm])) for arm in moved},
        **{f"{arm}_most_places_won": max(moved[arm]) for arm in moved},
        **{f"{arm}_least_places_won": min(moved[arm]) for arm in moved},
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--views", type=int, default=300_000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--aim", choices=["promote", "silence", "blame"], default="promote")
    parser.add_argument("--spare-others", action="store_true", help="the campaign says nothing about others")
    parser.add_argument("--alone", action="store_true", help="one viewer, who answers day and night")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    options = parser.parse_args()
    attack = Attack(options.aim, options.spare_others, options.alone)
    result = measure(options.seeds, options.views, RATES, attack)

    def table() -> str:
        lines = ["seed  silent  undefended  defended  hostile answers (weight)  honest answers (weight)"]
        for row in result["rows"]:
            told = row["answers"]
            lines.append(
                f"{row['seed']:4}  {row['silent']:6.2f}  {row['undefended']:10.2f}  {row['defended']:8.2f}  "
                f"{told['hostile']:15,} ({told['hostile_weight']:,.1f})  "
                f"{told['honest']:14,} ({told['honest_weight']:,.1f})"
            )
        lines.append(
            f"places won: {result['undefended_places_won']:.2f} undefended, "
            f"{result['defended_places_won']:.2f} defended; at most "
            f"{result['undefended_most_places_won']:.2f} and {result['defended_most_places_won']:.2f}, "
            f"at least {result['undefended_least_places_won']:.2f} and "
            f"{result['defended_least_places_won']:.2f}"
        )
        return "\n".join(lines)

    show(result, options.json, table)


if __name__ == "__main__":
    main()
