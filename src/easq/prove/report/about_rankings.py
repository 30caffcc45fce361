"""The parts of a report that say how good the rankings are."""

from collections.abc import Sequence

from easq.prove.offline.results import ReplayResult
from easq.prove.report import figures, page
from easq.prove.report.estimates import Estimate, estimate
from easq.prove.report.pieces import chips, confidence, number
from easq.prove.report.run_labels import run_labels
from easq.prove.report.scorers import (
    EXPERT,
    MODEL,
    ORACLE,
    Scorer,
    distinguishing,
    measured,
    metrics,
    scorers,
)
from easq.prove.report.words import PERFECT, listed, meanings, metric_name


def truth(results: Sequence[ReplayResult]) -> str:
    """Show true satisfaction next to behavior, or say why it is unknown."""
    title = "Are viewers more satisfied?"
    tops = [m.partition("@")[2] for m in metrics(results) if m.startswith("true_sat@")]
    if not tops:
        words = (
            "Nobody can say for this log. What viewers think of every video is known in a simulated world "
            "only. The next part compares the rankings with the answers that viewers gave."
        )
        return page.section(title, page.text(words))
    intro = (
        "This world is simulated, so it is known how satisfied a viewer would truly be with each video. No "
        "model sees that. Below is the truth about the videos that each ranking puts first, and beside it "
        "how much behavior the same videos drew."
    )
    return page.section(title, page.text(intro), *(page.grid(*_top(results, k)) for k in tops))


def _top(results: Sequence[ReplayResult], k: str) -> tuple[str, str]:
    absent = "No ranking has a value."
    satisfied = figures.top_dots(results, f"true_sat@{k}", "mean true satisfaction")
    behaved = figures.top_dots(results, f"behavior@{k}", "mean behavior level")
    better = f"Further right is better. {_distance(results, k)}"
    more = (
        "Further right means more behavior. Best possible is the order of true satisfaction, not of "
        "behavior, so it need not lead here."
    )
    return (
        page.figure(f"True satisfaction with the first {k}", better, satisfied, absent),
        page.figure(f"Behavior that the first {k} drew", more, behaved, absent),
    )


def _distance(results: Sequence[ReplayResult], k: str) -> str:
    """Say how far each run is on the way from random order to the best possible."""
    name, sentences = f"true_sat@{k}", []
    ends = {s.kind: e for s in scorers(results, [name]) if (e := measured(results, s, name))}
    if "random" not in ends or ORACLE not in ends or ends[ORACLE].value <= ends["random"].value:
        return ""
    low, high = ends["random"], ends[ORACLE]
    for label, result in zip(run_labels(results), results, strict=True):
        value = estimate(result.metrics, name)
        if value and _clearly_above(value, low):
            way = 100 * (value.value - low.value) / (high.value - low.value)
            sentences.append(f"{label} goes {way:.0f} % of the way from random order to the best possible.")
        elif value:
            sentences.append(f"{label} is not clearly better than random order.")
    return " ".join(sentences)


def _clearly_above(value: Estimate, other: Estimate) -> bool:
    low = value.value if value.low is None else value.low
    return low > (other.value if other.high is None else other.high)


def fit(results: Sequence[ReplayResult]) -> str:
    """Show the rankings against answers and against behavior, and all numbers."""
    names = metrics(results)
    answers = [m for m in names if m.startswith("sat/")]
    ordered = ["pair_accuracy", *(f"{kind}/{b}" for b in results[0].behaviors for kind in ("auc", "gauc"))]
    behaviors = [m for m in ordered if m in names]
    distinct = distinguishing(results, answers)
    left_out = [metric_name(m) for m in answers if m not in distinct]
    short = f" Left out: {listed(left_out)}; on lists this short they add nothing." if left_out else ""
    by_answers = page.figure(
        "Against the answers that viewers gave",
        f"{meanings(distinct)}{short}",
        figures.metric_dots(results, {m: metric_name(m) for m in distinct}, PERFECT),
        "The log holds no answers that can be compared, so no ranking can be held against them.",
    )
    by_behavior = page.figure(
        "Against what viewers did",
        f"{meanings(behaviors)} For all of them, 0.5 is chance.",
        figures.metric_dots(results, {m: metric_name(m) for m in behaviors}, PERFECT),
        "The log holds no viewed requests in which behaviors differ, so there is nothing to compare.",
    )
    table = page.folded("All numbers", _table(results)) if names else ""
    return page.section(
        "How well do the rankings fit answers and behavior?", page.grid(by_answers, by_behavior), table
    )


def _table(results: Sequence[ReplayResult]) -> str:
    names = metrics(results)
    references = [s for s in scorers(results, names) if s.kind not in (MODEL, EXPERT)]
    runs = [Scorer(label, run, MODEL) for run, label in enumerate(run_labels(results))]
    heads = ["Metric", *chips(results), *(page.plain(s.label) for s in references)]
    rows, rest = [], names
    for title, head in {"Answers": "sat/", "True satisfaction": "true_sat@", "Behavior": ""}.items():
        members = [m for m in rest if m.startswith(head)]
        rest = [m for m in rest if m not in members]
        rows += [page.group(title, len(heads))] if members else []
        for m in members:
            values = [number(measured(results, s, m)) for s in (*runs, *references)]
            rows.append(page.row([page.cell(metric_name(m), m), *values]))
            by_expert = [measured(results, s._replace(kind=EXPERT), m) for s in runs]
            if any(by_expert):
                name = page.cell(f"{metric_name(m)}, satisfaction expert", f"{EXPERT}/{m}")
                rows.append(page.row([name, *map(number, by_expert), *(number(None) for _ in references)]))
    caption = f"Each number with its {confidence(results)} interval. A dash: there is no such number."
    return page.table(caption, heads, rows)
