"""Commands before an A/B test: freeze the models, and estimate the result of the test."""

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter
from rich.table import Table

from easq.cli.ab import ab
from easq.cli.shared import HomeFolder, Json, change, console, show
from easq.errors import InputError

if TYPE_CHECKING:  # loaded when the command needs it
    from easq.prove.offpolicy.arm_estimates import ArmEstimate
    from easq.prove.offpolicy.estimators import ValueEstimate

Version = Annotated[str | None, Parameter(help="Of the arm's model: a frozen or a kept version.")]
AgainstVersion = Annotated[str | None, Parameter(help="Of the model that it is compared with.")]
Until = Annotated[str | None, Parameter(help="A UTC date: only requests before it count.")]


@ab.command
def freeze(experiment: str, *, home: HomeFolder, as_json: Json = False) -> None:
    """Freeze the current models of an experiment's arms, to be judged on later requests.

    Parameters
    ----------
    experiment
        Its name in the home's recipe.
    """
    from easq.home.home import open_home
    from easq.model.method import read_method
    from easq.prove.ab.analysis import find_experiment
    from easq.prove.offpolicy.arm_estimates import freeze_arms

    opened = open_home(home, methods=read_method)
    versions = freeze_arms(opened, find_experiment(opened.recipe, experiment))

    def as_text() -> None:
        for arm, version in versions.items():
            console.print(f"{arm}: {version}")

    show({"frozen": versions}, as_json, as_text)


@ab.command
def estimate(
    experiment: str,
    *,
    home: HomeFolder,
    arm: str | None = None,
    against: str | None = None,
    version: Version = None,
    against_version: AgainstVersion = None,
    until: Until = None,
    as_json: Json = False,
) -> None:
    """Estimate the result of an A/B test before it runs, from drawn rankings of the control arm ([explore]).

    Both arms' models rank the control's requests again, only those that neither has learned from. The
    estimate compares the shares of satisfied answers among the first items of each ranking.

    Parameters
    ----------
    experiment
        Its name in the home's recipe.
    arm
        The arm that is judged; the second one unless named.
    against
        The arm whose log is read and whose model is compared with; the first one unless named.
    """
    from easq.home.home import open_home
    from easq.model.method import read_method
    from easq.prove.ab.analysis import find_experiment
    from easq.prove.offpolicy.arm_estimates import estimate_arm, two_arms

    opened = open_home(home, methods=read_method)
    declared = find_experiment(opened.recipe, experiment)
    arms = two_arms(declared, arm, against)
    result = estimate_arm(opened, declared, arms, (version, against_version), _midnight(until))
    show(msgspec.to_builtins(result), as_json, lambda: _print(result))


def _midnight(day: str | None) -> int | None:
    if day is None:
        return None
    try:
        begins = datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC)
    except ValueError:
        raise InputError(f"--until: got {day!r}; allowed: a date such as 2026-03-31") from None
    return round(begins.timestamp() * 1000)


def _print(result: "ArmEstimate") -> None:
    arms, models = result.arms, result.models
    console.print(
        f"{result.requests:,} drawn requests of {result.viewers:,} viewers of {arms.control}, "
        f"{result.first_day} to {result.last_day}, with {result.answers:,} answers. Neither {arms.treatment} "
        f"({models.treatment}) nor {arms.control} ({models.control}) had read them."
    )
    values, lift = result.values, result.lift
    table = Table(f"satisfaction of the first {result.top}", arms.control, arms.treatment, "change")
    table.add_row(
        "SNIPS",
        _level(values.control.snips),
        _level(values.treatment.snips),
        change(lift.snips.value, lift.snips.low, lift.snips.high),
    )
    table.add_row(
        "doubly robust",
        _level(values.control.doubly_robust),
        _level(values.treatment.doubly_robust),
        change(lift.doubly_robust.value, lift.doubly_robust.low, lift.doubly_robust.high),
    )
    console.print(table)
    for arm, support in (
        (arms.control, result.support.control),
        (arms.treatment, result.support.treatment),
    ):
        console.print(
            f"{arm}: {support.answers:,} answers are of views that it would show, worth "
            f"{support.effective:,.0f} even ones; the largest has {support.largest:.1%} of the weight. "
            f"Mean weight {support.mean_weight:.2f} (1 where all is right)."
        )
    if result.reached < 1:
        console.print(
            f"Both order the {result.reached:.0%} of candidates that could come up; what they would have "
            "brought up from the others is not in the estimate."
        )
    for warning in result.warnings:
        console.print(f"warning: {warning}")
    if not result.supported:
        console.print("The log does not carry an estimate: do not go by these numbers.")


def _level(estimate: "ValueEstimate") -> str:
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"
