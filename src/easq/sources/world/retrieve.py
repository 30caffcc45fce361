"""Which items a feed shows to a viewer: some by taste, some at random.

Shapes: R requests, C candidates, T topics, I items on the shelf.
"""

from dataclasses import dataclass

import numpy as np

from easq.arrays import F32, I64


@dataclass(frozen=True)
class Shelf:
    """The available items, ordered by topic. Topic t has `size_T[t]` of them, from `first_T[t]` on."""

    item_I: I64
    first_T: I64
    size_T: I64

    @staticmethod
    def of(item_I: I64, topic_I: I64, num_topics: int) -> "Shelf":
        """Order items by topic. `topic_I` holds the topic of each of `item_I`."""
        size_T = np.bincount(topic_I, minlength=num_topics)
        return Shelf(item_I[np.argsort(topic_I, kind="stable")], np.cumsum(size_T) - size_T, size_T)


def cumulate_taste(interest_UT: F32, sharpness: float, shelf: Shelf) -> F32:
    """Return cumulative weights of topics: exp(sharpness * interest), 0 for an empty topic."""
    weight_UT = np.exp(np.float32(sharpness) * interest_UT) * (shelf.size_T > 0)
    return np.cumsum(weight_UT, 1, dtype=np.float32)


def retrieve(
    shelf: Shelf, taste_RT: F32, num_candidates: int, taste_share: float, random: np.random.Generator
) -> I64:
    """Return distinct items for each viewer, a share of `taste_share` of them by cumulative taste."""
    shape = (len(taste_RT), num_candidates)
    item_RC = shelf.item_I[random.integers(0, len(shelf.item_I), shape)]
    if taste_share:
        topic_RC = _draw_topics(taste_RT, random.random(shape, np.float32))
        place_RC = shelf.first_T[topic_RC] + (random.random(shape) * shelf.size_T[topic_RC]).astype(np.int64)
        liked_RC = random.random(shape, np.float32) < taste_share
        # A draw that rounds up to the total weight must not point past the end.
        place_RC = np.minimum(place_RC, len(shelf.item_I) - 1)
        item_RC = np.where(liked_RC, shelf.item_I[place_RC], item_RC)
    while True:
        order_RC = np.argsort(item_RC, 1, kind="stable")
        sorted_RC = np.take_along_axis(item_RC, order_RC, 1)
        twice_RC = np.zeros(shape, np.bool_)
        np.put_along_axis(twice_RC, order_RC[:, 1:], sorted_RC[:, 1:] == sorted_RC[:, :-1], 1)
        if not twice_RC.any():
            return item_RC
        item_RC[twice_RC] = shelf.item_I[random.integers(0, len(shelf.item_I), int(twice_RC.sum()))]


def _draw_topics(taste_RT: F32, drawn_RC: F32) -> I64:
    aimed_RC = drawn_RC * taste_RT[:, -1:]
    topic_RC = np.zeros(drawn_RC.shape, np.int64)
    for t in range(taste_RT.shape[1] - 1):
        topic_RC += aimed_RC >= taste_RT[:, t : t + 1]
    return topic_RC
