"""Validity of a log's questionnaire: who answers, and whether answers agree with behavior.

The log is read once, in event time. Memory holds the open requests of one window, one row of counts for
at most `MOST_VIEWERS` viewers and at most `MOST_ASKS` described asks, both drawn at random beyond that.
docs/answers.md has every definition.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from easq.arrays import F64
from easq.features.examples import Viewed
from easq.features.join import build_joiner
from easq.log.base import EventLog
from easq.log.events import EVENTS, Answered
from easq.log.ids import stable_id
from easq.log.merge import MergedReader
from easq.prove.answers.asks import ANSWERED, DISMISSED, IGNORED, SILENT, AskRecord, AskTracker
from easq.prove.answers.behavior_after import BehaviorAfter
from easq.prove.answers.covariates import Covariates
from easq.prove.answers.response_model import balance, fit, is_modeled, tilted, weights
from easq.prove.answers.results import (
    AnswerQuality,
    AnswerTimes,
    AskCounts,
    CovariateBalance,
    ResponseFit,
    ValidityResult,
)
from easq.prove.answers.weight_bound import effective, inverse_weights
from easq.prove.offline.metrics import ScoreOrder
from easq.prove.offline.tally import MetricValue, Tally
from easq.recipe.recipe import Recipe

MOST_VIEWERS, MOST_ASKS = 1 << 18, 1 << 16
_MINUTE_MS, _HOUR_MS = 60_000, 3_600_000
_AT_ONCE = 4096
_TOOK_EDGES_MS = np.concatenate([[0], np.geomspace(100, 600_000, 61)])
_BUCKETS = (1, 2, 3, 4, 6, 11, 21, 51)

Progress = Callable[[int, int], None]


@dataclass
class _PendingSums:
    """Sums that wait to be added to a tally together, by name."""

    tally: Tally
    waiting: dict[str, tuple[list[int], list[float], list[float]]] = field(default_factory=dict)
    num: int = 0

    def add(self, name: str, user: int, numerator: float, denominator: float = 1.0) -> None:
        users, numerators, denominators = self.waiting.setdefault(name, ([], [], []))
        users.append(user)
        numerators.append(numerator)
        denominators.append(denominator)
        self.num += 1
        if self.num >= _AT_ONCE:
            self.flush()

    def flush(self) -> None:
        for name, (users, numerators, denominators) in self.waiting.items():
            self.tally.add(name, np.array(users, np.int64), numerators, denominators)
        self.waiting, self.num = {}, 0


class Validity:
    """Measures a log's events, which come in event time."""

    def __init__(
        self, recipe: Recipe, num_partitions: int, window_hours: float, readiness: float = 1.0
    ) -> None:
        join, evaluation = recipe.join, recipe.evaluation
        wait_ms = round((join.answer_window + join.lateness) * _MINUTE_MS)
        self._recipe, self._window_hours, self._readiness = recipe, window_hours, readiness
        self.tally = Tally(evaluation.replicates, evaluation.confidence, recipe.seed)
        self._rows = _PendingSums(self.tally)
        options = recipe.question.options
        window_ms = round(window_hours * _HOUR_MS)
        # Watch time is a sum: nearly every view reaches its first millisecond, so that it did says nothing.
        acts = [behavior for behavior in recipe.behaviors if behavior.name != recipe.metrics.watch]
        self._later = BehaviorAfter(acts, options, window_ms, 2 * wait_ms, MOST_VIEWERS)
        self._asked: dict[int, int] = {}
        self._covariates = Covariates(recipe.features, recipe.behaviors)
        self._joiners = [build_joiner(recipe) for _ in range(num_partitions)]
        self._asks = [AskTracker(wait_ms, self._describe, self._number) for _ in range(num_partitions)]
        self._random = np.random.default_rng(recipe.seed)
        self._described: list[tuple[AskRecord, int]] = []
        self._num_described = 0
        self._took = {option: np.zeros(len(_TOOK_EDGES_MS) - 1, np.int64) for option in options}
        self._outcomes: Counter[str] = Counter()
        self._flags: Counter[str] = Counter()
        self._weight = 0.0

    def ingest(self, partition: int, event: Any) -> None:
        """Add the next event."""
        asks = self._asks[partition]
        if isinstance(event, Answered) and event.question == self._recipe.question.name:
            self._later.add_answer(event)
        # Examples of a closed window come before the event that closed it.
        self._views(partition, self._joiners[partition].push(event))
        for ask in asks.ingest(event):
            self._over(ask)

    def end(self) -> None:
        """Close all windows, as at the end of a bounded log."""
        for partition, joiner in enumerate(self._joiners):
            self._views(partition, joiner.flush())
            joiner.take_late()
        for asks in self._asks:
            for ask in asks.rest():
                self._over(ask)
        self._rows.flush()

    def result(self) -> ValidityResult:
        """Return the results."""
        recipe = self._recipe
        after = self._later.add_to(self.tally)
        model = self._model()
        counts = AskCounts(
            asked=sum(self._outcomes.values()),
            answered=self._outcomes[ANSWERED],
            dismissed=self._outcomes[DISMISSED],
            ignored=self._outcomes[IGNORED],
            silent=self._outcomes[SILENT],
            described=len(self._described),
            viewers_kept=self._later.viewers.share,
        )
        return ValidityResult(
            name=recipe.name,
            question=recipe.question,
            behaviors=[b.name for b in recipe.behaviors],
            window_hours=self._window_hours,
            readiness=self._readiness,
            confidence=recipe.evaluation.confidence,
            counts=counts,
            after=after,
            metrics={name: MetricValue.of(interval) for name, interval in self.tally.intervals().items()},
            took_ms={option: _answer_times(counted) for option, counted in self._took.items()},
            quality=AnswerQuality(
                self._weight / max(1, self._outcomes[ANSWERED]), dict(sorted(self._flags.items()))
            ),
            model=model,
        )

    def _views(self, partition: int, examples: list[Any]) -> None:
        for example in examples:
            if isinstance(example, Viewed):
                self._asks[partition].add_view(example)
                self._later.add_view(example)
        if examples:
            self._joiners[partition].take_late()

    def _number(self, user_id: str) -> int:
        """Count an ask of a viewer in the sample, and return its number."""
        user = stable_id(user_id)
        if self._later.viewers.row(user) is None:
            return 1
        number = self._asked[user] = self._asked.get(user, 0) + 1
        return number

    def _describe(self, view: Viewed, ask: AskRecord) -> F64:
        return self._covariates.describe(view, ask, self._later.earlier_views(view.request.user_id))

    def _over(self, ask: AskRecord) -> None:
        event, user = ask.event, stable_id(ask.event.user_id)
        is_answered = ask.outcome == ANSWERED
        self._outcomes[ask.outcome] += 1
        add = self._rows.add
        for name in self._strata(ask):
            add(f"response/{name}", user, float(is_answered))
        if event.question != self._recipe.question.name:
            return
        if is_answered:
            self._flags.update(ask.flags)
            self._weight += ask.weight
            if ask.option in self._took:
                place = int(np.searchsorted(_TOOK_EDGES_MS, ask.took_ms, side="right")) - 1
                self._took[ask.option][min(place, len(_TOOK_EDGES_MS) - 2)] += 1
            for place, option in enumerate(event.order):
                add(f"chosen/{option}/{place + 1}", user, float(ask.option == option))
        if ask.described is not None and event.propensity > 0:
            self._keep(ask, user)

    def _strata(self, ask: AskRecord) -> list[str]:
        event = ask.event
        names = [f"question/{event.question}", f"number/{_bucket(ask.number)}"]
        if event.version:
            names.append(f"wording/{event.question} {event.version} {event.locale}".rstrip())
        if event.order:
            names.append(f"first/{event.order[0]}")
        if ask.position >= 0:
            names.append(f"position/{_bucket(ask.position + 1)}")
        return names

    def _keep(self, ask: AskRecord, user: int) -> None:
        """Sample a described ask; beyond the limit each ask of the log is in the sample with equal chance."""
        self._num_described += 1
        if len(self._described) < MOST_ASKS:
            self._described.append((ask, user))
        elif (place := int(self._random.integers(self._num_described))) < MOST_ASKS:
            self._described[place] = (ask, user)

    def _model(self) -> ResponseFit | None:
        """Fit the response model, weight answers by it, and add the shares of options to the tally."""
        asks = [ask for ask, _ in self._described]
        answered_N = np.array([ask.outcome == ANSWERED for ask in asks], np.bool_)
        if not is_modeled(answered_N):
            return None
        names, covariate_NP = self._covariates.design(
            np.stack([ask.described for ask in asks if ask.described is not None])
        )
        fitted = fit(covariate_NP, answered_N)
        weight_N = weights(fitted.chance_N)
        balanced = balance(covariate_NP, answered_N, weight_N)
        placements = ScoreOrder(fitted.chance_N).placements(answered_N)
        assert placements is not None
        self._add_shares(answered_N, weight_N, covariate_NP)
        used = weight_N[answered_N]
        rows = zip(names, fitted.slope_P, balanced.before_P, balanced.after_P, strict=True)
        return ResponseFit(
            asks=len(asks),
            answers=int(answered_N.sum()),
            auc=float(placements.positive_R[answered_N].mean()),
            effective_answers=effective(used),
            covariates=[CovariateBalance(n, float(s), float(b), float(a)) for n, s, b, a in rows],
        )

    def _add_shares(self, answered_N: np.ndarray, weight_N: F64, covariate_NP: F64) -> None:
        """Add the share of each option: as answered, and corrected for asks and for who answers.

        With a readiness other than 1, also corrected for the worst option being answered that many times as
        readily as the best, among asks with equal covariates.
        """
        places = np.flatnonzero(answered_N)
        users = np.array([self._described[n][1] for n in places], np.int64)
        option_A = np.array([self._described[n][0].option for n in places])
        propensity_A = np.array([self._described[n][0].event.propensity for n in places])
        asked_A = inverse_weights(propensity_A, np.ones(len(places))).weight_A
        options = self._recipe.question.options
        kinds = {
            "answered": np.ones(len(places)),
            "asks": asked_A,
            "asks_and_response": asked_A * weight_N[places],
        }
        if self._readiness != 1:
            worth_A = np.array([options.index(option) for option in option_A]) / (len(options) - 1)
            tilt_A = tilted(covariate_NP[places], worth_A, self._readiness)
            kinds["readiness"] = kinds["asks_and_response"] * tilt_A
        for option in options:
            is_option_A = option_A == option
            for name, weight_A in kinds.items():
                self.tally.add(f"share/{name}/{option}", users, is_option_A * weight_A, weight_A)


def measure_validity(
    recipe: Recipe,
    log: EventLog,
    window_hours: float = 24.0,
    on_progress: Progress = lambda *_: None,
    readiness: float = 1.0,
) -> ValidityResult:
    """Read a log once and return what it shows about its questionnaire."""
    until = log.end_offsets(EVENTS)
    validity = Validity(recipe, len(until), window_hours, readiness)
    reader = MergedReader(log, EVENTS, until, log.start_offsets(EVENTS))
    for chunk in reader:
        for partition, event in chunk:
            validity.ingest(partition, event)
        on_progress(sum(reader.offsets), sum(until))
    validity.end()
    return validity.result()


def _bucket(number: int) -> str:
    """Return the interval of a number from 1 on.

    >>> [_bucket(n) for n in (1, 5, 80)]
    ['1', '4 to 5', '51 on']
    """
    place = int(np.searchsorted(_BUCKETS, number, side="right")) - 1
    low = _BUCKETS[place]
    if place + 1 == len(_BUCKETS):
        return f"{low} on"
    return str(low) if _BUCKETS[place + 1] == low + 1 else f"{low} to {_BUCKETS[place + 1] - 1}"


def _answer_times(counted: np.ndarray) -> AnswerTimes:
    """Return quantiles by interpolation within bins, and the bins that hold anything."""
    total = int(counted.sum())
    cumulated = np.concatenate([[0], np.cumsum(counted)])
    p10, p50, p90 = (
        float(np.interp(share * total, cumulated, _TOOK_EDGES_MS)) if total else None
        for share in (0.1, 0.5, 0.9)
    )
    bins = [
        (round(float(_TOOK_EDGES_MS[n])), round(float(_TOOK_EDGES_MS[n + 1])), int(counted[n]))
        for n in np.flatnonzero(counted).tolist()
    ]
    return AnswerTimes(total, p10, p50, p90, bins)
