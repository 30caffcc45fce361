"""Names and meanings of metrics, losses and counts, in plain words."""

from collections.abc import Iterable

LOSSES = {
    "main": ("Behavior: the order within requests", "Main loss: it trains the score that is served."),
    "satisfaction": (
        "Answers: the order that viewers gave",
        "Satisfaction loss: it trains the satisfaction experts only. A step may read old answers again, so "
        "this shows how training goes. It is not out of sample.",
    ),
    "dpo": (
        "Alignment: from the answers to the served score",
        "DPO loss: it moves the score that is served. A step may read old answers again, so "
        "this is not out of sample.",
    ),
}
"""Title and meaning of a loss."""

PERFECT = "value of the metric; 1 is perfect"
TOO_SHORT = "The run is too short for a curve: it has fewer than two points."
PAPER_VALIDITY = (
    "For comparison, the EASQ paper (arXiv 2601.20215) reports for satisfied: like +46 %, comment +54 %, "
    "forward +69 %, follow +80 %; for dissatisfied: like -83 %, follow -85 %."
)

COUNTS = {
    "events": "all events of the log",
    "requests": "ranked lists that viewers saw",
    "behaviors": "reports of what viewers did",
    "asked": "questionnaires shown",
    "answers": "questionnaires answered",
    "duplicates": "events that came again; dropped",
    "late": "events after their window; kept in late.jsonl",
    "orphans": "events whose request is not in the log",
    "refused": "events that do not fit their request",
}

_NAMES = {
    "auc": "AUC",
    "gauc": "GAUC",
    "raw_auc": "Raw AUC",
    "hr": "HR",
    "ndcg": "NDCG",
    "mrr": "MRR",
    "pair_accuracy": "Pair accuracy",
}
_MEANINGS = {
    "sat/auc": "AUC: how often a satisfied answer stands higher above the mean of its list than another",
    "sat/raw_auc": "Raw AUC: the same on the scores as they are, of any two requests",
    "sat/pair_accuracy": "Pair accuracy: how often the better of two answers by one viewer is scored higher",
    "sat/hr": "HR@k: how often the satisfied view is among the first k of its request",
    "sat/ndcg": "NDCG@k: the same, but worth less further down the list",
    "sat/mrr": "MRR: the mean of 1 / rank of the satisfied view in its request",
    "pair_accuracy": "Pair accuracy: how often, in one request, more behavior is scored above less",
    "auc": "AUC: how often a view with the behavior is scored above a view without it",
    "gauc": "GAUC: the same, among the views of one viewer",
    "true_sat": "True satisfaction: the mean over the first k of a request, known in a simulated world only",
    "behavior": "Behavior level: the mean over the first k of a request",
}


def metric_name(metric: str) -> str:
    """Return a metric's short name.

    >>> metric_name("sat/ndcg@5"), metric_name("gauc/like"), metric_name("true_sat@3")
    ('NDCG@5', 'GAUC like', 'True satisfaction, first 3')
    """
    family, _, cut = metric.partition("@")
    if family in ("true_sat", "behavior"):
        return f"{'True satisfaction' if family == 'true_sat' else 'Behavior level'}, first {cut}"
    head, _, rest = family.partition("/")
    if head == "sat":
        return f"{_NAMES.get(rest, rest)}@{cut}" if cut else _NAMES.get(rest, rest)
    return " ".join(filter(None, (_NAMES.get(head, head), rest)))


def meanings(metrics: Iterable[str]) -> str:
    """Return a sentence for each family among the metrics."""
    families = dict.fromkeys(m if m.startswith("sat/") else m.partition("/")[0] for m in metrics)
    known = dict.fromkeys(_MEANINGS.get(family.partition("@")[0], "") for family in families)
    return " ".join(f"{words}." for words in known if words)


def listed(names: Iterable[str]) -> str:
    """Return names as a list in a sentence.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
