"""Who lives in the small world: items that may be bait, and viewers who watch bait and regret it.

Shapes: I items, U viewers, T topics. Everything is drawn from one seed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Catalogue:
    """Items: what a platform knows of them, and `quality` and `bait`, which nobody is told."""

    topic_I: Ids
    author_I: Ids
    style_I: Ids
    tags_I: Ids
    duration_s_I: Floats
    age_days_I: Floats
    quality_I: Floats
    bait_I: Floats
    by_topic: tuple[Ids, ...]


@dataclass(frozen=True)
class Viewers:
    """Viewers: taste by topic, how much bait pulls them, how much they regret it, how they answer."""

    interest_UT: Floats
    segment_U: Ids
    device_U: Ids
    bait_pull_U: Floats
    regret_U: Floats
    answer_style_U: Floats


def make_catalogue(num_items: int, num_topics: int, random: np.random.Generator) -> Catalogue:
    """Draw items. Authors keep to a topic and a habit: some live from bait."""
    num_authors = max(num_topics, num_items // 12)
    author_topic = np.arange(num_authors) % num_topics
    author_bait = random.beta(0.6, 1.6, num_authors)
    author_quality = random.normal(0, 0.6, num_authors)
    author_I = random.integers(0, num_authors, num_items)
    topic_I = author_topic[author_I]
    bait_I = np.clip(author_bait[author_I] + random.normal(0, 0.15, num_items), 0, 1)
    # The style of a title is seen by everyone and goes with bait, though not always.
    style_I = np.minimum((bait_I + random.normal(0, 0.2, num_items)).clip(0, 0.999) * 8, 7).astype(np.int64)
    return Catalogue(
        topic_I=topic_I,
        author_I=author_I,
        style_I=style_I,
        tags_I=np.stack([topic_I * 5 + random.integers(0, 5, num_items) for _ in range(2)], 1),
        duration_s_I=np.exp(random.normal(3.2, 0.8, num_items)).clip(4, 600),
        age_days_I=random.exponential(6.0, num_items),
        quality_I=author_quality[author_I] + random.normal(0, 0.6, num_items),
        bait_I=bait_I,
        by_topic=tuple(np.flatnonzero(topic_I == t) for t in range(num_topics)),
    )


def make_viewers(num_viewers: int, num_topics: int, random: np.random.Generator) -> Viewers:
    """Draw viewers; a segment of viewers shares the bulk of its taste."""
    num_segments = 12
    segment_taste = random.normal(0, 0.8, (num_segments, num_topics))
    segment_U = random.integers(0, num_segments, num_viewers)
    return Viewers(
        interest_UT=segment_taste[segment_U] + random.normal(0, 0.8, (num_viewers, num_topics)),
        segment_U=segment_U,
        device_U=random.integers(0, 4, num_viewers),
        bait_pull_U=random.gamma(4.0, 0.5, num_viewers),
        regret_U=random.gamma(4.0, 0.75, num_viewers),
        answer_style_U=random.normal(0, 0.5, num_viewers),
    )
