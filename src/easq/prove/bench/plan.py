"""What a bench runs, as data: experiments over methods, worlds and seeds, expanded into cells.

A plan is one TOML file (recipes/bench/plan.toml). A method is a small file, in methods/ next to it
or packaged, that changes a recipe.
"""

import tomllib
from collections.abc import Iterator, Sequence, Set
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from easq.errors import InputError
from easq.prove.bench.bound import BASE, BOUNDS, TRUE_BEHAVIOR
from easq.prove.bench.linear import LINEAR, LinearSettings
from easq.recipe.values import Strict

REFERENCES = ("random", "popularity", "oracle", *LINEAR, TRUE_BEHAVIOR, *BOUNDS)
"""Scorers without a recipe of their own. They are measured once in each world, beside its first methods."""

Views = Annotated[int, Meta(ge=1000)]
MOST_ANSWERS = 0.2
"""Most answers a view; how many a world gives is known where it is simulated (world_pass.py)."""

AnswerRate = Annotated[float, Meta(gt=0, le=MOST_ANSWERS)]


class BenchSize(Strict, frozen=True):
    """The size of a run.

    views, answers               views of one world, and answers learned per view.
    small_views, small_answers   the same for experiments that are `small`: many cells of shorter worlds.
    seeds                        of the worlds and of the parameters; an experiment may take the first few.
    linear_seeds                 of these, how many the linear learner runs on: it takes 0.2 ms a view.
    experiments                  names of the experiments, in the order in which they run.
    """

    views: Views
    answers: AnswerRate
    seeds: tuple[int, ...]
    experiments: tuple[str, ...]
    small_views: Views = 100_000
    small_answers: AnswerRate = 0.005
    linear_seeds: Annotated[int, Meta(ge=0)] = 100


class Variant(Strict, frozen=True):
    """Methods changed by settings, such as method.rank=0; `label` stands behind their names."""

    of: tuple[str, ...]
    label: str
    set: tuple[str, ...]


class Sweep(Strict, frozen=True):
    """A method at several values of one setting."""

    of: str
    key: str
    values: tuple[float, ...]


class BenchExperiment(Strict, frozen=True):
    """One question: which methods and variants, on which worlds.

    `figure` bars: a gain for each method; frontier: satisfaction against behavior; bound: the same beside the
    bounds. `against` names the method whose values are subtracted. `trials` are settings of methods to choose
    among: see tune.py. `own_base` names the base of a method that has not that of `against`: its trials are
    priced against it.

    answers       answers learned per view, one world each; none: the size's own.
    num_answers   instead of `answers`: how many answers are learned.
    together      most methods in one pass, instead of the plan's: a bound's pass compares at equal prices.
    warm          views before which no answer is learned, one world each. They come on top of the size's
                  views, and neither `answers` nor what is measured counts them.
    """

    title: str
    methods: tuple[str, ...] = ()
    variants: tuple[Variant, ...] = ()
    sweeps: tuple[Sweep, ...] = ()
    trials: dict[str, tuple[tuple[str, ...], ...]] = msgspec.field(default_factory=dict)
    own_base: dict[str, str] = msgspec.field(default_factory=dict)
    scenarios: tuple[str, ...] = ("main", "bait")
    answers: tuple[AnswerRate, ...] = ()
    num_answers: tuple[Annotated[int, Meta(ge=1)], ...] = ()
    warm: tuple[Annotated[int, Meta(ge=0)], ...] = (0,)
    bias: tuple[float, ...] = (1.0,)
    small: bool = False
    together: Annotated[int, Meta(ge=1)] | None = None
    most_seeds: int = 100
    against: str = "behavior"
    figure: Literal["bars", "frontier", "bound"] = "bars"


class OwnLog(Strict, frozen=True):
    """What is done with a log that the plan does not know: the shares of its answers to learn, and methods.

    `linear` are settings of the linear learner.
    """

    kept: tuple[Annotated[float, Meta(gt=0, lt=1)], ...]
    seeds: tuple[int, ...]
    methods: tuple[str, ...]
    linear: LinearSettings = LinearSettings()


class Real(OwnLog, frozen=True, kw_only=True):
    """A real log of the plan, with its loader and its recipe, which stands next to the plan or is packaged.

    `set` are settings for all methods. The recipe leaves them out because its own method does not read them.
    """

    loader: Literal["kuairand", "eeg_svrec"]
    recipe: str
    set: tuple[str, ...] = ()


class Plan(Strict, frozen=True):
    """Sizes, experiments and real logs by name; `candidates` of a request, `together` methods in one pass.

    `own` is for a user's own log. `linear` are settings of the linear learner on worlds. `held_against` names
    methods whose price is held against the ranking of another method, which learns beside them.
    """

    sizes: dict[str, BenchSize]
    experiments: dict[str, BenchExperiment]
    real: dict[str, Real] = msgspec.field(default_factory=dict)
    own: OwnLog | None = None
    candidates: Annotated[int, Meta(ge=2, le=1000)] = 20
    measured_share: Annotated[float, Meta(gt=0, le=1)] = 0.5
    together: Annotated[int, Meta(ge=1)] = 4
    linear: LinearSettings = LinearSettings(rate=0.02, crosses=True)
    held_against: dict[str, str] = msgspec.field(default_factory=dict)


class BenchWorld(NamedTuple):
    """A world without its seed.

    answers   learned per view, of the views after the warm ones.
    views     all views.
    warm      views, the first of all, of which no answer is learned.
    """

    scenario: str
    answers: float
    bias: float
    views: int
    warm: int = 0

    @property
    def num_answers(self) -> int:
        """How many answers are learned."""
        return round(self.answers * (self.views - self.warm))

    def __repr__(self) -> str:
        """Return the world as text, of which names of rows are digests; without `warm` where it is 0."""
        shown = self._asdict() if self.warm else {n: v for n, v in self._asdict().items() if n != "warm"}
        return f"BenchWorld({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


class BenchArm(NamedTuple):
    """A method with its changed settings; `name` is the method name in its rows."""

    name: str
    method: str
    set: tuple[str, ...] = ()


class Cell(NamedTuple):
    """The smallest unit of a bench, with rows of its own."""

    arm: BenchArm
    place: BenchWorld
    seed: int


def read_plan(path: Path) -> Plan:
    """Read a plan. Raises InputError for a file that is no plan."""
    try:
        plan = msgspec.convert(tomllib.loads(path.read_text()), Plan)
    except FileNotFoundError:
        raise InputError(f"there is no plan at {path}; allowed: a file, or bench/plan (packaged)") from None
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InputError(f"{path}: {error}") from None
    for name, size in plan.sizes.items():
        for wanted in size.experiments:
            if wanted not in plan.experiments:
                raise InputError(f"{path}: sizes.{name}.experiments: {wanted!r} is not an experiment")
            for problem in _answer_problems(plan.experiments[wanted], size):
                raise InputError(f"{path}: experiments.{wanted}.{problem} (size {name})")
    return plan


def _answer_problems(experiment: BenchExperiment, size: BenchSize) -> Iterator[str]:
    if experiment.answers and experiment.num_answers:
        yield "num_answers: got both this and answers; allowed: one of them"
    views = size.small_views if experiment.small else size.views
    for number in experiment.num_answers:
        if number > MOST_ANSWERS * views:
            most = int(MOST_ANSWERS * views)
            yield f"num_answers: got {number:,} of {views:,} views; allowed: up to {most:,}"


def arms_of(experiment: BenchExperiment) -> list[BenchArm]:
    """Return the arms of an experiment in their order."""
    arms = [BenchArm(method, method) for method in experiment.methods]
    arms += [
        BenchArm(f"{method}, {variant.label}", method, variant.set)
        for variant in experiment.variants
        for method in variant.of
    ]
    arms += [
        BenchArm(f"{sweep.of}, {sweep.key}={value:g}", sweep.of, (f"{sweep.key}={value:g}",))
        for sweep in experiment.sweeps
        for value in sweep.values
    ]
    arms += [
        BenchArm(f"{method}, {' '.join(trial)}", method, trial)
        for method, trials in experiment.trials.items()
        for trial in trials
    ]
    return arms


def places_of(experiment: BenchExperiment, size: BenchSize) -> list[BenchWorld]:
    """Return the worlds of an experiment, without seeds."""
    views, own = (size.small_views, size.small_answers) if experiment.small else (size.views, size.answers)
    rates = experiment.answers or tuple(number / views for number in experiment.num_answers) or (own,)
    return [
        BenchWorld(scenario, answers, bias, warm + views, warm)
        for warm in experiment.warm
        for answers in rates
        for bias in experiment.bias
        for scenario in experiment.scenarios
    ]


def cells_of(experiment: BenchExperiment, size: BenchSize) -> Iterator[Cell]:
    """Yield all cells of an experiment: world by world, arm by arm, seed by seed."""
    for place in places_of(experiment, size):
        for arm in arms_of(experiment):
            most = min(experiment.most_seeds, size.linear_seeds if arm.method in LINEAR else len(size.seeds))
            for seed in size.seeds[:most]:
                yield Cell(arm, place, seed)


def scenario_name(place: BenchWorld, size: BenchSize) -> str:
    """Return a world's name in rows: its scenario, and how it differs from the size's own."""
    name = place.scenario
    if place.warm:
        name += f", warm {place.warm:,} views, {place.num_answers:,} answers"
    elif place.answers != size.answers:
        name += f", {place.answers:g} answers a view"
    if place.bias != 1:
        name += f", bias {place.bias:g}"
    if place.views != size.views:
        name += f", {place.views:,} views"
    return name


def passes(
    plan: Plan, size: BenchSize, only: Sequence[str] = (), methods: Sequence[str] = ()
) -> Iterator[list[Cell]]:
    """Yield groups of cells of one world, the most useful first, in case a bench is cut off.

    `only` limits them to these experiments, `methods` to these methods. The order is experiment by
    experiment, a few methods at a time, seed by seed, world by world; shared cells are yielded once.
    Experiments with bounds come first, because beside a bound every method has one metric more. Raises
    InputError for a bound without its base.
    """
    seen: set[Cell] = set()
    few = set(size.seeds[: size.linear_seeds])
    wanted_names = [name for name in size.experiments if not only or name in only]
    experiments = [plan.experiments[name] for name in wanted_names]
    for experiment in sorted(experiments, key=lambda one: BOUNDS.keys().isdisjoint(one.methods)):
        wanted = [arm for arm in arms_of(experiment) if not methods or arm.method in methods]
        references = [arm for arm in wanted if arm.method in REFERENCES]
        arms = [arm for arm in wanted if arm.method not in REFERENCES]
        together = experiment.together or plan.together
        for start in range(0, max(1, len(arms)), together):
            for seed in size.seeds[: experiment.most_seeds]:
                for place in places_of(experiment, size):
                    chosen = arms[start : start + together] + (references if not start else [])
                    cells = [Cell(arm, place, seed) for arm in chosen]
                    cells = [c for c in cells if c.seed in few or c.arm.method not in LINEAR]
                    group = to_run(cells, seen)
                    seen.update(group)
                    if group:
                        yield group


def to_run(cells: Sequence[Cell], done: Set[Cell]) -> list[Cell]:
    """Return the cells of a pass that are not done and, with a bound among them, its base in any case.

    Raises InputError for a bound without its base.
    """
    missing = [cell for cell in cells if cell not in done]
    if not any(cell.arm.method in BOUNDS for cell in missing):
        return missing
    base = base_of(cells)
    return [cell for cell in cells if cell in missing or cell == base]


def base_of(cells: Sequence[Cell]) -> Cell:
    """Return the cell of a pass that bounds are measured against. Raises InputError where there is none."""
    for cell in cells:
        if cell.arm == BenchArm(BASE, BASE):
            return cell
    bound = next(cell.arm.name for cell in cells if cell.arm.method in BOUNDS)
    raise InputError(
        f"{bound} is measured against the method {BASE}, in the same pass: put {BASE} first among the "
        "experiment's methods, and run both"
    )
