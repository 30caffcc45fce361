"""The report on a log's questionnaire as one HTML file that needs nothing else."""

from collections.abc import Iterator
from pathlib import Path

from easq.prove.answers.results import ResponseFit, ValidityResult
from easq.prove.report import answer_figures as figures
from easq.prove.report import page
from easq.prove.report.answer_figures import labels_of
from easq.prove.report.draw import estimate_text
from easq.prove.report.estimates import estimate, percent
from easq.prove.report.words import listed
from easq.recipe.likely_direction import likely_direction

_STRATA = (
    ("question", "By question", "The share of asks that were answered."),
    ("wording", "By wording", "Question, version and language."),
    ("number", "By number of the ask", "Of the viewer's asks, the first being 1: fatigue shows as a fall."),
    ("position", "By place in the request", "Where the item stood that was asked about, 1 being the first."),
    ("first", "By order of the options", "The option that was shown first."),
)


def write_validity(result: ValidityResult, path: Path) -> None:
    """Write a validity result to one HTML file; equal results give equal bytes."""
    title = f"The questionnaire of {result.name}"
    body = [_heading(title, result), *sections(result)]
    path.write_text(page.document(title, "\n".join(body)), encoding="utf-8")


def sections(result: ValidityResult) -> list[str]:
    """Return the sections of a validity report, one for each question about the questionnaire."""
    return [_later(result), _responses(result), _model(result), _quality(result)]


def _heading(title: str, result: ValidityResult) -> str:
    counts = result.counts
    tiles = [
        page.tile("asks", (f"{counts.asked:,}", "")),
        page.tile("answered", (f"{counts.answered:,}", "")),
        page.tile("dismissed", (f"{counts.dismissed:,}", "")),
        page.tile("ignored", (f"{counts.ignored:,}", "")),
        page.tile("nothing reported", (f"{counts.silent:,}", "")),
    ]
    level = f"{100 * result.confidence:g} %"
    words = (
        f"The question that trains: {result.question.text} Bars are {level} intervals: how far a "
        "number could move with other viewers."
    )
    share = counts.viewers_kept
    some = f" Counts by viewer are those of a random {100 * share:g} % of all viewers." if share < 1 else ""
    return page.header(title, page.text(words + some, "lead"), page.tiles(tiles))


def _later(result: ValidityResult) -> str:
    hours, after = result.window_hours, result.after
    who = ", ".join(f"{option}: {a.views:,} views of {a.viewers:,} viewers" for option, a in after.items())
    caption = (
        f"Views in requests made within {hours:g} hours after the answer, the last answer counting where "
        f"there are several. Zero is the same viewer's average over views that are after no answer. {who}."
    )
    drawn = figures.later_dots(result)
    absent = "No viewer who answered has views both after the answer and at other times."
    table = []
    for option in result.question.options:
        cells = [estimate(result.metrics, f"later/{option}/{b}") for b in result.behaviors]
        values = [page.cell(estimate_text(percent(e), "+.1f") + " %" if e else "-") for e in cells]
        table.append(page.row([page.cell(option), *values]))
    heads = ["Answer", *(page.plain(b) for b in result.behaviors)]
    return page.section(
        "Do viewers act as they say?",
        page.text(agreement(result), "lead"),
        page.text(
            "If answers mean what they say, satisfied viewers do more afterwards, and the others less."
        ),
        page.figure("Behavior after an answer", caption, drawn, absent),
        page.folded("The same as numbers", page.table("Against the viewer's own average.", heads, table)),
    )


def agreement(result: ValidityResult) -> str:
    """Return in words whether behavior after the best and the worst option agrees with them.

    A behavior agrees where its interval is clear of the viewer's own average, on the side that the answer
    says.
    """
    worst, *_, best = result.question.options
    agreeing, contrary, told = list[str](), list[str](), 0
    for option, side in ((best, 1), (worst, -1)):
        for behavior in result.behaviors:
            after = estimate(result.metrics, f"later/{option}/{behavior}")
            sign = side * likely_direction(behavior)
            if not sign or after is None or after.low is None or after.high is None:
                continue
            told += 1
            if after.low > 1 or after.high < 1:
                agrees = (after.low > 1) == (sign > 0)
                words = f"{behavior} after “{option}” ({100 * (after.value - 1):+.1f} %)"
                (agreeing if agrees else contrary).append(words)
    if not told:
        return "It cannot be told yet: too few views come after answers."
    against = f" Against it: {listed(contrary)}." if contrary else ""
    if agreeing:
        return f"Shown for {listed(agreeing)}, of {told} looked at.{against}"
    return (
        f"It is not shown: of {told} changes after answers none is clear of the viewer's own average on the "
        f"side that the answer says.{against} There may be too few answers, or they say little of what "
        "viewers do."
    )


def _responses(result: ValidityResult) -> str:
    blocks = []
    for stratum, title, caption in _STRATA:
        if len(labels_of(result, f"response/{stratum}")) > (stratum != "question"):
            drawn = figures.rate_dots(result, f"response/{stratum}", "answered")
            blocks.append(page.figure(title, caption, drawn, ""))
    chosen = figures.chosen_dots(result)
    if chosen is not None:
        caption = "If the order of options does not matter, the dots of an option agree."
        blocks.append(page.figure("What was chosen, by where it was shown", caption, chosen, ""))
    medians = ", ".join(
        f"{option} {took.p50 / 1000:.1f} s" for option, took in result.took_ms.items() if took.p50 is not None
    )
    drawn = figures.took_lines(result)
    caption = f"Medians: {medians}. Each option's answers add up to 100 %."
    blocks.append(page.figure("Time to answer", caption, drawn, "The log holds no answers."))
    return page.section("Who answers, and when?", page.grid(*blocks))


def _model(result: ValidityResult) -> str:
    model = result.model
    if not model:
        words = (
            "There are not both answered and unanswered asks whose views have closed, so nothing is modeled."
        )
        return page.section("Whose answers are missing?", page.text(words))
    words = (
        "A logistic model tells answered asks from others by the features as served, the behavior on the "
        f"view and the moment (AUC {model.auc:.3f}; 0.5 is chance). Weighted by the inverse of its "
        f"chances, {model.answers:,} answers stand for {model.asks:,} asks and are worth "
        f"{model.effective_answers:,.0f} unweighted ones. It corrects for what it can see: "
        "where what a viewer would have said itself decides on answering, a part of the difference stays."
    )
    balanced = page.figure(
        "Balance",
        "How far answered asks lie from all asks. Within the dotted lines (0.1) is usually called balanced. "
        "The covariates that are farthest before weighting.",
        figures.balance_dots(result),
        "No covariate varies.",
    )
    shares = page.figure(
        "What viewers say, corrected",
        "Corrected for asks: each answer counts by the inverse of its ask's propensity.",
        figures.share_dots(result),
        "The log holds no answers.",
    )
    return page.section(
        "Whose answers are missing?",
        page.text(words),
        page.grid(balanced, shares),
        page.folded(
            "All covariates",
            page.table("In deviations.", ["", "Slope", "Before", "After"], _covariates(model)),
        ),
    )


def _covariates(model: ResponseFit) -> Iterator[str]:
    for c in model.covariates:
        numbers = [page.cell(f"{number:+.3f}") for number in (c.slope, c.before, c.after)]
        yield page.row([page.cell(c.name), *numbers])


def _quality(result: ValidityResult) -> str:
    quality = result.quality
    flags = ", ".join(f"{flag}: {num:,}" for flag, num in quality.flags.items()) or "none"
    words = f"Mean weight of an answer: {quality.mean_weight:.3f}. Flags: {flags}."
    return page.section("How much do answers count?", page.text(words))
