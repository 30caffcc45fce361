"""The parts of the dashboard that are read from the log, as HTML: the blocks and figures of the reports."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from easq.model.answer_signals import BOUNDS, SHUT, SIZE, SPREAD
from easq.prove.ab.results import ExperimentResult
from easq.prove.answers.funnel import Funnel
from easq.prove.answers.results import ValidityResult
from easq.prove.offpolicy.estimators import ValueEstimate
from easq.prove.offpolicy.shadow_orders import ShadowEstimate
from easq.prove.report import about_ab, about_answers, page
from easq.prove.report import board_figures as figures

Result = Mapping[str, Any]
_MS = 1000
_LOSSES = ("main", "satisfaction", "dpo")
_GATES = {
    "cool_down": "asked not long ago",
    "session": "asked often enough this session",
    "day": "asked often enough this day",
    "pace": "the day's quota, or its pace, leaves none",
    "sampling": "not drawn",
}


def experiment(result: ExperimentResult) -> str:
    """Return an analysis of an experiment: verdict, satisfaction over time, Table 2, guardrails."""
    return "\n".join(
        [page.section(f"Experiment {result.name}", *about_ab.summary(result)), *about_ab.evidence(result)]
    )


def funnel(counts: Funnel, question: str) -> str:
    """Return the questionnaire as a funnel, from eligible views to answers."""
    drawn = page.figure(
        "From views to answers",
        "Eligible: watched long enough for the question. Each bar is the share of the step before it; "
        "the answers' bars add up to all answers to the question that trains.",
        figures.funnel_bars(counts),
        "No view was put to the questionnaire yet.",
    )
    steps, gates = counts.steps, sorted(counts.gates.items(), key=lambda gate: (-gate[1], gate[0]))
    ends = [
        (words, steps.get(kind, 0))
        for words, kind in (("closed by the viewer", "dismissed"), ("went away", "ignored"))
    ]
    named = [(f"{_GATES[gate]} ({gate})" if gate in _GATES else gate, num) for gate, num in gates]
    rows = [page.row(map(page.cell, (name, f"{num:,}"))) for name, num in (*ends, *named)]
    table = page.table(
        "How asks ended without an answer, and the gates that kept views from one.", ["", ""], rows
    )
    return page.section("Questionnaire", page.text(question, "soft"), drawn, page.folded("Gates", table))


def validity(result: ValidityResult) -> str:
    """Return whether viewers act as they say; the rest of the validity report is folded."""
    after, *others = about_answers.sections(result)
    return "\n".join([after, page.folded("Who answers, and whose answers are missing", *others)])


def shadow(result: ShadowEstimate) -> str:
    """Return what viewers would say of our order and of the one that they saw."""
    rows = [
        page.row([page.cell(name), page.cell(_share(value))])
        for name, value in (("as shown", result.shown), ("as we order them", result.proposed))
    ]
    rows.append(page.row([page.cell("change"), page.cell(_share(result.change, "+"))]))
    caption = (
        f"Expected to satisfy, of the first {result.top}, {result.first_day} to {result.last_day}: "
        f"{result.evidence.answers:,} answers, {result.requests:,} rankings for {result.viewers:,} viewers."
    )
    better, worse = (
        "there is no answer" if half is None else f"{_share(half)} of answers are satisfied"
        for half in (result.said.better, result.said.worse)
    )
    words = (
        f"Nothing of ours was shown. The chance to satisfy is read from the answers about what was shown, by "
        f"the score that we gave it. Where that is above the mean of what was shown, {better}; below it, "
        f"{worse}. Of our first {result.top}, {result.not_shown:.0%} were not shown: for these the score "
        "alone speaks."
    )
    weak = [] if result.supported else ["Do not go by these numbers."]
    return page.section(
        "Our order beside what viewers saw",
        page.table(caption, ["", ""], rows),
        page.text(words, "soft"),
        *(page.text(f"{note[0].upper()}{note[1:]}.", "warning") for note in result.warnings),
        *(page.text(note, "warning") for note in weak),
    )


def _share(value: ValueEstimate, sign: str = "") -> str:
    low, high = (f"{100 * bound:{sign}.1f}" for bound in (value.low, value.high))
    return f"{100 * value.value:{sign}.1f} % ({low} to {high})"


def learners(statuses: Mapping[str, Result], num_experts: Mapping[str, Sequence[int]]) -> str:
    """Return the course of each learner since its process began; `num_experts` holds K1 and K2 of each."""
    trends = {name: status.get("trend", []) for name, status in statuses.items()}
    if not any(trends.values()):
        return page.section("Learners", page.text("No learner has taken a step since its process began."))
    last = {name: points[-1] if points else {} for name, points in trends.items()}
    losses = {
        name: [f"losses/{loss}" for loss in point.get("losses", {}) if loss in _LOSSES]
        for name, point in last.items()
    }
    active = dict.fromkeys(trends, ("active_experts", "active_satisfaction_experts"))
    experts = "; ".join(
        f"{name}: {k1} experts" + (f" and {k2} of satisfaction" if k2 else "")
        for name, (k1, k2) in num_experts.items()
    )
    alarms = [f"{name}: {alarm}" for name, status in statuses.items() for alarm in status.get("alarms", [])]
    return page.section(
        "Learners",
        *map(page.text, alarms),
        page.grid(
            page.figure(
                "Loss",
                "Each step is scored before it is learned. Means over stretches of steps that had any of it.",
                figures.trend_lines(trends, losses, "loss", ".4f"),
                "No loss yet.",
            ),
            page.figure(
                "Progressive validation",
                "The share of recent behavior pairs that were in the right order before they were learned; "
                "chance is 0.5.",
                figures.trend_lines(
                    trends, dict.fromkeys(trends, ("pair_accuracy",)), "pair accuracy", ".4f"
                ),
                "No pair yet.",
            ),
            page.figure(
                "Gates",
                f"Experts that fire for a row, on average. There are: {experts}. Zero means a dead tower.",
                figures.trend_lines(trends, active, "experts that fire", ".2f"),
                "No gate yet.",
            ),
            page.figure(
                "Gradient",
                "Norm of the gradient of all parameters except embeddings, before clipping.",
                figures.trend_lines(trends, dict.fromkeys(trends, ("gradient",)), "norm", ".3~g"),
                "No gradient yet.",
            ),
            *_answer_path(trends),
        ),
    )


def _answer_path(trends: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Return what tells whether the path that answers train is alive; nothing where no learner has one."""
    names = dict.fromkeys(trends, (f"signals/{SPREAD}", f"signals/{SIZE}", f"signals/{SHUT}"))
    drawn = figures.trend_lines(trends, names, "", ".3~g")
    if drawn is None:
        return []
    words = (
        "Spread of the satisfaction score (0: it says nothing), the low-rank increment beside the backbone's "
    )
    words += f"output (alarm at {BOUNDS[SIZE]}), rows without an open gate (alarm at {BOUNDS[SHUT]})."
    return [page.figure("Answer path", words, drawn, "")]


def rankings(explained: Sequence[Result], versions: Mapping[str, str]) -> str:
    """Return recent rankings with what put the first candidate before the second."""
    if not explained:
        words = (
            "Among the newest events of the log there is no ranking with two candidates, or no version yet."
        )
        return page.section("Recent rankings, and why", page.text(words))
    by = ", ".join(f"{version} of {arm or 'the running model'}" for arm, version in versions.items())
    about = (
        f"The first candidate against the second. Served scores are as logged. Behavior and satisfaction "
        f"scores are those of the newest parameters ({by}), which may be newer than those that served."
    )
    return page.section(
        "Recent rankings, and why", page.text(about, "soft"), page.grid(*map(_ranking, explained))
    )


def _ranking(ranking: Result) -> str:
    first, second = ranking["sides"]
    when = datetime.fromtimestamp(ranking["at_ms"] / _MS, UTC).strftime("%Y-%m-%d %H:%M:%S")
    head = f"{when} UTC, viewer {ranking['viewer']}, {ranking['arm'] or 'no experiment'}"
    scores = [
        _side(name, key, first, second)
        for name, key in (
            (f"served by {ranking['served_version']}", "served"),
            (f"behavior, {ranking['version']}", "behavior"),
            (f"satisfaction, {ranking['version']}", "satisfaction"),
        )
    ]
    features = [
        page.row(
            [
                page.cell(f["name"]),
                *(page.cell(value) for value in f["values"]),
                *(
                    page.cell("-" if f[key] is None else f"{f[key]:+.4f}")
                    for key in ("behavior", "satisfaction")
                ),
            ]
        )
        for f in ranking["features"]
    ]
    names = [page.plain(side["item"]) for side in (first, second)]
    inside = page.table("Scores.", ["", *names, "lead"], scores)
    inside += page.table(
        "Features as served, and how much of the lead goes if the first had the second's value. "
        "Texts are on the log as hashes (#).",
        ["", *names, "behavior", "satisfaction"],
        features,
    )
    title = f"{first['item']} before {second['item']}, of {ranking['candidates']:,}"
    above = f"<h3>{page.plain(title)}</h3>{page.text(head, 'soft')}{_why(ranking)}"
    return f'<article class="absent">{above}{inside}</article>'


def _why(ranking: Result) -> str:
    """Return one sentence about the lead of the first candidate."""
    first, second = ranking["sides"]
    if first["satisfaction"] is None:
        return page.text("This arm's model has no satisfaction score: behavior alone decides.")
    leads = {key: first[key] - second[key] for key in ("behavior", "satisfaction")}
    parts = [
        f"{words} {'is for the first' if leads[key] > 0 else 'is for the second'} ({leads[key]:+.4f})"
        for key, words in (("behavior", "The ranking score"), ("satisfaction", "the satisfaction score"))
    ]
    return page.text(", ".join(parts) + ".")


def _side(name: str, key: str, first: Result, second: Result) -> str:
    values = first[key], second[key]
    if None in values:
        return page.row([page.cell(name), *[page.cell("-")] * 3])
    lead = values[0] - values[1]
    return page.row(map(page.cell, (name, *(f"{v:.4f}" for v in values), f"{lead:+.4f}")))
