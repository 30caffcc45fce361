"""The sentence about whether viewers act as they say, and the word for a change."""

from dataclasses import replace

import pytest

from easq.prove.ab.effects import Difference
from easq.prove.ab.experiment_metrics import Spec
from easq.prove.answers.results import ValidityResult
from easq.prove.offline.tally import MetricValue
from easq.prove.report.about_ab import which_is
from easq.prove.report.about_answers import agreement
from easq.recipe.questionnaire import Question


def result(**after: MetricValue) -> ValidityResult:
    """Return a result with behavior after answers; `satisfied_like` is of likes after "satisfied"."""
    names = {name: value for key, value in after.items() for name in [key.replace("_", "/", 1)]}
    empty = dict.fromkeys(ValidityResult.__struct_fields__)
    return ValidityResult(
        **empty
        | {
            "question": Question(),
            "behaviors": ["like", "hate", "click"],
            "metrics": {f"later/{name}": value for name, value in names.items()},
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("after", "words"),
    [
        ({}, "It cannot be told yet"),
        # A click points either way.
        ({"satisfied_click": MetricValue(2.0, 1.5, 2.5)}, "It cannot be told yet"),
        ({"satisfied_like": MetricValue(1.2, 0.9, 1.5)}, "It is not shown: of 1 changes"),
        (
            {"satisfied_like": MetricValue(1.2, 1.1, 1.3)},
            "Shown for like after “satisfied” (+20.0 %), of 1 looked at.",
        ),
        ({"dissatisfied_hate": MetricValue(1.5, 1.2, 1.8)}, "Shown for hate after “dissatisfied” (+50.0 %)"),
        (
            {"dissatisfied_like": MetricValue(1.2, 1.1, 1.3)},
            "It is not shown: of 1 changes after answers none is clear of the viewer's own average on the "
            "side that the answer says. Against it: like after “dissatisfied” (+20.0 %).",
        ),
    ],
)
def test_the_sentence_says_what_is_shown(after: dict[str, MetricValue], words: str) -> None:
    assert agreement(result(**after)).startswith(words)


@pytest.mark.parametrize(
    ("low", "high", "better", "is_goal", "word"),
    [
        (0.1, 0.2, 1, True, "better"),
        (0.1, 0.2, -1, True, "worse"),
        (-0.2, -0.1, -1, True, "better"),
        (-0.1, 0.2, 1, True, "not clear"),
        (0.1, 0.2, 1, False, "neither"),
        (None, None, 1, True, "no interval yet"),
    ],
)
def test_a_change_is_better_by_its_interval_at_every_look(
    low: float | None, high: float | None, better: int, is_goal: bool, word: str
) -> None:
    empty = dict.fromkeys(Difference.__struct_fields__)
    change = Difference(**empty | {"always_low": low, "always_high": high})
    assert which_is(replace(SPEC, better=better, is_goal=is_goal), change) == word


SPEC = Spec("like", "Like", "views", "like")
