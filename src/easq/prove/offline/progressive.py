"""Progressive validation: metrics, curves and counts of every step from before it learned."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from easq.home.snapshots import Nested
from easq.learn.learner import StepResult
from easq.model.pairwise_accuracy import margins, pairs_right
from easq.prove.offline.curve import Curve, Reliability
from easq.prove.offline.first_scores import FirstScores
from easq.prove.offline.references import References, own_ranker
from easq.prove.offline.results import ProgressiveResult
from easq.prove.offline.tally import MetricValue, Tally
from easq.prove.offline.truth import Truth, tally_tops
from easq.prove.offline.window import Window
from easq.recipe.likely_direction import likely_direction
from easq.recipe.recipe import Recipe
from easq.sources.datasets.order_doubt import OrderDoubt, contradicts

_RECENT = 64


class Progressive:
    """Measures every step; with a `truth`, true satisfaction too.

    Memory is bounded: rows are stored until their window is full, then only sums.
    """

    def __init__(self, recipe: Recipe, truth: Truth | None = None) -> None:
        evaluation = recipe.evaluation
        self._behaviors = [b.name for b in recipe.behaviors]
        self._directions = {b.name: likely_direction(b.name, b.valence) for b in recipe.behaviors}
        self._options, self._truth = recipe.question.options, truth
        self._window_rows, self._window_answers = evaluation.window_rows, evaluation.window_answers
        self._confidence = evaluation.confidence
        self._first_scores = FirstScores()
        self._references = References(evaluation.references, recipe.seed, own_ranker(recipe))
        self._window = Window(self._behaviors, self._options, ["model", *self._references.names])
        self.tally = Tally(evaluation.replicates, evaluation.confidence, recipe.seed)
        self._curve = Curve()
        self._reliability = {"behavior": Reliability(), "satisfaction": Reliability()}
        self._recent = np.zeros((2, 0))
        self.views = self.answers = 0

    def observe(self, step: StepResult) -> StepResult:
        """Add a step's scores from before it learned; return it with its first scores."""
        batch = step.batch
        scores = {"model": step.served_N.astype(np.float64), **self._references.score(batch)}
        step, scores = self._first_scores.apply(step, scores)
        self._window.add(step, scores)
        sums = self._step_sums(step)
        for name, score_N in scores.items():
            right_B, pairs_B = pairs_right(batch.rows.request_N[: batch.num_viewed], batch.level_M, score_N)
            prefix = "" if name == "model" else f"{name}/"
            self.tally.add(f"{prefix}pair_accuracy", batch.user_B[: len(pairs_B)], right_B, pairs_B)
            if name == "model":
                sums |= {"pairs": float(pairs_B.sum()), "pairs_right": float(right_B.sum())}
        self._curve.add(sums | self._answer_sums(step))
        self._calibrate(step)
        if self._truth is not None and batch.num_viewed:
            tally_tops(self.tally, batch, self._truth.of(batch), scores)
        self.views += batch.num_viewed
        self.answers += len(batch.option_A)
        if self._window.num_rows >= self._window_rows:
            self._window.measure_views(self.tally)
        if self._window.num_answers >= self._window_answers:
            self._window.measure_answers(self.tally)
        return step

    def result(self) -> ProgressiveResult:
        """Return the results of the run so far; ends the open window."""
        self._window.measure(self.tally)
        metrics = {name: MetricValue.of(interval) for name, interval in self.tally.intervals().items()}
        lead = {
            reference: {
                name: MetricValue.of(self.tally.difference(self.tally, name, f"{reference}/{name}"))
                for name in metrics
                if f"{reference}/{name}" in metrics
            }
            for reference in self._references.names
        }
        curve = self._curve.points()
        validity = {n: metrics.pop(n) for n in list(metrics) if n.startswith("validity/")}
        return ProgressiveResult(
            views=self.views,
            answers=self.answers,
            confidence=self._confidence,
            metrics=metrics,
            lead=lead,
            validity=validity,
            order_doubt=list(self._order_doubts(validity, curve)),
            calibration={name: r.report() for name, r in self._reliability.items()},
            curve=curve,
        )

    def _order_doubts(
        self, validity: Mapping[str, MetricValue], curve: Sequence[Mapping[str, float]]
    ) -> Iterator[OrderDoubt]:
        """Yield the behaviors that contradict the options' order, each against the viewer's average."""
        ends = self._options[0], self._options[-1]
        answers = [int(sum(point.get(f"said.{option}", 0.0) for point in curve)) for option in ends]
        for behavior, direction in self._directions.items():
            worst, best = (f"validity/{option}/{behavior}" for option in ends)
            if not direction or worst not in validity or best not in validity:
                continue
            z, num_viewers = self.tally.standard_errors(best, worst)
            if contradicts(direction, z, answers, num_viewers):
                low, high = (validity[name].value or 0.0 for name in (worst, best))
                yield OrderDoubt(behavior, ends[1], ends[0], high, low, answers[1], answers[0], z)

    def _step_sums(self, step: StepResult) -> dict[str, float]:
        batch = step.batch
        sums = {"steps": 1.0, "views": float(batch.num_viewed), "answers": float(len(batch.option_A))}
        sums["ts_sum"] = float(batch.ts_B.sum())
        sums["requests"] = float(len(batch.ts_B))
        sums |= {f"loss.{name}": value for name, value in step.losses.items()}
        for k, behavior in enumerate(self._behaviors):
            sums[f"shown.{behavior}"] = float(batch.behavior_MK[:, k].sum())
        for number, option in enumerate(self._options):
            sums[f"said.{option}"] = float((batch.option_A == number).sum())
        for name, value in step.signals.items():
            sums |= {f"signal.{name}": value, f"signal_steps.{name}": 1.0}
        sums["active"] = step.active_experts
        if step.active_satisfaction_experts is not None:
            sums |= {"active_satisfaction": step.active_satisfaction_experts, "satisfaction_steps": 1.0}
        return sums

    def _answer_sums(self, step: StepResult) -> dict[str, float]:
        """Compare each fresh answer with recent ones, so that rare answers give a curve too.

        Scores are compared relative to the mean of the answer's list, as in `Window`.
        """
        batch = step.batch
        request_A = batch.rows.request_N[batch.answer_row_A]
        request_L, listed_L = batch.rows.request_N[batch.num_viewed :], step.served_N[batch.num_viewed :]
        size_A = np.bincount(request_L, minlength=len(batch.user_B))[request_A]
        sum_A = np.bincount(request_L, listed_L, len(batch.user_B))[request_A]
        relative_A = (step.served_N[batch.answer_row_A] * size_A - sum_A) / size_A
        listed_A = batch.fresh_A & (size_A > 1)
        known = np.concatenate([self._recent, np.stack([batch.option_A, relative_A])[:, listed_A]], 1)
        num_recent = self._recent.shape[1]
        self._recent = known[:, -_RECENT:]
        option, score = known
        earlier = np.tri(len(option) - num_recent, len(option), num_recent - 1, dtype=np.bool_)
        better = np.sign(option[num_recent:, None] - option[None, :]) * earlier
        agreement = better * np.sign(score[num_recent:, None] - score[None, :])
        pairs = float((better != 0).sum())
        return {"answer_pairs": pairs, "answer_pairs_right": float((agreement.sum() + pairs) / 2)}

    def _calibrate(self, step: StepResult) -> None:
        batch = step.batch
        margin = margins(batch.rows.request_N[: batch.num_viewed], batch.level_M, step.served_N)
        self._reliability["behavior"].add(margin)
        if step.satisfaction_L is not None:
            row_G, option_G = batch.answer_row_A[batch.fresh_A], batch.option_A[batch.fresh_A]
            satisfaction_G = step.satisfaction_L[row_G - batch.num_viewed]
            better, worse = np.nonzero(option_G[:, None] > option_G[None, :])
            self._reliability["satisfaction"].add(satisfaction_G[better] - satisfaction_G[worse])

    def state(self) -> Nested:
        """Return everything measured so far."""
        return {
            "references": self._references.state(),
            "window": self._window.state(),
            "tally": self.tally.state(),
            "curve": self._curve.state(),
            "reliability": {name: r.state() for name, r in self._reliability.items()},
            "first_scores": self._first_scores.state(),
            "seen": np.array([self.views, self.answers]),
            "recent": self._recent,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state` returned."""
        references = state.get("references", {})
        self._references.restore({n: v.astype(np.float64) for n, v in references.items()})
        self._window.restore(state["window"])
        self.tally.restore(state.get("tally", {}))
        self._curve.restore(state["curve"])
        for name, reliability in self._reliability.items():
            reliability.restore(state["reliability"][name])
        self._first_scores.restore(state["first_scores"])
        self.views, self.answers = (int(n) for n in state["seen"])
        self._recent = state["recent"].astype(np.float64)
