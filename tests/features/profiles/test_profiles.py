import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from easq.features.columns import UNKNOWN, Shape
from easq.features.profiles import Profiles
from easq.log.events import EVENTS, PROFILES
from easq.log.ids import stable_id
from easq.log.packing import Column, pack_floats, pack_ids
from easq.recipe.features import Categorical, Numeric, RateOf
from easq.recipe.read import read_recipe
from tests.support.paths import RECIPES
from tests.support.profile_platform import (
    FEATURES,
    ITEMS,
    MINUTE,
    PARTITIONS,
    WINDOW,
    Log,
    apply,
    features_at,
    item,
    logs,
    nothing,
    profiles_after,
    read_orders,
    report,
    request,
    viewer,
)

IDENTITY_OF_BEFORE = "22fff13c4451422905055e238655ea28"
VIEWER, CANDIDATE = Shape.of(FEATURES, "viewer"), Shape.of(FEATURES, "candidate")


def viewer_of(profiles: Profiles, user_id: str = "u0", ts: int = 0) -> dict[str, Column]:
    return profiles.viewer(user_id, ts).pack(VIEWER)[0]


def item_of(profiles: Profiles, item_id: str = "i0", ts: int = 0) -> dict[str, Column]:
    return profiles.candidates([item_id], ts).pack(CANDIDATE)[0]


def seen(profiles: Profiles, user_id: str = "u0") -> list[int]:
    return np.frombuffer(viewer_of(profiles, user_id)["seen"], "<i8").tolist()


@given(data=st.data(), log=logs(), ts=st.integers(0, 70 * WINDOW))
def test_the_same_offsets_give_the_same_features(data: st.DataObject, log: Log, ts: int) -> None:
    one, other = profiles_after(data.draw(read_orders(log))), profiles_after(data.draw(read_orders(log)))
    assert one.offsets == other.offsets
    assert one.refused == other.refused
    assert features_at(one, ts) == features_at(other, ts)


@given(data=st.data(), log=logs(), ts=st.integers(0, 70 * WINDOW))
def test_copies_of_reports_change_nothing(data: st.DataObject, log: Log, ts: int) -> None:
    once = profiles_after(data.draw(read_orders(log)))
    before = features_at(once, ts)
    for (topic, partition), events in log.items():
        if topic == EVENTS:
            once.apply(topic, partition, events)
    assert features_at(once, ts) == before


def test_offsets_count_events_by_topic_and_partition() -> None:
    profiles = nothing()
    profiles.apply(EVENTS, 1, [request("r", "u"), report("r", "u")])
    profiles.apply(PROFILES, 0, [item("i")])
    assert profiles.offsets == [0, 2, 1, 0]
    for place in [("steps", 0), (EVENTS, PARTITIONS), (PROFILES, -1)]:
        with pytest.raises(ValueError, match="profiles read partitions 0 to 1 of events and profiles"):
            profiles.apply(*place, [])


def test_an_update_replaces_the_whole_previous_one() -> None:
    profiles = apply(nothing(), item("i0", author=pack_ids([7]), tags=pack_ids([1, 2, 3, 4])))
    assert profiles.item_values("i0") == {"author": pack_ids([7]), "tags": pack_ids([1, 2, 3])}
    apply(profiles, item("i0", seconds=pack_floats([9])))
    result = item_of(profiles)
    assert result["author"] == pack_ids([UNKNOWN])
    assert result["seconds"] == pack_floats([9])
    assert result["tags"] == b""
    assert profiles.item_values("i0") == {"seconds": pack_floats([9])}


def test_of_two_tellings_in_one_call_the_last_holds() -> None:
    profiles = nothing()
    profiles.apply(PROFILES, 0, [item("i0", author=pack_ids([n])) for n in (3, 5)])
    assert item_of(profiles)["author"] == pack_ids([5])


def test_an_id_is_its_own_feature_unless_sent() -> None:
    profiles = apply(nothing(), viewer("u0", country=pack_ids([3])), item("i0", item_id=pack_ids([8])))
    assert viewer_of(profiles)["user_id"] == pack_ids([stable_id("u0")])
    assert viewer_of(profiles, "new")["user_id"] == pack_ids([stable_id("new")])
    assert item_of(profiles)["item_id"] == pack_ids([8])
    assert item_of(profiles, "new")["item_id"] == pack_ids([stable_id("new")])
    assert profiles.viewer_values("u0") == {"country": pack_ids([3])}


def test_of_strangers_only_the_prior_is_known() -> None:
    profiles = apply(nothing(), request("r"), report("r", like=1.0, played_s=3.0))
    stranger, new = viewer_of(profiles, "stranger"), item_of(profiles, "new")
    assert stranger["country"] == new["author"] == pack_ids([UNKNOWN])
    assert math.isnan(np.frombuffer(stranger["age"], "<f4")[0])
    assert stranger["groups"] == stranger["seen"] == new["tags"] == b""
    assert new["like_rate"] == stranger["likes_given"] == pack_floats([1.0])
    assert new["play_rate"] == pack_floats([0.0])
    assert profiles.item_values("new") is None
    assert profiles.item_values("i0") is None
    assert profiles.viewer_values("stranger") is None


def test_before_anything_happened_rates_are_unknown() -> None:
    assert math.isnan(np.frombuffer(item_of(nothing())["like_rate"], "<f4")[0])


def test_a_history_holds_the_last_items_as_ids_of_its_feature() -> None:
    profiles = apply(nothing(), request("r"), *(report("r", items=(i,), played_s=30.0) for i in ITEMS))
    assert seen(profiles) == [stable_id(i) for i in ("i2", "i3", "i4")]
    assert viewer_of(profiles)["authors_played"] == pack_ids([UNKNOWN, UNKNOWN])
    apply(profiles, item("i4", author=pack_ids([4]), item_id=pack_ids([44])))
    assert viewer_of(profiles)["authors_played"] == pack_ids([UNKNOWN, 4])
    assert seen(profiles)[-1] == 44


def test_a_history_with_a_condition_gains_an_item_when_its_value_is_reached() -> None:
    profiles = apply(nothing(), item("i0", author=pack_ids([4])), request("r"))
    for played, expected in ((9.0, []), (10.0, [4]), (99.0, [4])):
        apply(profiles, report("r", ts=int(played), played_s=played))
        assert viewer_of(profiles)["authors_played"] == pack_ids(expected)
        assert seen(profiles) == [stable_id("i0")]


def test_a_view_counts_once_and_a_behavior_when_it_is_first_reached() -> None:
    profiles = apply(nothing(), request("r"), report("r"), report("r", ts=1))
    apply(profiles, request("s", items=("i1",)), report("s", items=("i1",), like=1.0))
    apply(profiles, report("r", ts=2, like=1.0), report("r", ts=3, like=1.0), report("r", ts=4, like=0.0))
    assert item_of(profiles)["like_rate"] == pack_floats([1.0])
    apply(profiles, request("t"), report("t"))
    assert item_of(profiles)["like_rate"] == pack_floats([(1 + 2 * (2 / 3)) / (2 + 2)])
    assert viewer_of(profiles)["likes_given"] == pack_floats([(2 + 2 * (2 / 3)) / (3 + 2)])


def test_a_report_without_an_open_request_does_not_count() -> None:
    profiles = apply(nothing(), request("r"), report("other"), report("r", ts=WINDOW + 1))
    assert seen(profiles) == []
    apply(profiles, request("late", ts=0), report("late"))
    assert seen(profiles) == []
    apply(profiles, request("s", ts=MINUTE), report("s", ts=MINUTE + WINDOW))
    assert seen(profiles) == [stable_id("i0")]


def test_memory_holds_the_requests_of_a_window_and_rates_that_still_weigh() -> None:
    profiles = nothing()
    for n in range(2000):
        apply(profiles, request(f"r{n}", ts=n * MINUTE), report(f"r{n}", ts=n * MINUTE, items=(f"new{n}",)))
    assert max(len(s.open) for s in profiles._reports) <= WINDOW // MINUTE + 1
    hours = 8.0 * 5 + 1  # five half-lives of the slower rate, and one bucket
    assert profiles._items.index.num_rows <= hours * 60 + 2


def test_values_of_a_wrong_size_are_passed_over_and_counted() -> None:
    profiles = apply(nothing(), item("i0", author=pack_ids([7])), item("i0", author=b"odd"), request("r"))
    assert item_of(profiles)["author"] == pack_ids([7])
    apply(profiles, item("i0", tags=b"odd"), viewer("u0", age=b"odd"), report("r", values={"like": b"odd"}))
    assert seen(profiles) == []
    assert profiles.refused == 4
    assert sum(profiles.offsets) == 6


def test_a_vector_is_kept_as_it_is_and_unknown_without_one() -> None:
    profiles = apply(
        nothing(), item("i0", content=pack_floats([0.1, -3])), viewer("u0", age=pack_floats([3]))
    )
    assert item_of(profiles)["content"] == pack_floats([0.1, -3])
    assert profiles.item_values("i0") == {"content": pack_floats([0.1, -3])}
    assert item_of(profiles, "new")["content"] == pack_floats([np.nan] * 2)
    assert viewer_of(profiles)["taste"] == pack_floats([np.nan] * 2)
    apply(profiles, *(item(f"more{n}", content=pack_floats([n, n])) for n in range(40)))
    assert item_of(profiles, "more39")["content"] == pack_floats([39, 39])
    assert item_of(profiles)["content"] == pack_floats([0.1, -3])
    apply(profiles, item("i0", content=pack_floats([1, 2, 3])))
    assert (item_of(profiles)["content"], profiles.refused) == (pack_floats([0.1, -3]), 1)


def test_profiles_of_before_are_read_where_no_number_is_standardized() -> None:
    plain = [Numeric(name="age", side="viewer", boundaries=(18.0, 40.0))]
    assert Profiles(plain, WINDOW, PARTITIONS).identity == IDENTITY_OF_BEFORE
    other = [Numeric(name="age", side="viewer", standardized=True)]
    assert Profiles(other, WINDOW, PARTITIONS).identity != IDENTITY_OF_BEFORE


def test_equal_updates_are_known_and_others_are_not() -> None:
    profiles = apply(nothing(), item("i0", tags=pack_ids([1, 2, 3, 4])), viewer("u0", age=pack_floats([3])))
    assert profiles.knows(item("i0", tags=pack_ids([1, 2, 3, 4])))
    assert not profiles.knows(item("i0", tags=pack_ids([1, 2])))
    assert not profiles.knows(item("i0"))
    assert not profiles.knows(item("i1"))
    assert profiles.knows(viewer("u0", age=pack_floats([3])))
    assert not profiles.knows(viewer("u0", age=pack_floats([4])))


def test_an_update_without_values_is_known() -> None:
    profiles = apply(nothing(), item("i0"))
    assert profiles.item_values("i0") == {}
    assert profiles.knows(item("i0"))


def test_a_recipe_declares_everything_that_profiles_need() -> None:
    recipe = read_recipe(RECIPES / "kuairand.toml", ["features.video_rate.rate.behavior='click'"])
    profiles = Profiles.of(recipe, 1)
    hours = int(recipe.join.behavior_window) // 60
    apply_to = [request("r"), report("r", ts=hours * 60 * MINUTE, click=1.0)]
    profiles.apply(EVENTS, 0, apply_to)
    result = profiles.candidates(["i0"], 0).pack(Shape.of(recipe.features, "candidate"))[0]
    assert result["video_rate"] == pack_floats([1.0])
    assert len(profiles.viewer("u0", 0).lists[0].ids_NL[0]) == 30


def test_impossible_settings_are_refused() -> None:
    rate = Numeric(name="rate", side="candidate", boundaries=(0.5,), rate=RateOf(behavior="share"))
    features = (Categorical(name="item_id", side="candidate", rows=9), rate)
    with pytest.raises(ValueError, match=r"rate of rate: got 'share'; the behaviors are: none"):
        Profiles(features, WINDOW, 1)
    with pytest.raises(ValueError, match="must be positive, got 0 and 1"):
        Profiles(FEATURES, 0, 1)
