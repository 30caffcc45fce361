"""The population of a world: items that may be bait, and viewers who watch bait and regret it.

Shapes: I items, U viewers, T topics, A authors. Everything is drawn from one seed. Comments name the
figure that sets a spread, or "free" if no public figure does. docs/world.md lists the free ones.
"""

from dataclasses import dataclass, fields, replace
from statistics import NormalDist

import numpy as np

from easq.arrays import F32, F64, I64
from easq.sources.world.play import DURATION_S_Q, LEVELS
from easq.sources.world.real_figures import DURATION_EDGES_S

NUM_TOPICS = 20
_NUM_SEGMENTS = 12
MEAN_AGE_DAYS = 20.0
"""Free: items leave at random, one in 20 per day, so their ages are exponential."""


@dataclass(frozen=True)
class Scenario:
    """A feed: how much its authors rely on bait, how long videos are, how far it follows taste.

    author_bait   a and b of the Beta distribution of authors' bait (free)
    duration      factor on KuaiRand's durations
    taste_share   share of candidates drawn by the viewer's taste; the rest are drawn at random
    silence       share of what behaviors show that is impulse instead of what satisfies (impulse.py)
    """

    name: str
    author_bait: tuple[float, float]
    duration: float
    taste_share: float
    silence: float = 0.0

    @property
    def mean_bait(self) -> float:
        """The mean bait of authors."""
        a, b = self.author_bait
        return a / (a + b)


SILENCE = 0.75
"""Where behavior tells half as much of satisfaction as in EEG-SVRec: docs/world.md."""
SCENARIOS = {
    s.name: s
    for s in (
        Scenario("main", (0.6, 1.6), 1.0, 0.7),
        Scenario("bait", (1.2, 1.2), 0.5, 0.45),
        Scenario("silent", (0.6, 1.6), 1.0, 0.7, SILENCE),
    )
}


def read_scenario(text: str) -> Scenario:
    """Return the scenario of a name; `silent=0.3` is `silent` with another silence, from 0 to 1.

    Raises ValueError for any other text.
    """
    name, _, silence = text.partition("=")
    try:
        found = SCENARIOS[name]
        if not silence:
            return found if text == name else SCENARIOS[text]
        if name == "silent" and 0 <= float(silence) <= 1:
            return replace(found, name=f"silent={float(silence):g}", silence=float(silence))
    except (KeyError, ValueError):
        pass
    names = ", ".join(SCENARIOS)
    raise ValueError(f"scenario: got {text!r}; allowed: {names}, and silent=S with S from 0 to 1") from None


@dataclass(frozen=True)
class Authors:
    """Authors. Each has one topic, and a typical quality, bait and catch."""

    topic_A: I64
    bait_A: F32
    quality_A: F32
    catch_A: F32


@dataclass(frozen=True)
class Catalogue:
    """All items that ever existed: what a platform knows, and what is hidden (quality, bait, catch).

    `born_day_I` may be negative: before the world began. `length_I` is the class of the duration.
    """

    topic_I: I64
    author_I: I64
    style_I: I64
    tags_I: I64
    duration_s_I: F32
    length_I: I64
    born_day_I: F32
    quality_I: F32
    bait_I: F32
    catch_I: F32

    def __add__(self, other: "Catalogue") -> "Catalogue":
        """Return a catalogue with the other's items after its own."""
        return Catalogue(
            *(np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self))
        )


@dataclass(frozen=True)
class Taste:
    """Viewers' liking of topics. It turns slowly from `start_UT` to `other_UT` and back.

    That takes 120 days for every viewer (free).
    """

    start_UT: F32
    other_UT: F32

    def on(self, day: int) -> F32:
        """Return the liking by viewer and topic on a day. It is standard normal over the population."""
        angle = 2 * np.pi * day / 120
        start, other = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        return np.asarray(start * self.start_UT + other * self.other_UT)


@dataclass(frozen=True)
class Viewers:
    """Viewers: tastes, patience, how much bait pulls them and is regretted, habits of acting and answering.

    `impulse` is what moves them besides their interests, in the scenario `silent` only.
    """

    interest: Taste
    impulse: Taste | None
    segment_U: I64
    device_U: I64
    patience_U: F32
    bait_pull_U: F32
    regret_U: F32
    habit_U: F32
    answer_style_U: F32
    activity_U: F32
    loyalty_U: F32


def make_authors(scenario: Scenario, num_authors: int, random: np.random.Generator) -> Authors:
    """Draw authors, equally many of every topic: `num_authors` or a few more.

    Bait and quality have the same distribution in every topic of every world. Who has which is random.
    """
    num = -(-num_authors // NUM_TOPICS)

    def spread(drawn: F64) -> F32:
        """Give each topic one of every NUM_TOPICS neighbors in rank, in random order."""
        ranked = random.permuted(np.sort(drawn)[32::64].reshape(num, NUM_TOPICS), axis=1)
        return random.permuted(ranked, axis=0).ravel().astype(np.float32)

    return Authors(
        topic_A=np.arange(num * NUM_TOPICS) % NUM_TOPICS,
        bait_A=spread(random.beta(*scenario.author_bait, 64 * num * NUM_TOPICS)),
        quality_A=spread(random.standard_normal(64 * num * NUM_TOPICS)),
        catch_A=_catch(scenario, num * NUM_TOPICS, random),
    )


def make_items(
    authors: Authors, scenario: Scenario, num_items: int, day: float, random: np.random.Generator
) -> Catalogue:
    """Draw items born on `day`. On day 0 they are of all ages."""
    author_I = random.integers(0, len(authors.topic_A), num_items)
    topic_I = authors.topic_A[author_I]
    bait_I = np.clip(authors.bait_A[author_I] + random.normal(0, 0.15, num_items), 0, 1)
    # The style of a title is visible to everyone and correlates with bait.
    style_I = np.minimum((bait_I + random.normal(0, 0.2, num_items)).clip(0, 0.999) * 8, 7).astype(np.int64)
    quantiles = np.log([float(x) for x in DURATION_S_Q.split()])
    rank_I = random.permutation((np.arange(num_items) + random.random(num_items)) / max(num_items, 1))
    duration_I = scenario.duration * np.exp(np.interp(rank_I, [float(x) for x in LEVELS.split()], quantiles))
    born_I = np.full(num_items, day) - (random.exponential(MEAN_AGE_DAYS, num_items) if day == 0 else 0)
    return Catalogue(
        topic_I=topic_I,
        author_I=author_I,
        style_I=style_I,
        tags_I=np.stack([topic_I * 5 + random.integers(0, 5, num_items) for _ in range(2)], 1),
        duration_s_I=duration_I.astype(np.float32),
        length_I=np.searchsorted(DURATION_EDGES_S, duration_I),
        born_day_I=born_I.astype(np.float32),
        quality_I=(0.6 * authors.quality_A[author_I] + 0.8 * random.standard_normal(num_items)).astype(
            np.float32
        ),
        bait_I=bait_I.astype(np.float32),
        catch_I=0.6 * authors.catch_A[author_I] + np.float32(0.8) * _catch(scenario, num_items, random),
    )


def _catch(scenario: Scenario, num: int, random: np.random.Generator) -> F32:
    """Draw how much things catch, apart from their quality; 0 where nothing is silent.

    A stream of its own leaves all other draws of a world as they are.
    """
    if not scenario.silence:
        return np.zeros(num, np.float32)
    return random.spawn(1)[0].standard_normal(num, np.float32)


def make_viewers(num_viewers: int, random: np.random.Generator, *, impulsive: bool = False) -> Viewers:
    """Draw viewers. A segment of viewers shares half of the variance of taste (free).

    Viewers differ in which topics they like, not in how much they like their best. `impulsive` viewers have
    an impulse too, drawn like their interest.
    """
    segment_U = random.integers(0, _NUM_SEGMENTS, num_viewers)

    def normal(spread: float) -> F32:
        return np.asarray(np.float32(spread) * random.standard_normal(num_viewers, np.float32))

    return Viewers(
        interest=_make_taste(segment_U, random),
        impulse=_make_taste(segment_U, random.spawn(1)[0]) if impulsive else None,
        segment_U=segment_U,
        device_U=random.integers(0, 4, num_viewers),
        # KuaiRand: the spread of long-view shares is 0.157 beyond chance (viewers with 10 or more views).
        patience_U=normal(0.42),
        bait_pull_U=random.gamma(4.0, 0.25, num_viewers).astype(np.float32),
        regret_U=random.gamma(4.0, 0.25, num_viewers).astype(np.float32),
        # KuaiRand: the spread of viewers' like rates is 0.052 beyond chance, around 0.0195.
        habit_U=normal(1.4),
        # EEG-SVRec: the spread of people's mean answers is 0.49 levels of 1.26, partly from what they feel.
        # Slightly less here, because it also bounds EASQ's later behavior.
        answer_style_U=normal(0.18),
        # KuaiRand: views per viewer, 90 % over median 16 / 5, 99 % over median 36 / 5.
        activity_U=np.exp(normal(0.88)),
        loyalty_U=normal(0.5),
    )


def _make_taste(segment_U: I64, random: np.random.Generator) -> Taste:
    ranks = (np.arange(NUM_TOPICS) + 0.5) / NUM_TOPICS
    scores = np.array([NormalDist().inv_cdf(rank) for rank in ranks.tolist()])

    def liking() -> F32:
        shared = random.permuted(np.tile(scores / scores.std(), (_NUM_SEGMENTS, 1)), axis=1)
        own = random.standard_normal((len(segment_U), NUM_TOPICS))
        both = shared[segment_U] + own
        both -= both.mean(1, keepdims=True)
        return np.asarray(both / both.std(1, keepdims=True), np.float32)

    return Taste(start_UT=liking(), other_UT=liking())
