"""The parts of a report that say what the log holds; no model has a part in them."""

from collections.abc import Iterator, Sequence

from easq.prove.offline.results import ReplayResult
from easq.prove.report import figures, page
from easq.prove.report.comparable import logs
from easq.prove.report.estimates import estimate, percent
from easq.prove.report.pieces import confidence, number
from easq.prove.report.run_labels import run_labels
from easq.prove.report.words import COUNTS, PAPER_VALIDITY


def viewers(results: Sequence[ReplayResult]) -> str:
    """Show answers and behaviors over event time."""
    blocks = [block for name, result in logs(results) for block in _over_time(name, result)]
    words = "This is the log itself. No model has a part in it."
    return page.section("What did viewers say and do over time?", page.text(words), page.grid(*blocks))


def _over_time(name: str, result: ReplayResult) -> tuple[str, str]:
    by_answers = page.figure(
        _titled("What viewers answered", name),
        f"The question was: {result.question.text} Neighboring points are pooled until each holds "
        f"{figures.ANSWERS_PER_POINT} answers. A bar is the 95 % interval, as if answers were independent.",
        figures.answer_shares(result),
        f"The log holds {result.answers:,} answers: too few to see how they change over time.",
    )
    by_behavior = page.figure(
        _titled("What viewers did", name),
        "The share of views with each behavior. Each strip has its own scale, from zero. Neighboring "
        f"points are pooled until each holds the behavior {figures.SHOWN_PER_POINT} times.",
        figures.behavior_rates(result),
        "The log holds too little behavior to see how it changes over time.",
    )
    return by_answers, by_behavior


def validity(results: Sequence[ReplayResult]) -> str:
    """Show behavior on answered views by answer: convergent validity."""
    blocks = []
    caption = (
        "Zero is the viewer's own average over all views. Only views that were watched for a while are "
        "asked, so a behavior that goes with watching can lie above zero for every answer. "
        f"{PAPER_VALIDITY}"
    )
    for name, result in logs(results):
        drawn = figures.validity_dots(result)
        absent = "No view has both an answer and a behavior, so answers cannot be held against behavior."
        blocks.append(page.figure(_titled("Behavior on answered views", name), caption, drawn, absent))
        if drawn is not None:
            table = _validity_table(result, confidence(results))
            blocks.append(page.folded(_titled("The same as numbers", name), table))
    doubts = dict.fromkeys(str(doubt) for _, result in logs(results) for doubt in result.order_doubt)
    blocks = [*(page.text(f"Take care: {doubt}.", "warning") for doubt in doubts), *blocks]
    words = (
        "If answers mean what they say, viewers do more on videos that they call satisfying, and less on the "
        "others. This checks the questionnaire, not the model."
    )
    return page.section("Do the answers agree with behavior?", page.text(words), *blocks)


def _validity_table(result: ReplayResult, level: str) -> str:
    options, rows = result.question.options, []
    for behavior in result.behaviors:
        estimates = [estimate(result.validity, f"validity/{option}/{behavior}") for option in options]
        changes = [percent(e) if e else None for e in estimates]
        rows.append(page.row([page.cell(behavior), *(number(e, "+.1f") for e in changes)]))
    caption = f"Difference from the viewer's own average in percent, with its {level} interval."
    return page.table(caption, ["Behavior", *map(page.plain, options)], rows)


def data(results: Sequence[ReplayResult]) -> str:
    """List what came in and how features share embedding rows."""
    replayed = list(logs(results))
    held = {kind for _, r in replayed for kind in r.counts}
    kinds = [k for k in COUNTS if k in held] + sorted(held - set(COUNTS))
    heads = ["Events", *(page.plain(name or "Number") for name, _ in replayed)]
    rows = []
    for kind in kinds:
        numbers = [page.cell(f"{r.counts.get(kind, 0):,}") for _, r in replayed]
        rows.append(page.row([page.cell(kind, COUNTS.get(kind, "")), *numbers]))
    counts = page.folded("Events of the log", page.table("What came in and what became of it.", heads, rows))
    return page.section("What is in the data?", counts, *_collisions(results))


def _collisions(results: Sequence[ReplayResult]) -> Iterator[str]:
    alike = all(r.collisions == results[0].collisions for r in results)
    heads = ["Feature", "Rows", "Taken", "Lookups", "Shared"]
    caption = (
        "Ids are hashed into a fixed number of embedding rows. Ids that fall into one row share what it "
        "learns. Shared is the share of lookups whose row another id had taken first."
    )
    for name, result in [("", results[0])] if alike else zip(run_labels(results), results, strict=True):
        title = _titled("Embedding rows by feature", name)
        if not result.collisions:
            yield page.folded(
                title, page.text("The recipe has no hashed features, so no ids can share a row.")
            )
            continue
        rows = []
        for feature, collisions in sorted(result.collisions.items()):
            sizes = [f"{n:,}" for n in (collisions.rows, collisions.taken, collisions.lookups)]
            share = f"{100 * collisions.collided_share:.2f} %"
            rows.append(page.row(map(page.cell, [feature, *sizes, share])))
        yield page.folded(title, page.table(caption, heads, rows))


def _titled(title: str, name: str) -> str:
    return f"{title}: {name}" if name else title
