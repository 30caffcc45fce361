"""Answers needed for equal satisfaction, asking uniformly and asking where answers teach most.

    python benchmarks/adaptive.py [--views 300000] [--seeds 5] [--json]

Each seed is a world in which a model learns from answers, of fewer and of more asks, chosen in three ways:
uniformly, adaptively, and adaptively with each answer weighed by the inverse of its ask's probability.
Behavior and viewers are the same in all. Then the model ranks the requests that come next, and the true
satisfaction of the first three counts. Uniform asking is read at the other's number of answers, between its
own numbers.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from statistics import fmean, stdev
from typing import Any

import msgspec
import numpy as np
from common import DEFAULT, show

from easq.ask.adaptive import Beliefs, believed, group_of, mixed, observe, teaching
from easq.features.batch import Batcher, make_batch
from easq.features.examples import AnsweredView
from easq.features.join import build_joiner
from easq.learn.build import build_encoder, build_learner
from easq.learn.learner import Learner
from easq.learn.trainer import compute_alike
from easq.log.events import Answered, Asked, Event, Request
from easq.sources.world.answering import AskRates, answer_chance, eligible, named_level, option
from easq.sources.world.recording import events
from easq.sources.world.simulate import World, WorldChunk

POLICIES = ("uniform", "adaptive", "corrected")
_RATES = (0.02, 0.05, 0.125)  # of uniform asks
_MORE = 2.5  # times as high is an adaptive rate, so that about as many are asked
_ANSWERED = 0.1
_FLOOR = DEFAULT.ask.adaptive_floor
_HALF_LIFE_MS = DEFAULT.ask.adaptive_half_life_hours * 3_600_000
_CHUNK, _PROBES, _TOP = 256, 6000, 3
_T = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26}  # by seeds, 95 %


@dataclass
class Questionnaire:
    """Asks the eligible views of one world by a policy; the draws are the same for every policy."""

    world: World
    policy: str
    rate: float
    seed: int
    beliefs: Beliefs = field(default_factory=Beliefs)
    answers: int = 0
    inverse_sum: float = 0.0

    def events(self, chunk: WorldChunk, number: int) -> Iterator[Event]:
        """Yield the events of a chunk with the asks and answers of this policy in them."""
        world, catalogue = self.world, self.world.catalogue
        random = np.random.default_rng([self.seed, 11, number])
        draw_RC, teach_RC, reply_RC = random.random((3, *chunk.item_RC.shape))
        style_RC = np.broadcast_to(world.viewers.answer_style_U[chunk.user_R][:, None], chunk.item_RC.shape)
        would_say_RC = option(named_level(chunk.felt_RC, style_RC, random))
        ratio_RC = chunk.play_s_RC / catalogue.duration_s_I[chunk.item_RC]
        rate_RC = self._rates(chunk, teach_RC)
        asked_RC = eligible(chunk.play_s_RC, ratio_RC) & (draw_RC < rate_RC)
        answers_RC = asked_RC & (reply_RC < answer_chance(chunk.felt_RC, _ANSWERED))
        option_RC = np.where(answers_RC, would_say_RC, -1)
        told = events(world, replace(chunk, asked_RC=asked_RC, option_RC=option_RC))
        for event in sorted(told, key=lambda e: e.ts):
            yield self._heard(event, rate_RC) if isinstance(event, Asked | Answered) else event

    def _rates(self, chunk: WorldChunk, teach_RC: np.ndarray) -> np.ndarray:
        if self.policy == "uniform":
            return np.full(teach_RC.shape, self.rate)
        author_RC = self.world.catalogue.author_I[chunk.item_RC]
        rate_RC = np.empty_like(teach_RC)
        for r, (user, ts) in enumerate(zip(chunk.user_R.tolist(), chunk.ts_R.tolist(), strict=True)):
            for c, (author, sample) in enumerate(
                zip(author_RC[r].tolist(), teach_RC[r].tolist(), strict=True)
            ):
                group = group_of("", str(author))
                belief = believed(self.beliefs, group, f"u{user}", ts, _HALF_LIFE_MS)
                rate_RC[r, c] = mixed(self.rate, _FLOOR, teaching(group, belief, sample).gain)
        return rate_RC

    def _heard(self, event: Asked | Answered, rate_RC: np.ndarray) -> Event:
        place = event.event_id.rpartition(".")[2].replace("q", "a").split("a")
        propensity = float(rate_RC[int(place[0]), int(place[1])])
        event = msgspec.structs.replace(event, propensity=propensity)
        if isinstance(event, Answered):
            self.answers += 1
            author = self.world.catalogue.author_I[int(event.item_id[1:])]
            observe(self.beliefs, event, group_of("", str(author)), DEFAULT.question.options, _HALF_LIFE_MS)
            self.inverse_sum += 1 / propensity
            if self.policy == "corrected":
                # Normalized by their own mean, so that answers weigh as much as uncorrected ones.
                weight = self.answers / propensity / self.inverse_sum
                event = msgspec.structs.replace(event, weight=weight)
        return event


def learned(policy: str, rate: float, seed: int, views: int) -> tuple[int, float]:
    """Let one world live and a model learn; return how many answered, and the satisfaction it ranks first."""
    world = World(seed, AskRates(0.0, 0.0))
    asking = Questionnaire(world, policy, rate if policy == "uniform" else min(1.0, _MORE * rate), seed)
    encoder, joiner = build_encoder(DEFAULT), build_joiner(DEFAULT)
    learner = build_learner(DEFAULT, encoder)
    batcher = Batcher(DEFAULT.training.batch_rows, DEFAULT.training.batch_answers)
    num_requests = -(-views // world.candidates)
    unseen: list[WorldChunk] = []
    seen = 0
    for number, chunk in enumerate(world.chunks(num_requests + _PROBES, _CHUNK)):
        if seen >= num_requests:
            unseen.append(chunk)
            continue
        seen += len(chunk.user_R)
        for event in asking.events(chunk, number):
            batcher.add(joiner.push(event))
            while cut := batcher.cut():
                learner.step(make_batch(encoder, DEFAULT.behaviors, DEFAULT.order.cap, cut))
    return asking.answers, _satisfaction(world, unseen, learner, encoder)


def _satisfaction(world: World, unseen: list[WorldChunk], learner: Learner, encoder: Any) -> float:
    """Return the mean true satisfaction of what the model ranks first."""
    found = []
    for chunk in unseen:
        requests = [e for e in events(world, chunk) if isinstance(e, Request)]
        asked = [AnsweredView(request, 0, 0, 1.0) for request in requests]
        batch = make_batch(encoder, DEFAULT.behaviors, DEFAULT.order.cap, asked)
        score_RC = learner.score(batch).reshape(len(asked), world.candidates)
        first_RT = np.argsort(-score_RC, 1, kind="stable")[:, :_TOP]
        found.append(np.take_along_axis(chunk.satisfaction_RC, first_RT, 1).mean(1))
    return float(np.concatenate(found).mean())


def measure(seeds: int, views: int) -> dict[str, Any]:
    """Return answers and satisfaction by policy, asks and seed, and what the policies differ by."""
    compute_alike(1)
    runs = {
        policy: [[learned(policy, rate, seed, views) for rate in _RATES] for seed in range(1, seeds + 1)]
        for policy in POLICIES
    }
    uniform = np.array(runs["uniform"])
    log_answers_S, satisfied_S = np.log(uniform[..., 0]), uniform[..., 1]
    slope = float(np.polyfit(log_answers_S.mean(0), satisfied_S.mean(0), 1)[0])
    return {
        "views": views,
        "runs": runs,
        "slope": slope,
        "against_uniform": {policy: _against(runs[policy], uniform, slope) for policy in POLICIES[1:]},
    }


def _against(rows: list[list[tuple[int, float]]], uniform: np.ndarray, slope: float) -> dict[str, float]:
    """Return the mean gain in satisfaction at equal answers, and by how much fewer answers would do.

    A number of answers outside those of uniform asking is left out.
    """
    gains = []
    for row, base in zip(rows, uniform, strict=True):
        at = [np.interp(np.log(n), np.log(base[:, 0]), base[:, 1], np.nan, np.nan) for n, _ in row]
        gains.append(float(np.nanmean([sat - b for (_, sat), b in zip(row, at, strict=True)])))
    half = _T[len(gains)] * stdev(gains) / len(gains) ** 0.5
    mean = fmean(gains)
    needed = {
        name: float(np.exp(-g / slope))
        for name, g in (("", mean), ("_low", mean + half), ("_high", mean - half))
    }
    return {"gain": mean, "half_width": half, **{f"answers_needed{n}": v for n, v in needed.items()}}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--views", type=int, default=300_000)
    parser.add_argument("--seeds", type=int, default=5, choices=sorted(_T))
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    options = parser.parse_args()
    result = measure(options.seeds, options.views)

    def table() -> str:
        lines = ["means over seeds: answers and true satisfaction of the first three"]
        for policy, rows in result["runs"].items():
            mean = np.array(rows).mean(0)
            lines.append(f"{policy:9}  " + "   ".join(f"{n:7,.0f} {sat:.4f}" for n, sat in mean))
        for policy, found in result["against_uniform"].items():
            lines.append(
                f"{policy}: {found['gain']:+.4f} (+- {found['half_width']:.4f}) at equal answers; as "
                f"satisfied with {found['answers_needed']:.2f} ({found['answers_needed_low']:.2f} to "
                f"{found['answers_needed_high']:.2f}) times the answers"
            )
        return "\n".join(lines)

    show(result, options.json, table)


if __name__ == "__main__":
    main()
