"""The report of an experiment as one HTML file to send: the verdict in words first, then the numbers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from easq.prove.report import ab_figures as figures
from easq.prove.report import page
from easq.prove.report.ab_figures import Result, percent, title_of
from easq.prove.report.draw import run_color
from easq.prove.report.words import listed

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
    "weight. The chance of answering is modelled on what was done with the view; where what a viewer would "
    "have said itself decides on answering, a part of the difference stays.",
    "Viewers are not apart: where both arms train one model, or share popular items, an arm leaks into the "
    "other, and a change is more likely shown too small than too large.",
)


def write_ab(result: Result, path: Path) -> None:
    """Write what `analyse` found to one HTML file; equal results give equal bytes."""
    title = f"A/B test: {result['name']}"
    body = [page.header(title, *summary(result)), *evidence(result), _method(result)]
    path.write_text(page.document(title, "\n".join(body)), encoding="utf-8")


def words(result: Result, treatment: Result) -> list[str]:
    """Return what a product manager reads first: the verdict, why, satisfaction, and the price."""
    verdict = _VERDICTS[treatment["verdict"]]
    lines = [f"{verdict}: {treatment['arm']} against {result['arms'][0]}.", *treatment["reasons"]]
    if treatment["verdict"] == "no verdict":
        return lines
    if "satisfaction" in treatment["metrics"] and result["metric"] != "satisfaction":
        lines.append(f"Satisfaction changed by {change(treatment['metrics']['satisfaction'])}.")
    return [*lines, _price(result, treatment)]


def change(found: Result) -> str:
    """Return a relative change in words, with the interval that holds at every look.

    >>> change({"lift": 0.012, "always_low": 0.002, "always_high": 0.022})
    '+1.20 % (+0.20 to +2.20)'
    """
    e = percent(found, "always_low", "always_high")
    if e.low is None or e.high is None:
        return f"{e.value:+.2f} % (no interval yet)"
    return f"{e.value:+.2f} % ({e.low:+.2f} to {e.high:+.2f})"


def _price(result: Result, treatment: Result) -> str:
    better = {spec["name"]: spec["better"] * spec["is_goal"] for spec in result["specs"]}
    worse = []
    for name, found in treatment["metrics"].items():
        bounds = [found["always_low"], found["always_high"]]
        if name != result["metric"] and None not in bounds and max(better[name] * b for b in bounds) < 0:
            worse.append(f"{title_of(result, name)} {change(found)}")
    if worse:
        return f"What it costs: {listed(worse)}."
    return "What it costs: no metric is shown to be worse."


def summary(result: Result) -> list[str]:
    """Return the blocks of what is read first: the verdicts in words, and how much there is to it."""
    viewers = sum(arm["viewers"] for arm in result["sample_ratio"]["arms"])
    blocks = []
    for treatment in result["treatments"]:
        first, *others = words(result, treatment)
        blocks += [page.text(first, "lead"), *(page.text(line) for line in others)]
    tiles = [
        page.tile(f"days of {result['days']} planned", (str(result["days_run"]), "")),
        page.tile("viewers", (f"{viewers:,}", "")),
        page.tile("answers, those before the start too", (f"{result['response'].get('answers', 0):,}", "")),
    ]
    dates = f"{result['start']} to {result['end']} (UTC days)."
    return [*blocks, page.tiles(tiles), page.text(dates, "soft")]


def evidence(result: Result) -> list[str]:
    """Return the sections that hold the numbers: each arm against the control, and whether they are true."""
    return [*(_treatment(result, t) for t in result["treatments"]), _trust(result)]


def _treatment(result: Result, treatment: Result) -> str:
    metric = result["metric"]
    followed = list(dict.fromkeys([metric, "satisfaction"]))
    drawn = []
    for name in followed:
        title = title_of(result, name)
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
                f"{title}: change against {result['arms'][0]}",
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
    heads = ["Metric", page.plain(result["arms"][0]), page.plain(treatment["arm"]), "Change", "at one look"]
    heads += ["at every look", "p, adjusted"]
    caption = (
        "The metrics of the EASQ paper's Table 2 (arXiv 2601.20215) and the platform's own. "
        f"Intervals: {100 * result['confidence']:g} %."
    )
    return page.section(
        f"{treatment['arm']} against {result['arms'][0]}",
        page.grid(*drawn),
        page.table(caption, heads, _table_rows(result, treatment)),
        _guardrails(result, treatment),
        overview,
    )


def _table_rows(result: Result, treatment: Result) -> Iterator[str]:
    for spec in result["specs"]:
        name = page.cell(spec["title"], spec["unit"])
        found = treatment["metrics"].get(spec["name"])
        if found is None:
            yield page.row([name, *[page.cell("-")] * 6])
            continue
        one, every = (percent(found, *bounds) for bounds in (("low", "high"), ("always_low", "always_high")))
        spans = ["-" if None in e else f"{e.low:+.2f} to {e.high:+.2f} %" for e in (one, every)]
        cells = [f"{found['control']:.4g}", f"{found['treatment']:.4g}", f"{one.value:+.2f} %", *spans]
        cells.append(f"{found['p_adjusted']:.3f}" if found["p_adjusted"] >= 0.001 else "below .001")
        yield page.row([name, *map(page.cell, cells)])


def _guardrails(result: Result, treatment: Result) -> str:
    rows = []
    for guardrail in treatment["guardrails"]:
        found = treatment["metrics"].get(guardrail["metric"])
        cells = [title_of(result, guardrail["metric"]), f"{100 * guardrail['tolerance']:g} %"]
        cells += [change(found) if found else "nothing measured yet", guardrail["state"]]
        rows.append(page.row(map(page.cell, cells)))
    if not rows:
        return page.text("The experiment names no guardrail.", "soft")
    heads = ["Guardrail", "may get worse by", "Change, at every look", ""]
    return page.table("A guardrail is held when its whole interval is within the tolerance.", heads, rows)


def _trust(result: Result) -> str:
    ratio = result["sample_ratio"]
    weights = [arm.get("weight", 1.0) for arm in result["experiment"]["arms"]]
    rows = [
        page.row(
            map(
                page.cell,
                [
                    a["arm"],
                    f"{a['viewers']:,}",
                    f"{w / sum(weights):.1%}",
                    f"{a['p_value']:.3g}" if number else "-",
                ],
            )
        )
        for number, (a, w) in enumerate(zip(ratio["arms"], weights, strict=True))
    ]
    response, counts = result["response"], result["counts"]
    said = (
        f"{response['answers']:,} of {response['asks']:,} asks were answered, those before the start too. "
        f"Weighted, they are worth {response['effective_answers']:,.0f} answers."
        if response
        else "The log holds no ask of the question that trains."
    )
    kept = result["viewers_kept"]
    lines = [
        page.text(said),
        page.text(
            f"{result['crossed']:,} viewers were seen in more than one arm; they count in their first. "
            f"{counts['late']:,} reports came late or without their request, {counts['refused']:,} could not "
            "be read; they count nothing."
        ),
    ]
    if kept < 1:
        lines.append(page.text(f"Counts are of a random {kept:.1%} of the viewers, to bound memory."))
    heads = ["Arm", "viewers", "dealt", "p against the control"]
    caption = (
        "Were viewers dealt to the arms as they should be (sample ratio)? A p-value below "
        f"{ratio['level']:g} would block every verdict; one above it blocks none."
    )
    return page.section("Can it be trusted?", page.table(caption, heads, rows), *lines)


def _method(result: Result) -> str:
    chips = [page.chip(arm, run_color(n)) for n, arm in enumerate(result["arms"])]
    notes = [page.text(note) for note in _METHOD]
    settings = [
        page.row([page.cell(key), page.cell(_said(value))]) for key, value in result["experiment"].items()
    ]
    return page.section(
        "How it was measured",
        page.lines(chips),
        *notes,
        page.folded("The experiment's settings", page.table("As they were in force.", ["", ""], settings)),
    )


def _said(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_said, value)) or "none"
    if isinstance(value, dict):
        return " ".join(f"{key} {_said(v)}" for key, v in value.items() if v is not None)
    return "none" if value is None else str(value)
