"""The same methods on a real log: they learn a part of its answers and are scored on the rest.

Shapes: G held-back answers.
"""

import dataclasses
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from zlib import crc32

import msgspec
import numpy as np

from easq.arrays import F64, I64
from easq.learn.learner import StepResult
from easq.learn.trainer import Trainer, compute_alike
from easq.log.base import EventLog
from easq.log.events import EVENTS, Answered, Event
from easq.log.sqlite import SqliteLog
from easq.model.pairwise_accuracy import pairs_right
from easq.prove.bench.linear import LINEAR, LinearReference, LinearSettings
from easq.prove.offline.first_scores import FirstScores
from easq.prove.offline.references import References, own_ranker
from easq.prove.offline.tally import Tally
from easq.prove.offline.window import Window
from easq.recipe.recipe import Recipe

METRICS = ("sat/raw_auc", "sat/auc", "sat/pair_accuracy", "sat/hr@1", "sat/hr@5", "sat/ndcg@5", "sat/mrr")
BEHAVIOR = "pair_accuracy"
_READ = 4096
Held = dict[tuple[str, int], int]
_MODEL = "model"


def is_kept(event: Answered, kept: float, seed: int) -> bool:
    """Return whether an answer is learned; a smaller share is a subset of a larger one."""
    drawn = crc32(f"{seed} {event.request_id} {event.item_id}".encode())
    # The last mixing step of MurmurHash3: CRC alone is linear, so near ids would be drawn together.
    drawn = (drawn ^ drawn >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    drawn = (drawn ^ drawn >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return (drawn ^ drawn >> 16) < kept * 2**32


def thin(whole: EventLog, part: EventLog, recipe: Recipe, kept: float, seed: int) -> Held:
    """Copy a log without the answers that are held back; return these, by request and hashed item."""
    held: Held = {}
    number = {option: n for n, option in enumerate(recipe.question.options)}

    def goes_on(event: Event) -> bool:
        if not isinstance(event, Answered) or is_kept(event, kept, seed):
            return True
        if event.question == recipe.question.name and event.option in number:
            held[event.request_id, crc32(event.item_id.encode())] = number[event.option]
        return False

    for partition, end in enumerate(whole.end_offsets(EVENTS)):
        for start in range(0, end, _READ):
            part.append(EVENTS, [e for e in whole.read(EVENTS, partition, start, _READ) if goes_on(e)])
    return held


class MethodScores:
    """Metrics of one method's scores on held-back answers and on behavior, over several seeds.

    `told` has the viewer of each held-back answer and whether it is a satisfied one, once for all seeds;
    `listed` counts those whose request holds another view too, so that an order of it says something.
    """

    def __init__(self, recipe: Recipe, scorers: tuple[str, ...]) -> None:
        evaluation = recipe.evaluation
        self._recipe, self._scorers = recipe, scorers
        self.tally = Tally(evaluation.replicates, evaluation.confidence, recipe.seed)
        self.learned = self.held = self.listed = 0
        self.told: dict[tuple[str, int], tuple[int, bool]] = {}

    def window(self) -> Window:
        """Return a window for the steps of one run."""
        return Window([], self._recipe.question.options, self._scorers)

    def add(self, step: StepResult, scores: Mapping[str, F64], held: Held, window: Window) -> None:
        """Measure a step's viewed rows by scores from before anything of their requests was learned."""
        batch = step.batch
        num = batch.num_viewed
        self.learned += len(batch.option_A)
        request_M = batch.rows.request_N[:num]
        ids, items = batch.request_ids, batch.item_N[:num].tolist()
        option_M = np.array(
            [held.get((ids[r], item), -1) for r, item in zip(request_M.tolist(), items, strict=True)],
            np.int64,
        )
        row_G = np.flatnonzero(option_M >= 0)
        self._note(row_G, request_M, ids, items, option_M, batch.user_B)
        scored = dataclasses.replace(
            batch, answer_row_A=row_G, option_A=option_M[row_G], fresh_A=np.ones(len(row_G), np.bool_)
        )
        window.add(dataclasses.replace(step, batch=scored, satisfaction_L=None), dict(scores))
        for name, score_N in scores.items() if num else ():
            right_B, pairs_B = pairs_right(request_M, batch.level_M, score_N)
            prefix = "" if name == _MODEL else f"{name}/"
            self.tally.add(f"{prefix}{BEHAVIOR}", batch.user_B[: len(pairs_B)], right_B, pairs_B)

    def _note(
        self, row_G: I64, request_M: I64, ids: Sequence[str], items: list[int], option_M: I64, user_B: I64
    ) -> None:
        """Note whose answers were held back."""
        self.held += len(row_G)
        size_B = np.bincount(request_M)
        best = len(self._recipe.question.options) - 1
        for row in row_G.tolist():
            request = int(request_M[row])
            self.listed += bool(size_B[request] > 1)
            self.told[ids[request], items[row]] = int(user_B[request]), bool(option_M[row] == best)


def run_real(
    recipes: Mapping[str, Recipe],
    whole: EventLog,
    kept: float,
    seeds: tuple[int, ...],
    on_progress: Callable[[int, int], None] = lambda *_: None,
    linear: LinearSettings | None = None,
) -> dict[str, MethodScores]:
    """Return the metrics of each method; those of the first hold the references too.

    References are `random`, `popularity`, the platform's own ranker if a recipe has one and, with settings
    for it, the linear learner. Each seed draws
    different answers and different first parameters; all held-back answers are pooled.
    """
    scores_of: dict[str, MethodScores] = {}
    known = [ranker for recipe in recipes.values() if (ranker := own_ranker(recipe)) is not None]
    done, total = 0, len(recipes) * len(seeds)
    for seed in seeds:
        for number, (method, recipe) in enumerate(recipes.items()):
            compute_alike(recipe.training.threads)
            references = (
                References((), seed)
                if number
                else References(("popularity", "random"), seed, next(iter(known), None))
            )
            learner = None if number or linear is None else LinearReference(recipe, linear)
            scorers = (_MODEL, *references.names, *(LINEAR if learner else ()))
            scored = scores_of.setdefault(method, MethodScores(recipe, scorers))
            window, first = scored.window(), FirstScores()
            for step, held in _steps(msgspec.structs.replace(recipe, seed=seed), whole, kept, seed):
                scores = {_MODEL: step.served_N.astype(np.float64), **references.score(step.batch)}
                if learner is not None:
                    scores |= learner.step(step.batch).by_method
                scored.add(*first.apply(step, scores), held, window)
            window.measure_answers(scored.tally)
            done += 1
            on_progress(done, total)
    return scores_of


def _steps(recipe: Recipe, whole: EventLog, kept: float, seed: int) -> Iterator[tuple[StepResult, Held]]:
    with (
        tempfile.TemporaryDirectory() as folder,
        SqliteLog(Path(folder) / "part.log", whole.partitions(EVENTS)) as part,
    ):
        held = thin(whole, part, recipe, kept, seed)
        until = part.end_offsets(EVENTS)
        trainer = Trainer(recipe, len(until))
        for _ in trainer.read(part, until):
            for step in trainer.train_steps():
                yield step, held
        trainer.close_windows()
        for step in trainer.train_steps(flush=True):
            yield step, held
