"""What a run was worth: each metric beside that of a reference, with the paired difference."""

from msgspec import Struct

from easq.prove.offline.tally import MetricValue

_FIRST = ("sat/auc", "sat/pair_accuracy", "sat/raw_auc", "pair_accuracy")


class MetricAgainst(Struct, frozen=True):
    """One metric: the run's own, that of the reference, and the difference, paired by viewer."""

    own: MetricValue
    against: MetricValue
    difference: MetricValue


class RunReport(Struct, frozen=True, kw_only=True):
    """A run beside a reference; as text it is a table.

    Every score is from before the model learned the view or its answer. Values are None where nothing
    counted. `metrics` are by name; docs/evaluation.md defines each.
    """

    method: str
    against: str
    views: int
    answers: int
    confidence: float
    metrics: dict[str, MetricAgainst]

    def __str__(self) -> str:
        """Return the table: what viewers say first, then behavior."""
        names = [n for n in _FIRST if n in self.metrics]
        names += [n for n in self.metrics if n.startswith("auc/")]
        cells = [["", self.method, self.against, "difference"]]
        for name in names:
            metric = self.metrics[name]
            parts = (_text(metric.own, ".3f"), _text(metric.against, ".3f"), _text(metric.difference, "+.3f"))
            cells.append([name, *parts])
        widths = [max(len(row[k]) for row in cells) for k in range(4)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells
        ]
        title = (
            f"{self.method} against {self.against}: {self.views:,} views, {self.answers:,} answers; "
            f"{self.confidence:.0%} intervals by viewer"
        )
        return "\n".join([title, *(line.rstrip() for line in lines)])


def _text(value: MetricValue, form: str) -> str:
    if value.value is None:
        return "-"
    if value.low is None or value.high is None:
        return f"{value.value:{form}}"
    return f"{value.value:{form}} ({value.low:{form}} to {value.high:{form}})"
