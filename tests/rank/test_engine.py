"""A ranking and its log entry say the same, and what was given on the spot goes before what is stored."""

from typing import Any

import msgspec
import numpy as np
import pytest

from easq.errors import InputError
from easq.features.columns import UNKNOWN, Shape, unpack
from easq.features.encode import Encoder
from easq.features.profiles import Profiles
from easq.log.events import PROFILES, ItemUpdate, Request, ViewerUpdate
from easq.log.packing import pack_floats, pack_ids, unpack_floats
from easq.prove.offpolicy.drawn_log import scores_of
from easq.rank.engine import Engine
from easq.rank.query import Query
from easq.recipe.experiments import Explore
from tests.support.live_home import LiveSystem, trained_system

NOW = 1_700_000_000_000
ITEMS = [f"i{n}" for n in range(40)]


def item_update(n: int) -> ItemUpdate:
    values = {"author_id": pack_ids([n % 7]), "topic": pack_ids([n % 5]), "tags": pack_ids([n, n + 1])}
    values |= {"duration_s": pack_floats([5.0 + n]), "style": pack_ids([n % 3])}
    return ItemUpdate(event_id=f"told{n}", user_id="", ts=0, item_id=f"i{n}", values=values)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with trained_system(tmp_path_factory.mktemp("engine")) as system:
        yield system


def engine_of(
    system: LiveSystem, log_top: int = 20, log_sample: int = 5, drawing: Explore | None = None
) -> Engine:
    follower = system.replica()
    while follower.poll():
        pass
    profiles = Profiles.of(system.home.recipe, 1)
    profiles.apply(PROFILES, 0, [item_update(n) for n in range(30)])
    viewer = ViewerUpdate(event_id="v", user_id="u1", ts=0, values={"segment": pack_ids([3])})
    profiles.apply(PROFILES, 0, [viewer])
    recipe = msgspec.structs.replace(system.home.recipe, explore=drawing or Explore())
    return Engine(recipe, profiles, follower._parameters, log_top, log_sample)


def scores_of_logged(system: LiveSystem, engine: Engine, event: Request) -> np.ndarray:
    """Score a log entry as training would."""
    rows = Encoder(system.home.recipe.features, system.home.recipe.row_salt).encode([event])
    return engine._parameters.score(rows)


def test_logged_features_give_the_served_scores(system: LiveSystem) -> None:
    engine = engine_of(system)
    ranked = engine.rank(Query("u1", ITEMS, context={"device": 2, "hour": 9}), NOW)
    event = ranked.event
    assert np.allclose(scores_of_logged(system, engine, event), np.frombuffer(event.scores, "<f4"), atol=1e-6)
    assert sorted(ranked.items) == sorted(ITEMS)
    assert (np.diff(ranked.scores) <= 0).all()
    assert event.items[:20] == ranked.items[:20]
    ranks = np.frombuffer(event.ranks, "<u2").tolist()
    assert [ranked.items[rank] for rank in ranks] == event.items
    assert len(event.items) == 25
    assert (event.num_candidates, event.version, event.arm) == (40, engine.version, ranked.arm)
    assert event.as_of == [0, 31]


def test_score_does_not_depend_on_the_other_candidates(system: LiveSystem) -> None:
    engine = engine_of(system)
    whole = engine.rank(Query("u1", ITEMS), NOW)
    by_item = dict(zip(whole.items, whole.scores.tolist(), strict=True))
    for item in ("i3", "i35"):
        alone = engine.rank(Query("u1", [item]), NOW)
        assert alone.scores[0] == pytest.approx(by_item[item], abs=1e-6)


def test_given_values_go_before_stored_ones(system: LiveSystem) -> None:
    engine = engine_of(system)
    stored = engine.rank(Query("u1", ["i1", "i2"]), NOW).event
    overridden = engine.rank(
        Query("u1", ["i1", "i2"], {"segment": "mobile", "recent_items": [4, 5]}, {"topic": [9, None]}), NOW
    ).event
    shape = Shape.of(system.home.recipe.features, "candidate")
    names = [feature.name for feature in shape.singles]
    ids_NK = unpack(shape, overridden.candidates, overridden.lengths, 2).ids_NK[np.argsort(overridden.items)]
    assert ids_NK[:, names.index("topic")].tolist() == [9, UNKNOWN]
    assert ids_NK[:, names.index("author_id")].tolist() == [1, 2]
    assert overridden.viewer["recent_items"] == pack_ids([4, 5])
    assert overridden.viewer["segment"] != stored.viewer["segment"] == pack_ids([3])


def test_packed_columns_are_as_good_as_lists(system: LiveSystem) -> None:
    engine = engine_of(system)
    seconds = [float(n) for n in range(40)]
    plain = engine.rank(Query("u1", ITEMS, {}, {"duration_s": seconds, "topic": list(range(40))}), NOW)
    packed = {"duration_s": pack_floats(seconds), "topic": pack_ids(range(40))}
    assert np.array_equal(engine.rank(Query("u1", ITEMS, {}, packed), NOW).scores, plain.scores)


def test_limit_cuts_the_reply_and_not_the_log(system: LiveSystem) -> None:
    ranked = engine_of(system).rank(Query("u1", ITEMS, limit=3), NOW)
    assert (len(ranked.items), len(ranked.scores), len(ranked.event.items)) == (3, 3, 25)


def test_few_candidates_are_logged_whole(system: LiveSystem) -> None:
    event = engine_of(system, log_top=2, log_sample=9).rank(Query("u1", ITEMS[:5]), NOW).event
    assert sorted(event.items) == ITEMS[:5]
    assert np.frombuffer(event.ranks, "<u2").tolist() == [0, 1, 2, 3, 4]


def test_unknown_viewers_and_items_are_ranked(system: LiveSystem) -> None:
    ranked = engine_of(system).rank(Query("stranger", ["new1", "new2"]), NOW)
    assert np.isfinite(ranked.scores).all()


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"candidates": []}, "candidates: got none; allowed: at least one"),
        ({"candidates": ["a", "b", "a"]}, "candidates: 'a' stands there more than once"),
        ({"limit": 0}, "limit: got 0; allowed: 1 or more"),
        ({"context": {"age": 3}}, "context: unknown feature 'age'; allowed: user_id, segment, device"),
        ({"features": {"device": [1]}}, "features: unknown feature 'device'; allowed: item_id"),
        ({"context": {"device": 1.5}}, "context.device: got .1.5.; allowed: an integer of 64 bits or a text"),
        ({"context": {"device": 2**64}}, "context.device: got .*allowed: an integer of 64 bits"),
        ({"context": {"recent_items": 7}}, "context.recent_items: got .7.; allowed: a list of"),
        ({"features": {"topic": [1, 2]}}, "features.topic: got 2 values; allowed: one value for each of 1"),
        ({"features": {"topic": b"123"}}, "features.topic: got 3 bytes; allowed: 8, 8 for each of 1"),
        ({"features": {"duration_s": ["7"]}}, "features.duration_s: got .'7'.; allowed: a number, or null"),
        ({"features": {"duration_s": [1e300]}}, "features.duration_s: got .*allowed: a finite number"),
        ({"features": {"duration_s": [10**400]}}, "features.duration_s: got .*a number of 32 bits"),
        ({"features": {"tags": [["a", 1.5]]}}, "features.tags: got .*allowed: a list of integers"),
        ({"features": {"tags": b""}}, "features.tags: got bytes; allowed: a list"),
    ],
)
def test_a_wrong_query_gets_a_message_that_names_the_fault(
    system: LiveSystem, query: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        engine_of(system).rank(msgspec.structs.replace(Query("u1", ["a"]), **query), NOW)


def test_a_drawn_ranking_is_what_is_shown_and_its_propensities_are_on_the_log(system: LiveSystem) -> None:
    query = Query("u1", ITEMS[:30])
    best = engine_of(system).rank(query, NOW)
    engine = engine_of(system, drawing=Explore(share=1.0, depth=10, top=3))
    result = [engine.rank(query, NOW) for _ in range(20)]
    assert not best.event.propensities
    assert best.event.top == 0
    for ranked in result:
        assert set(ranked.items[:10]) == set(best.items[:10])
        assert ranked.items[10:] == best.items[10:]
        assert ranked.event.items[:20] == ranked.items[:20]
        assert ranked.event.top == 3
        propensity = unpack_floats(ranked.event.propensities)
        assert propensity.tolist() == pytest.approx([0.3] * 10 + [0.0] * (len(ranked.event.items) - 10))
        scored = scores_of(system.home.recipe, engine._parameters)([ranked.event])
        assert scored[:, 0] == pytest.approx(unpack_floats(ranked.event.scores), abs=1e-5)
    assert len({tuple(ranked.items) for ranked in result}) == 20
