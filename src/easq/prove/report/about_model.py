"""The parts of a report about training: how the models learned and what happens inside them."""

from collections.abc import Sequence

from easq.model.answer_signals import PAIRS, SHUT, SIGNALS, SIZE, SPREAD, alarms, last_signals
from easq.prove.offline.results import ReplayResult
from easq.prove.report import figures, page
from easq.prove.report.comparable import lacking
from easq.prove.report.run_labels import run_labels
from easq.prove.report.words import LOSSES, TOO_SHORT


def learning(results: Sequence[ReplayResult]) -> str:
    """Show losses and pair accuracies along the runs."""
    title = "How did the models learn?"
    if not any(r.curve for r in results):
        return page.section(
            title, page.text("The log led to no step. Nothing was learned, so there is no curve.")
        )
    losses = {n.partition(".")[2] for r in results for p in r.curve for n in p if n.startswith("loss.")}
    blocks = []
    for loss in [n for n in LOSSES if n in losses] + sorted(losses - set(LOSSES)):
        name, meaning = LOSSES.get(loss, (f"Loss: {loss}", ""))
        without = _without(results, f"loss.{loss}", "has no such loss")
        caption = f"{meaning} Lower is better. {without}"
        blocks.append(page.figure(name, caption, figures.loss_curves(results, loss), TOO_SHORT))
    by_behavior = page.figure(
        "Behavior: pairs in the right order",
        "Pairs of views in one request, of which one drew more behavior. Higher is better.",
        figures.pair_curves(results, "pairs"),
        TOO_SHORT,
    )
    by_answers = page.figure(
        "Answers: pairs in the right order",
        "Each new answer is compared with the 64 answers before it, of any viewer, by the score that is "
        "served. Higher is better. Neighboring points are pooled until each holds "
        f"{figures.ANSWERS_PER_POINT} answers.",
        figures.pair_curves(results, "answer_pairs"),
        f"A curve needs {2 * figures.ANSWERS_PER_POINT} answers or more. The log holds fewer.",
    )
    words = "Each point is the mean over a stretch of the log. Dotted is what a coin toss would get."
    return page.section(
        title, page.text(words), page.grid(*blocks, kind="thirds"), page.grid(by_behavior, by_answers)
    )


def experts(results: Sequence[ReplayResult]) -> str:
    """Show how many experts fire along the runs."""
    if not any(r.curve for r in results):
        return page.section(
            "How many experts work?", page.text("The log led to no step, so no expert had work.")
        )
    without = _without(results, "active_satisfaction", "has no satisfaction experts at work")
    served = page.figure(
        "Main experts at work",
        "They make the score that is served.",
        figures.router_curves(results, "active"),
        TOO_SHORT,
    )
    asked = page.figure(
        "Satisfaction experts at work",
        f"They learn from answers and are not served. {without}",
        figures.router_curves(results, "active_satisfaction"),
        without or TOO_SHORT,
    )
    words = "A gate switches experts on and off for each row. This is how many are on, on average."
    return page.section("How many experts work?", page.text(words), page.grid(served, asked))


def answer_path(results: Sequence[ReplayResult]) -> str:
    """Show whether the path that answers train is alive; empty where no run has one."""
    if not any(n.startswith("signal.") for r in results for p in r.curve for n in p):
        return ""
    blocks = [
        page.figure(
            f"{SIGNALS[name][:1].upper()}{SIGNALS[name][1:]}",
            words,
            figures.signal_curves(results, name),
            TOO_SHORT,
        )
        for name, words in (
            (PAIRS, "In a step, on average. Without pairs nothing of the path is trained."),
            (SPREAD, "At zero the score says the same of every row."),
            (SIZE, "The increment corrects the backbone; as large as that, it drags it along."),
            (SHUT, "Such a row has the same score whatever it is."),
        )
    ]
    warnings = [
        f"{label} is not trained: {sentence}"
        for label, result in zip(run_labels(results), results, strict=True)
        for sentence in alarms(last_signals(result.curve))
    ]
    words = "A dead path is silent: its loss stays where it was, and what is served looks as before."
    return page.section(
        "Is the answer path alive?", page.text(words), *map(page.text, warnings), page.grid(*blocks)
    )


def calibration(results: Sequence[ReplayResult]) -> str:
    """Show how often pairs were in the order that the models claimed."""
    by_behavior = page.figure(
        "Behavior pairs, by the served score",
        _claims(results, "behavior"),
        figures.reliability(results, "behavior"),
        "The log holds no requests in which behaviors differ, so there was nothing to claim.",
    )
    by_answers = page.figure(
        "Answer pairs, by the satisfaction experts",
        _claims(results, "satisfaction"),
        figures.reliability(results, "satisfaction"),
        "No satisfaction experts saw two different answers in one batch, so they claimed nothing.",
    )
    words = (
        "Two scores say how sure a model is of their order. On the dotted line it is right as often as it "
        "claims. Above the line it is too modest, below it is too sure. A larger dot stands for more pairs."
    )
    return page.section(
        "Do the models know when they are sure?", page.text(words), page.grid(by_behavior, by_answers)
    )


def _claims(results: Sequence[ReplayResult], kind: str) -> str:
    sentences = []
    for label, result in zip(run_labels(results), results, strict=True):
        claim = result.calibration[kind]
        error = claim.expected_calibration_error
        known = f"{label}: {100 * (error or 0):.1f} points over {claim.pairs:,} pairs."
        sentences.append(known if claim.pairs else f"{label} claims nothing.")
    return f"Mean distance from the line (expected calibration error). {' '.join(sentences)}"


def _without(results: Sequence[ReplayResult], name: str, words: str) -> str:
    return " ".join(f"{label} {words}." for label in lacking(results, name))
