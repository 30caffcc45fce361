"""Properties of a whole run: no step's score knows what it is measured by."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from random import Random

import numpy as np
import pytest

from easq.features.batch import Batch, Batcher, make_batch
from easq.features.join import build_joiner
from easq.home.snapshots import copy_state
from easq.learn.build import build_encoder
from easq.learn.learner import StepResult
from easq.prove.offline.first_scores import FirstScores
from easq.prove.offline.metrics import grouped_pairs
from easq.prove.offline.progressive import Progressive
from easq.prove.offline.references import random_scores
from easq.prove.offline.results import ProgressiveResult
from easq.prove.offline.truth import Truth
from easq.recipe.operations import Evaluation
from easq.recipe.questionnaire import Question
from easq.recipe.recipe import Recipe
from easq.sources.world.recording import TruthWriter
from tests.support.measured_steps import (
    BEHAVIORS,
    FEATURE,
    OPTIONS,
    AnswerTo,
    Closed,
    lay_out,
    make_listing,
    make_step,
)
from tests.support.random_steps import ScoredStep, as_first_scored, joined, make_history
from tests.support.small_worlds import small_recipe, world_events

NEVER = 10**9
WORLD = small_recipe(
    # Views end 20 s after each other, ten in a request; an answer comes 3 s after its view. So three of
    # ten come after the window, as does the second of two reports of behavior.
    "join.behavior_window=2.5",
    "join.lateness=0",
    "evaluation.window_rows=700",
    "evaluation.window_answers=150",
)
CHANCE = ("auc/long_view", "gauc/long_view", "pair_accuracy", "sat/auc", "sat/raw_auc", "sat/pair_accuracy")


@pytest.fixture(scope="module")
def batches() -> list[Batch]:
    """Return a world's log as joined and cut; answers of one request fall into several steps."""
    encoder, joiner, batcher = build_encoder(WORLD), build_joiner(WORLD), Batcher(64, 5)
    for event in world_events(900, ask=0.8, answer=0.7):
        batcher.add(joiner.push(event))
    batcher.add(joiner.flush())
    steps = iter(lambda: batcher.cut(final=True), [])
    return [make_batch(encoder, WORLD.behaviors, WORLD.order.cap, examples) for examples in steps]


@pytest.fixture(scope="module")
def truth(batches: list[Batch], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Truth]:
    path, random = tmp_path_factory.mktemp("world") / "truth", np.random.default_rng(1)
    keys = sorted({key for batch in batches for key in batch.request_ids})
    with TruthWriter(path) as writer:
        writer.write(keys, random.random((len(keys), 10)))
    with contextlib.closing(Truth(path)) as opened:
        yield opened


Scorer = Callable[[Batch], np.ndarray]
"""Scores all rows of a step; it is called once for each step."""


def noise(batch: Batch) -> np.ndarray:
    return random_scores(batch, 99).astype(np.float32)


def memorizer(batches: Sequence[Batch]) -> Scorer:
    """Return what scores as `noise` does, but by the truth once it has learned anything of a request."""
    truth: dict[tuple[str, int], float] = {}
    for batch in batches:
        for row, level in enumerate(batch.level_M.tolist()):
            truth[view(batch, row)] = truth.get(view(batch, row), 0.0) + 10 * level
        for row, option in zip(batch.answer_row_A.tolist(), batch.option_A.tolist(), strict=True):
            truth[view(batch, row)] = truth.get(view(batch, row), 0.0) + 10 * option
    learned: set[str] = set()

    def score(batch: Batch) -> np.ndarray:
        views = [view(batch, row) for row in range(len(batch.item_N))]
        known = np.array([truth.get(v, 0.0) if v[0] in learned else 0.0 for v in views], np.float32)
        learned.update(batch.request_ids)
        return noise(batch) + known

    return score


def view(batch: Batch, row: int) -> tuple[str, int]:
    return batch.request_ids[batch.rows.request_N[row]], int(batch.position_N[row])


def made_step(batch: Batch, served_N: np.ndarray) -> StepResult:
    expert_L = served_N[batch.num_viewed :] * 2
    return StepResult(
        batch, np.zeros(0, np.int64), served_N, expert_L, {"main": 0.5}, 2.0, 1.0 if len(expert_L) else None
    )


def run(batches: Iterable[Batch], score: Scorer, truth: Truth | None = None) -> ProgressiveResult:
    progressive = Progressive(WORLD, truth)
    for batch in batches:
        progressive.observe(made_step(batch, score(batch)))
    return progressive.result()


def test_the_log_of_these_tests_holds_every_case(batches):
    """Otherwise the tests below would show nothing."""
    fresh = [f for batch in batches for f in batch.fresh_A.tolist()]
    assert 300 < sum(fresh) < len(fresh) - 100
    first = {}
    for number, batch in enumerate(batches):
        for row in batch.answer_row_A[batch.fresh_A].tolist():
            first.setdefault(view(batch, row)[0], []).append(number)
    assert sum(len(set(numbers)) > 1 for numbers in first.values()) > 50
    viewed = [
        (number, batch.request_ids[r])
        for number, batch in enumerate(batches)
        for r in np.unique(batch.rows.request_N[: batch.num_viewed])
    ]
    assert sum(key in first and first[key][0] < number for number, key in viewed) > 100


def test_a_model_that_memorizes_requests_is_measured_as_if_it_did_not(batches, truth):
    result = run(batches, memorizer(batches), truth)
    assert result == run(batches, noise, truth)
    for name in CHANCE:
        assert result.metrics[name].value == pytest.approx(0.5, abs=0.05), name


def test_without_first_scores_the_memorizer_would_shine(batches, truth, monkeypatch):
    usual = run(batches, noise, truth).metrics
    monkeypatch.setattr(FirstScores, "apply", lambda self, step, scores: (step, scores))
    metrics = run(batches, memorizer(batches), truth).metrics
    for name in CHANCE:
        assert metrics[name].value > 0.6, name
    assert metrics["behavior@1"].value > 1.2 * usual["behavior@1"].value


def test_scores_of_lists_that_are_answered_after_the_view_count_nowhere(batches):
    def other(batch: Batch) -> np.ndarray:
        scores, request_N = noise(batch), batch.rows.request_N
        measured = np.isin(request_N, request_N[batch.answer_row_A[batch.fresh_A]])
        measured |= np.arange(len(scores)) < batch.num_viewed
        return np.where(measured, scores, -7 * scores).astype(np.float32)

    assert run(batches, other) == run(batches, noise)


def test_answers_after_the_view_are_counted_but_not_measured(batches):
    late = [dataclasses.replace(batch, fresh_A=np.zeros_like(batch.fresh_A)) for batch in batches]
    result, usual = run(late, noise), run(batches, noise)
    assert not [name for name in result.metrics if "sat/" in name]
    assert [name for name in usual.metrics if "sat/" in name]
    assert result.calibration["satisfaction"].pairs == 0
    assert sum(point["answer_pairs"] for point in result.curve) == 0
    for name in ("answers", "said.satisfied"):
        assert sum(p[name] for p in result.curve) == sum(p[name] for p in usual.curve)
    assert result.answers == usual.answers == sum(len(batch.option_A) for batch in batches)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_run_restored_midway_ends_with_the_same_result(batches, share):
    score, cut = memorizer(batches), round(share * len(batches))
    straight, stopped, resumed = (Progressive(WORLD) for _ in range(3))
    steps = [made_step(batch, score(batch)) for batch in batches]
    for step in steps:
        straight.observe(step)
    for step in steps[:cut]:
        stopped.observe(step)
    resumed.restore(copy_state(stopped.state()))
    for step in steps[cut:]:
        resumed.observe(step)
    assert resumed.result() == straight.result()


def small(window_rows: int = NEVER, window_answers: int = NEVER) -> Progressive:
    evaluation = Evaluation(
        window_rows=window_rows, window_answers=window_answers, replicates=1, references=()
    )
    question = Question(options=OPTIONS)
    return Progressive(
        Recipe(
            name="history", features=(FEATURE,), behaviors=BEHAVIORS, question=question, evaluation=evaluation
        )
    )


def observe(scored: ScoredStep, progressive: Progressive) -> None:
    progressive.observe(make_step(lay_out(scored.events), scored.scores["model"], scored.scores["expert"]))


@pytest.mark.parametrize(("window_rows", "window_answers"), [(20, NEVER), (NEVER, 5), (1, 9), (30, 1)])
def test_windows_of_views_and_of_answers_fill_apart(window_rows, window_answers):
    progressive, rows, answers, ended = small(window_rows, window_answers), 0, 0, set()
    for scored in make_history(4, 12):
        observe(scored, progressive)
        rows, answers = rows + scored.num_views, answers + scored.num_answers
        if rows >= window_rows:
            rows = 0
            ended.add("auc")
        if answers >= window_answers:
            answers = 0
            ended.add("sat")
        assert progressive.state()["window"]["size"].tolist() == [rows, answers]
        heads = {name.partition("/")[0] for name in progressive.tally.names()}
        assert heads & {"auc", "sat"} <= ended
    assert heads & {"auc", "sat"} == ended


def many_answers(seed: int) -> list[ScoredStep]:
    """Return steps with many more than 64 answers to short lists, some of them after the view."""
    random = Random(seed)
    steps: list[list[Closed | AnswerTo]] = [[] for _ in range(20)]
    for number in range(200):
        listing = make_listing(f"r{number}", f"u{number % 9}", random.choice([1, 2, 3, 7]))
        for position in range(len(listing.items)):
            if random.random() < 0.6:
                steps[random.randrange(20)].append(AnswerTo(listing, position, random.randrange(3)))
        steps[random.randrange(20)].append(Closed(listing, {0: (True, False)}))
    for happened in steps:
        random.shuffle(happened)

    def scores(happened: list[Closed | AnswerTo]) -> dict[tuple[str, int], float]:
        views = {(e.listing.id, p) for e in happened for p in range(len(e.listing.items))}
        return {v: random.randrange(-3, 4) / 4 for v in sorted(views)}

    return [
        ScoredStep(happened, {name: scores(happened) for name in ("model", "expert")})
        for happened in joined(steps)
    ]


@pytest.mark.parametrize("seed", range(4))
def test_the_curve_compares_each_answer_once_with_those_of_its_step_and_the_64_before(seed):
    history, progressive = many_answers(seed), small()
    for scored in history:
        observe(scored, progressive)
    recent: list[tuple[int, Fraction]] = []
    wanted = []
    for scored in as_first_scored(history):
        new = []
        # In the order in which the step's answers came.
        for answer in scored.fresh:
            scores = [
                Fraction(scored.scores["model"][answer.listing.id, p])
                for p in range(len(answer.listing.items))
            ]
            if len(scores) > 1:
                new.append((answer.option, scores[answer.position] - sum(scores) / len(scores)))
        pairs = [
            ((option - other) * (score - earlier))
            for number, (option, score) in enumerate(new)
            for other, earlier in recent[-64:] + new[:number]
            if option != other
        ]
        wanted.append((len(pairs), sum(0.5 if pair == 0 else pair > 0 for pair in pairs)))
        recent += new
    assert len(recent) > 100
    curve = progressive.result().curve
    assert [(point["answer_pairs"], point["answer_pairs_right"]) for point in curve] == wanted


@pytest.mark.parametrize("seed", range(4))
def test_calibration_counts_the_pairs_of_first_scores(seed):
    history, progressive = many_answers(seed), small()
    for scored in history:
        observe(scored, progressive)
    margins = []
    for scored in as_first_scored(history):
        expert = [
            (answer.option, scored.scores["expert"][answer.listing.id, answer.position])
            for answer in scored.fresh
        ]
        margins += [one - two for better, one in expert for worse, two in expert if better > worse]
    claimed = 1 / (1 + np.exp(-np.abs(margins)))
    result = progressive.result().calibration["satisfaction"]
    assert result.pairs == len(margins)
    assert np.dot(result.count, result.claimed) == pytest.approx(claimed.sum())
    right = (np.sign(margins) + 1) / 2
    assert np.dot(result.count, result.right) == pytest.approx(right.sum())


def test_what_remembers_viewers_falls_below_chance_in_gauc_alone():
    """Views are liked at random, each viewer's at a rate; scored by the viewer's rate so far.

    Within a viewer nothing can be known, so 1/2 would be fair. docs/evaluation.md quotes what is printed.
    """
    random, progressive = np.random.default_rng(1), small()
    rate, liked, seen = random.beta(2, 4, 60), np.zeros(60), 0
    for number in range(40):
        happened = [
            Closed(
                make_listing(f"r{number}.{u}", f"u{u}", 5),
                {p: (bool(random.random() < r), False) for p in range(5)},
            )
            for u, r in enumerate(rate)
        ]
        score = {
            (e.listing.id, p): (liked[u] + 1) / (seen + 3) for u, e in enumerate(happened) for p in range(5)
        }
        progressive.observe(make_step(lay_out(happened), score))
        liked += [sum(like for like, _ in e.did.values()) for e in happened]
        seen += 5
    result = {name: metric.value for name, metric in progressive.result().metrics.items()}
    print(f"\nrate so far: gauc {result['gauc/like']:.3f}, auc {result['auc/like']:.3f}")
    assert result["gauc/like"] < 0.47
    assert result["auc/like"] > 0.6
    assert result["pair_accuracy"] == 0.5


def test_relative_scores_of_answers_take_away_most_of_that():
    """Answers are satisfied at random; scored by the viewer's rate so far for the item's kind, of four."""
    random, num_viewers, kinds = np.random.default_rng(1), 2000, 4
    good, seen = np.zeros((2, num_viewers, kinds))
    viewer, columns = np.arange(num_viewers), []
    for _ in range(20):
        kind_UC = random.integers(0, kinds, (num_viewers, 5))
        score_UC = np.take_along_axis((good + 1) / (seen + 2), kind_UC, 1)
        satisfied = random.random(num_viewers) < 0.5
        columns.append((viewer, satisfied, score_UC[:, 0], (score_UC[:, :1] - score_UC).mean(1)))
        good[viewer, kind_UC[:, 0]] += satisfied
        seen[viewer, kind_UC[:, 0]] += 1
    user, option, raw, relative = (np.concatenate(column) for column in zip(*columns, strict=True))
    result = []
    for score in (raw, relative):
        _, right, pairs = grouped_pairs(user, option.astype(np.int64), score)
        result.append(right.sum() / pairs.sum())
    print(f"\nwithin viewers: raw {result[0]:.3f}, relative to the list {result[1]:.3f}")
    assert result[0] < 0.44
    assert 0.47 < result[1] < 0.5
