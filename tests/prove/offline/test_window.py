"""The protocol of docs/evaluation.md once more, in plain loops, against the vectorized one."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from math import isfinite, log2
from random import Random
from statistics import fmean

import numpy as np
import pytest

from easq.prove.offline.progressive import Progressive
from easq.prove.offline.tally import Tally
from easq.prove.offline.window import GAINS, HITS, Window
from easq.recipe.operations import Evaluation
from easq.recipe.questionnaire import Question
from easq.recipe.recipe import Recipe
from tests.support.measured_steps import (
    BEHAVIORS,
    CAP,
    FEATURE,
    OPTIONS,
    AnswerTo,
    Closed,
    Listing,
    lay_out,
    make_listing,
    make_step,
    row_scores,
)
from tests.support.random_steps import SCORERS, ScoredStep, as_first_scored, make_history

SATISFIED = len(OPTIONS) - 1
NAMES = [behavior.name for behavior in BEHAVIORS]
Number = float | Fraction
Values = dict[str, float | None]
Story = Sequence[ScoredStep]


class Ratios:
    """Two sums by name."""

    def __init__(self) -> None:
        self.sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])

    def add(self, name: str, value: float, weight: float = 1.0) -> None:
        self.sums[name][0] += value * weight
        self.sums[name][1] += weight

    def values(self) -> Values:
        return {name: above / below if below else None for name, (above, below) in self.sums.items()}


def wins(one: Number, other: Number) -> float:
    return 1.0 if one > other else 0.5 if one == other else 0.0


def auc(positives: Sequence[Number], negatives: Sequence[Number]) -> float | None:
    if not positives or not negatives:
        return None
    return fmean(wins(p, n) for p in positives for n in negatives)


def expected(
    view_windows: Iterable[Story], answer_windows: Iterable[Story], scorers: Sequence[str]
) -> Values:
    """Return what the protocol says of these windows."""
    ratios = Ratios()
    for window in view_windows:
        for scorer in scorers:
            if scorer != "expert":
                measure_views(window, scorer, head(scorer), ratios)
        measure_validity(window, ratios)
    for window in answer_windows:
        for scorer in scorers:
            measure_answers(window, scorer, head(scorer), ratios)
    return ratios.values()


def head(scorer: str) -> str:
    return "" if scorer == "model" else f"{scorer}/"


def measure_views(window: Story, scorer: str, head: str, ratios: Ratios) -> None:
    for k, name in enumerate(NAMES):
        by_viewer: dict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
        for scored in window:
            for closed in scored.closed:
                for position, did in closed.did.items():
                    score = scored.scores[scorer][closed.listing.id, position]
                    by_viewer[closed.listing.user][0 if did[k] else 1].append(score)
        positives = [score for own, _ in by_viewer.values() for score in own]
        negatives = [score for _, own in by_viewer.values() for score in own]
        whole = auc(positives, negatives)
        if whole is not None:
            ratios.add(f"{head}auc/{name}", whole, len(positives))
        for own, others in by_viewer.values():
            viewer_auc = auc(own, others)
            if viewer_auc is not None:
                ratios.add(f"{head}gauc/{name}", viewer_auc, len(own) + len(others))


def measure_validity(window: Story, ratios: Ratios) -> None:
    """Compare each answered view with the same viewer's other views."""
    rows = [
        (closed.listing.user, did, closed.answers.get(position))
        for scored in window
        for closed in scored.closed
        for position, did in closed.did.items()
    ]
    for k, name in enumerate(NAMES):
        for number, (user, did, option) in enumerate(rows):
            others = [other[k] for n, (viewer, other, _) in enumerate(rows) if viewer == user and n != number]
            if option is not None and others:
                sums = ratios.sums[f"validity/{OPTIONS[option]}/{name}"]
                sums[0] += did[k]
                sums[1] += fmean(others)


def measure_answers(window: Story, scorer: str, head: str, ratios: Ratios) -> None:
    answers = [(scored.scores[scorer], answer) for scored in window for answer in scored.fresh]
    satisfied = {(answer.listing.id, answer.position) for _, answer in answers if answer.option == SATISFIED}
    raw: tuple[list[float], list[float]] = ([], [])
    relative: list[tuple[str, int, Fraction]] = []
    for scores, answer in answers:
        request, own = answer.listing.id, scores[answer.listing.id, answer.position]
        all_scores = [scores[request, p] for p in range(len(answer.listing.items))]
        raw[0 if answer.option == SATISFIED else 1].append(own)
        if len(all_scores) > 1:
            # Exact, so that ties stay ties.
            mean = sum(map(Fraction, all_scores)) / len(all_scores)
            relative.append((answer.listing.user, answer.option, Fraction(own) - mean))
        others = [
            scores[request, p]
            for p in range(len(all_scores))
            if p != answer.position and (request, p) not in satisfied
        ]
        if answer.option == SATISFIED and others:
            measure_list(own, others, head, ratios)
    add_auc(f"{head}sat/raw_auc", *raw, ratios)
    good = [score for _, option, score in relative if option == SATISFIED]
    bad = [score for _, option, score in relative if option != SATISFIED]
    add_auc(f"{head}sat/auc", good, bad, ratios)
    for user, option, score in relative:
        for other_user, other_option, other_score in relative:
            if user == other_user and option > other_option:
                ratios.add(f"{head}sat/pair_accuracy", wins(score, other_score))


def add_auc(name: str, positives: Sequence[Number], negatives: Sequence[Number], ratios: Ratios) -> None:
    value = auc(positives, negatives)
    if value is not None:
        ratios.add(name, value, len(positives))


def measure_list(own: float, others: Sequence[float], head: str, ratios: Ratios) -> None:
    """Average over the ranks that random order among the tied entries may give."""
    first = 1 + sum(other > own for other in others)
    ranks = range(first, first + 1 + sum(other == own for other in others))
    for k in HITS:
        ratios.add(f"{head}sat/hr@{k}", fmean(rank <= k for rank in ranks))
    for k in GAINS:
        ratios.add(f"{head}sat/ndcg@{k}", fmean(1 / log2(1 + r) if r <= k else 0.0 for r in ranks))
    ratios.add(f"{head}sat/mrr", fmean(1 / rank for rank in ranks))


def fill(history: Iterable[ScoredStep], window: Window, expert: bool = True) -> None:
    for scored in history:
        batch = lay_out(scored.events)
        step = make_step(batch, scored.scores["model"], scored.scores["expert"] if expert else None)
        window.add(step, {name: row_scores(batch, scored.scores[name]) for name in SCORERS})


def fresh() -> tuple[Window, Tally]:
    return Window(NAMES, OPTIONS, SCORERS), Tally(1, 0.95, 1)


def measured(tally: Tally) -> Values:
    result = {name: interval.value for name, interval in tally.intervals().items()}
    return {name: value if isfinite(value) else None for name, value in result.items()}


def assert_equal(result: Values, wanted: Values) -> None:
    assert sorted(result) == sorted(wanted)
    for name, value in wanted.items():
        assert result[name] == (None if value is None else pytest.approx(value, abs=1e-12)), name


@pytest.mark.parametrize("seed", range(14))
def test_one_window_equals_plain_loops(seed):
    history, (window, tally) = make_history(seed), fresh()
    fill(history, window)
    window.measure(tally)
    assert_equal(measured(tally), expected([history], [history], [*SCORERS, "expert"]))


@pytest.mark.parametrize("seed", range(200, 206))
def test_windows_are_measured_apart_and_added_up(seed):
    history, (window, tally) = make_history(seed), fresh()
    cut = Random(seed).randint(0, len(history))
    parts = history[:cut], history[cut:]
    for part in parts:
        fill(part, window, expert=False)
        window.measure(tally)
        assert (window.num_rows, window.num_answers) == (0, 0)
    assert_equal(measured(tally), expected(parts, parts, SCORERS))


@pytest.mark.parametrize("seed", range(300, 304))
def test_a_restored_window_continues_as_if_never_stopped(seed):
    history, (straight, tally) = make_history(seed), fresh()
    (stopped, _), (resumed, resumed_tally) = fresh(), fresh()
    cut = Random(seed).randint(0, len(history))
    fill(history, straight)
    fill(history[:cut], stopped)
    resumed.restore(stopped.state())
    fill(history[cut:], resumed)
    assert (resumed.num_rows, resumed.num_answers) == (straight.num_rows, straight.num_answers)
    straight.measure(tally)
    resumed.measure(resumed_tally)
    assert measured(resumed_tally) == measured(tally)


def test_views_and_answers_are_measured_and_forgotten_apart():
    history, (window, tally) = make_history(1), fresh()
    fill(history, window)
    rows, answers = window.num_rows, window.num_answers
    assert rows and answers
    window.measure_answers(tally)
    assert (window.num_rows, window.num_answers) == (rows, 0)
    assert all("sat/" in name for name in tally.names())
    window.measure_views(tally)
    assert (window.num_rows, window.num_answers) == (0, 0)
    assert_equal(measured(tally), expected([history], [history], [*SCORERS, "expert"]))


def answered(*answers: AnswerTo, **scores: float) -> Values:
    """Return what one step shows in which the views of request `a` and `b` were scored as named."""
    window, tally = fresh()
    table = {(name[0], int(name[1:])): score for name, score in scores.items()}
    batch = lay_out(answers)
    window.add(make_step(batch, table), dict.fromkeys(SCORERS, row_scores(batch, table)))
    window.measure(tally)
    return measured(tally)


def test_a_satisfied_view_is_ranked_among_all_candidates_of_its_request():
    result = answered(AnswerTo(make_listing("a", "u", 4), 1, SATISFIED), a0=0.9, a1=0.5, a2=0.7, a3=0.1)
    assert result["sat/mrr"] == pytest.approx(1 / 3)
    assert (result["sat/hr@1"], result["sat/hr@5"]) == (0, 1)
    assert result["sat/ndcg@5"] == pytest.approx(1 / log2(4))


def test_another_satisfied_view_of_the_request_leaves_the_list():
    listing = make_listing("a", "u", 3)
    scores = {"a0": 0.9, "a1": 0.5, "a2": 0.1}
    assert answered(AnswerTo(listing, 1, SATISFIED), **scores)["sat/mrr"] == 0.5
    assert answered(AnswerTo(listing, 1, SATISFIED), AnswerTo(listing, 0, 0), **scores)["sat/mrr"] == 0.5
    assert (
        answered(AnswerTo(listing, 1, SATISFIED), AnswerTo(listing, 0, SATISFIED), **scores)["sat/mrr"] == 1
    )


def test_two_requests_of_one_viewer_at_one_time_keep_their_own_answers():
    one, other = (Listing(name, "u", (f"{name}0", f"{name}1"), 5) for name in "ab")
    result = answered(
        AnswerTo(one, 0, SATISFIED), AnswerTo(other, 1, SATISFIED), a0=0.1, a1=0.9, b0=0.9, b1=0.1
    )
    assert result["sat/mrr"] == 0.5


def test_a_list_of_one_entry_counts_nowhere_but_in_the_raw_auc():
    result = answered(
        AnswerTo(make_listing("a", "u", 1), 0, SATISFIED),
        AnswerTo(make_listing("b", "u", 1), 0, 0),
        a0=0.9,
        b0=0.1,
    )
    assert {name for name, value in result.items() if value is not None} == {
        "sat/raw_auc",
        "popularity/sat/raw_auc",
    }


def test_an_answer_after_its_view_counts_nowhere():
    one, other = make_listing("a", "u", 2), make_listing("b", "u", 2)
    scores = {"a0": 0.1, "a1": 0.9, "b0": 0.9, "b1": 0.1}
    late = AnswerTo(one, 0, SATISFIED, after_view=True)
    assert answered(late, **scores) == {}
    result = answered(late, AnswerTo(one, 1, SATISFIED), AnswerTo(other, 0, 0), **scores)
    assert result == answered(AnswerTo(one, 1, SATISFIED), AnswerTo(other, 0, 0), **scores)


@pytest.mark.parametrize("score", [0.1, 0.3, 1e9 / 7])
def test_lists_of_equal_scores_are_tied_whatever_their_length(score):
    """The mean of ten times 0.1 is not 0.1 in floating point."""
    answers = [AnswerTo(make_listing(f"r{n}", f"u{n}", n), 0, n % 2 * SATISFIED) for n in range(2, 20)]
    batch, (window, tally) = lay_out(answers), fresh()
    table = {(f"r{n}", p): score for n in range(2, 20) for p in range(n)}
    window.add(make_step(batch, table), dict.fromkeys(SCORERS, row_scores(batch, table)))
    window.measure(tally)
    assert measured(tally)["sat/auc"] == measured(tally)["popularity/sat/auc"] == 0.5


def test_validity_compares_with_the_viewers_other_views():
    """Of four views the satisfied one and one other were liked: 1 against 1/3."""
    liked = {0: (True, False), 1: (True, False), 2: (False, False), 3: (False, False)}
    batch = lay_out([Closed(make_listing("a", "u", 4), liked, {0: SATISFIED})])
    alone = lay_out([Closed(make_listing("b", "v", 1), {0: (True, True)}, {0: SATISFIED})])
    window, tally = fresh()
    for closed in (batch, alone):
        nothing = np.zeros(closed.num_viewed)
        step = make_step(closed, defaultdict(float))
        window.add(step, dict.fromkeys(SCORERS, nothing))
    window.measure(tally)
    assert measured(tally)["validity/satisfied/like"] == pytest.approx(3)
    assert measured(tally)["validity/satisfied/long_view"] is None


def recipe(window_rows: int, window_answers: int) -> Recipe:
    evaluation = Evaluation(
        window_rows=window_rows, window_answers=window_answers, replicates=1, references=()
    )
    question = Question(options=OPTIONS)
    return Recipe(
        name="history", features=(FEATURE,), behaviors=BEHAVIORS, question=question, evaluation=evaluation
    )


def observe(history: Iterable[ScoredStep], progressive: Progressive) -> None:
    for scored in history:
        progressive.observe(
            make_step(lay_out(scored.events), scored.scores["model"], scored.scores["expert"])
        )


def everything(progressive: Progressive) -> Values:
    result = progressive.result()
    return {name: metric.value for name, metric in (result.metrics | result.validity).items()}


def cut_windows(history: Story, most: int, size: Callable[[ScoredStep], int]) -> list[list[ScoredStep]]:
    """Return windows that end with the step that fills them."""
    windows: list[list[ScoredStep]] = [[]]
    for scored in history:
        windows[-1].append(scored)
        if sum(map(size, windows[-1])) >= most:
            windows.append([])
    return windows


def pair_accuracy(history: Iterable[ScoredStep]) -> Values:
    """Return the share of right pairs of different level in one request, as scored together."""
    ratios = Ratios()
    weight = [behavior.weight for behavior in BEHAVIORS]
    for scored in history:
        for closed in scored.closed:
            level = {
                p: min(CAP, sum(w * d for w, d in zip(weight, did, strict=True)))
                for p, did in closed.did.items()
            }
            score = {p: scored.scores["model"][closed.listing.id, p] for p in level}
            pairs = [(p, q) for p in level for q in level if level[p] > level[q]]
            ratios.sums["pair_accuracy"][0] += sum(wins(score[p], score[q]) for p, q in pairs)
            ratios.sums["pair_accuracy"][1] += len(pairs)
    return ratios.values()


@pytest.mark.parametrize(("window_rows", "window_answers"), [(1, 1), (9, 10**6), (10**6, 4), (25, 7)])
@pytest.mark.parametrize("seed", [400, 401, 402])
def test_a_run_measures_first_scores_in_windows_of_views_and_of_answers(seed, window_rows, window_answers):
    history = make_history(seed, 12)
    progressive = Progressive(recipe(window_rows, window_answers))
    observe(history, progressive)
    first = as_first_scored(history)
    wanted = expected(
        cut_windows(first, window_rows, lambda scored: scored.num_views),
        cut_windows(first, window_answers, lambda scored: scored.num_answers),
        ["model", "expert"],
    )
    assert_equal(everything(progressive), wanted | pair_accuracy(first))
