"""The report of an experiment as one HTML file to send: the verdict in words first, then the numbers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from easq.prove.ab.answer_weights import ResponseSummary
from easq.prove.ab.effects import Difference, Effect
from easq.prove.ab.experiment_metrics import Spec
from easq.prove.ab.results import ExperimentResult, TreatmentResult
from easq.prove.ab.verdict import MOST_CROSSED
from easq.prove.answers.weight_bound import MOST_WEIGHT
from easq.prove.report import ab_figures as figures
from easq.prove.report import page
from easq.prove.report.ab_figures import every_look_percent, one_look_percent
from easq.prove.report.draw import run_color
from easq.prove.report.words import listed
from easq.recipe.experiments import SATISFACTION

_VERDICTS = {
    "ship": "Ship it",
    "keep running": "Keep it running",
    "stop": "Stop it",
    "no verdict": "No verdict",
}
_METHOD = (
    "Each viewer is one observation: sums over the days since the viewer's first day in the experiment. "
    "Changes are relative to the control arm. Ratios go by the delta method.",
    "Where the days before the start hold the metric, what they explain of a viewer is taken off (CUPED). "
    "It makes intervals shorter and moves no expected change.",
    "The interval at one look holds if the day of the look was fixed before. The interval at every look "
    "(mixture sequential probability ratio test) holds at all days together, so anybody may look every day; "
    "it is 1.5 to 1.9 times as long. Verdicts use it alone.",
    "p-values are adjusted for the number of metrics (false discovery rate, Benjamini and Hochberg).",
    "Satisfaction counts each answer 1 / (chance of being asked * chance of answering), times its quality "
    "weight. The chance of answering is modeled on what was done with the view; where what a viewer would "
    "have said itself decides on answering, a part of the difference stays.",
    "Viewers are not apart: where both arms train one model, or share popular items, an arm leaks into the "
    "other, and a change is more likely shown too small than too large.",
)


def write_ab(result: ExperimentResult, path: Path) -> None:
    """Write an experiment's result to one HTML file; equal results give equal bytes."""
    title = f"A/B test: {result.name}"
    body = [page.header(title, *summary(result)), *evidence(result), _method(result)]
    path.write_text(page.document(title, "\n".join(body)), encoding="utf-8")


def words(result: ExperimentResult, treatment: TreatmentResult) -> list[str]:
    """Return what a product manager reads first: the verdict, why, satisfaction, and the price."""
    verdict = _VERDICTS[treatment.verdict]
    lines = [f"{verdict}: {treatment.arm} against {result.arms[0]}.", *treatment.reasons]
    if treatment.verdict == "no verdict":
        return lines
    if SATISFACTION in treatment.metrics and result.metric != SATISFACTION:
        lines.append(f"Satisfaction changed by {change(treatment.metrics[SATISFACTION])}.")
    return [*lines, _price(result, treatment)]


def change(effect: Effect) -> str:
    """Return a change such as `+1.20 % (+0.20 to +2.20)`, with the interval that holds at every look."""
    e = every_look_percent(effect)
    if e.low is None or e.high is None:
        return f"{e.value:+.2f} % (no interval yet)"
    return f"{e.value:+.2f} % ({e.low:+.2f} to {e.high:+.2f})"


def absolute(difference: Difference) -> str:
    """Return a change in the metric's unit such as `+0.2 (+0.1 to +0.3)`, for every look."""
    low, high = difference.always_low, difference.always_high
    if low is None or high is None:
        return f"{difference.difference:+.4g} (no interval yet)"
    return f"{difference.difference:+.4g} ({low:+.4g} to {high:+.4g})"


def cautions(result: ExperimentResult, treatment: TreatmentResult) -> list[str]:
    """Return, by metric, why a change is missing and what makes one less certain than its interval says."""
    lines = []
    for spec in result.specs:
        why = treatment.not_measured.get(spec.name)
        lines += [f"{spec.title} has no relative change: {why}."] if why else []
        lines += [f"{spec.title}: {note}." for note in treatment.warnings.get(spec.name, ())]
    return lines


def _price(result: ExperimentResult, treatment: TreatmentResult) -> str:
    worse = []
    for name, difference in treatment.differences.items():
        effect, spec = treatment.metrics.get(name), result.spec(name)
        low, high = (effect or difference).always_low, (effect or difference).always_high
        if name == result.metric or not spec.is_goal or low is None or high is None:
            continue
        if max(spec.better * low, spec.better * high) < 0:
            worse.append(f"{spec.title} {change(effect) if effect else absolute(difference)}")
    if worse:
        return f"What it costs: {listed(worse)}."
    return "What it costs: no metric is shown to be worse."


def summary(result: ExperimentResult) -> list[str]:
    """Return the blocks that are read first: the verdicts in words, and the amount of data behind them."""
    viewers = sum(arm.viewers for arm in result.sample_ratio.arms)
    response = result.response
    answers = response.answers if isinstance(response, ResponseSummary) else 0
    blocks = []
    for treatment in result.treatments:
        first, *others = words(result, treatment)
        blocks += [page.text(first, "lead"), *(page.text(line) for line in others)]
    tiles = [
        page.tile(f"days of {result.days} planned", (str(result.days_run), "")),
        page.tile("viewers", (f"{viewers:,}", "")),
        page.tile("answers, those before the start too", (f"{answers:,}", "")),
    ]
    dates = f"{result.start} to {result.end} (UTC days)."
    return [*blocks, page.tiles(tiles), page.text(dates, "soft")]


def evidence(result: ExperimentResult) -> list[str]:
    """Return the sections with the numbers: each arm against the control, and whether to trust them."""
    return [*(_treatment(result, t) for t in result.treatments), _trust(result)]


def _treatment(result: ExperimentResult, treatment: TreatmentResult) -> str:
    followed = list(dict.fromkeys([result.metric, SATISFACTION]))
    drawn = []
    for name in followed:
        title = result.spec(name).title
        drawn.append(
            page.figure(
                f"{title} by arm",
                "By the end of each day, over all days so far. Bands are intervals at one look.",
                figures.level_lines(result, name),
                f"No arm has any of {title} yet.",
            )
        )
        drawn.append(
            page.figure(
                f"{title}: change against {result.arms[0]}",
                "With the stated confidence the true change is inside the band on every one of these days.",
                figures.lift_lines(result, treatment, name),
                "Nothing can be said yet.",
            )
        )
    overview = page.figure(
        "All metrics",
        "Relative changes. Where the longer bar, the interval at every look, does not touch zero, there is a "
        "change.",
        figures.lift_dots(result, treatment),
        "Nothing can be said yet.",
    )
    heads = ["Metric", page.plain(result.arms[0]), page.plain(treatment.arm), "which is", "Change"]
    heads += ["at one look", "at every look", "in its unit, at every look", "p, adjusted"]
    caption = (
        "The metrics of the EASQ paper's Table 2 (arXiv 2601.20215) and the platform's own. "
        f"Intervals: {100 * result.confidence:g} %. Better and worse are by the interval at every look."
    )
    return page.section(
        f"{treatment.arm} against {result.arms[0]}",
        page.grid(*drawn),
        page.table(caption, heads, _table_rows(result, treatment)),
        *(page.text(line) for line in cautions(result, treatment)),
        _guardrails(result, treatment),
        overview,
    )


def which_is(spec: Spec, change: Effect | Difference) -> str:
    """Return whether a change is better or worse, by its interval at every look; neither if no goal is."""
    low, high = change.always_low, change.always_high
    if low is None or high is None:
        return "no interval yet"
    if low <= 0 <= high:
        return "not clear"
    if not spec.is_goal:
        return "neither"
    return "better" if (low > 0) == (spec.better > 0) else "worse"


def _table_rows(result: ExperimentResult, treatment: TreatmentResult) -> Iterator[str]:
    for spec in result.specs:
        name = page.cell(spec.title, spec.unit)
        effect, difference = treatment.metrics.get(spec.name), treatment.differences.get(spec.name)
        if difference is None:
            yield page.row([name, *[page.cell("-")] * 8])
            continue
        which = which_is(spec, effect or difference)
        spans = ["-"] * 3
        if effect is not None:
            one, every = one_look_percent(effect), every_look_percent(effect)
            spans = ["-" if None in e else f"{e.low:+.2f} to {e.high:+.2f} %" for e in (one, every)]
            spans = [f"{one.value:+.2f} %", *spans]
        levels = [f"{difference.control:.4g}", f"{difference.treatment:.4g}"]
        cells = [*spans, absolute(difference)]
        cells.append(f"{difference.p_adjusted:.3f}" if difference.p_adjusted >= 0.001 else "below .001")
        told = page.cell(which, kind=which if which in ("better", "worse") else "")
        yield page.row([name, *map(page.cell, levels), told, *map(page.cell, cells)])


def _guardrails(result: ExperimentResult, treatment: TreatmentResult) -> str:
    rows = []
    for guardrail in treatment.guardrails:
        effect = treatment.metrics.get(guardrail.metric)
        cells = [result.spec(guardrail.metric).title, f"{100 * guardrail.tolerance:g} %"]
        difference = treatment.differences.get(guardrail.metric)
        told = absolute(difference) if difference else treatment.not_measured[guardrail.metric]
        cells += [change(effect) if effect else told, guardrail.state]
        rows.append(page.row(map(page.cell, cells)))
    if not rows:
        return page.text("The experiment names no guardrail.", "soft")
    heads = ["Guardrail", "may get worse by", "Change, at every look", ""]
    return page.table("A guardrail is held when its whole interval is within the tolerance.", heads, rows)


def _trust(result: ExperimentResult) -> str:
    ratio = result.sample_ratio
    weights = [arm.weight for arm in result.experiment.arms]
    rows = []
    for number, (arm, weight) in enumerate(zip(ratio.arms, weights, strict=True)):
        p_value = f"{arm.p_value:.3g}" if number else "-"
        cells = [arm.arm, f"{arm.viewers:,}", f"{weight / sum(weights):.1%}", p_value]
        rows.append(page.row(map(page.cell, cells)))
    response, counts = result.response, result.counts
    answers = (
        f"{response.answers:,} of {response.asks:,} asks were answered, those before the start too. "
        f"Weighted, they are worth {response.effective_answers:,.0f} even answers; the largest has "
        f"{response.largest:.1%} of all weight. {response.clipped:,} were cut off at {MOST_WEIGHT:g} times "
        f"the median weight, and {response.without_propensity:,} without a propensity count nothing."
        if isinstance(response, ResponseSummary)
        else "The log holds no ask of the question that trains."
    )
    share = result.viewers_kept
    lines = [
        page.text(answers),
        page.text(
            f"{result.crossed:,} viewers were seen in more than one arm; they count in their first, and more "
            f"than {MOST_CROSSED:.0%} of all block every verdict. "
            f"{counts['late']:,} reports came late or without their request, {counts['refused']:,} could not "
            f"be read; they count nothing. {counts['not_finite']:,} values were not finite and count as 0."
        ),
    ]
    if share < 1:
        lines.append(page.text(f"Counts are of a random {share:.1%} of the viewers, to bound memory."))
    heads = ["Arm", "viewers", "dealt", "p against the control"]
    caption = (
        "Were viewers dealt to the arms as they should be (sample ratio)? A p-value below "
        f"{ratio.level:g} would block every verdict; one above it blocks none."
    )
    return page.section("Can it be trusted?", page.table(caption, heads, rows), *lines)


def _method(result: ExperimentResult) -> str:
    chips = [page.chip(arm, run_color(n)) for n, arm in enumerate(result.arms)]
    notes = [page.text(note) for note in _METHOD]
    experiment: dict[str, Any] = msgspec.to_builtins(result.experiment)
    settings = [
        page.row([page.cell(key), page.cell(_setting_text(value))]) for key, value in experiment.items()
    ]
    return page.section(
        "How it was measured",
        page.lines(chips),
        *notes,
        page.folded("The experiment's settings", page.table("As they were in force.", ["", ""], settings)),
    )


def _setting_text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_setting_text, value)) or "none"
    if isinstance(value, dict):
        return " ".join(f"{key} {_setting_text(v)}" for key, v in value.items() if v is not None)
    return "none" if value is None else str(value)
