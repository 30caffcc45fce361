import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from easq.features.batch import Batch, Batcher, make_batch
from easq.features.encode import Encoder
from easq.features.examples import AnsweredView, Example, Viewed
from easq.features.join import build_joiner
from easq.log.events import Answered, Behavior, Request
from easq.log.packing import pack_floats, pack_ids
from easq.recipe.features import BehaviorKind, Categorical
from tests.support.small_worlds import small_recipe, world_events

FEATURES = (Categorical(name="item", side="candidate", rows=1000),)
BEHAVIORS = (
    BehaviorKind(name="watch", at_least=0.5),
    BehaviorKind(name="like"),
    BehaviorKind(name="hate", weight=-1.0),
)


def request(key: str, num: int = 3) -> Request:
    items = [f"{key}{i}" for i in range(num)]
    return Request(
        event_id=key, user_id=key, ts=5, items=items, viewer={}, candidates={"item": pack_ids(range(num))}
    )


def report(of: Request, positions: list[int], **values: list[float]) -> tuple[list[int], Behavior]:
    packed = {name: pack_floats(column) for name, column in values.items()}
    items = [of.items[p] for p in positions]
    event = Behavior(event_id="b", user_id="u", ts=6, request_id=of.event_id, items=items, values=packed)
    return positions, event


def batch_of(*examples: Example) -> Batch:
    return make_batch(Encoder(FEATURES, 0), BEHAVIORS, 2.0, examples)


def test_largest_report_holds_and_levels_are_capped_weights() -> None:
    r = request("r", 4)
    reports = [
        report(r, [0, 1], watch=[0.9, 0.1], like=[1, 0]),
        report(r, [1, 2], watch=[0.6, 0.0]),
        report(r, [0, 3], hate=[0, 1]),
    ]
    batch = batch_of(Viewed(r, reports, []))
    assert batch.behavior_MK.astype(int).tolist() == [[1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 1]]
    assert batch.level_M.tolist() == [2.0, 1.0, 0.0, -1.0]


def test_candidates_that_nobody_saw_are_left_out() -> None:
    r, s = request("r"), request("s")
    batch = batch_of(
        Viewed(r, [report(r, [2], watch=[1])], []), Viewed(s, [report(s, [0, 1], like=[1, 0])], [])
    )
    assert batch.num_viewed == 3
    assert batch.position_N.tolist() == [2, 0, 1]
    assert batch.rows.request_N.tolist() == [0, 1, 1]


def test_answered_request_stands_whole_behind_the_viewed_rows() -> None:
    r, s = request("r"), request("s")
    batch = batch_of(
        AnsweredView(s, 2, 0, 0.1),
        Viewed(r, [report(r, [1], like=[1])], [(1, 2)]),
        AnsweredView(s, 0, 2, 0.2),
    )
    assert batch.num_viewed == 1
    assert batch.request_ids == ["r", "s"]
    assert batch.rows.request_N.tolist() == [0, 1, 1, 1]
    assert batch.answer_row_A.tolist() == [3, 1]
    assert batch.option_A.tolist() == [0, 2]
    assert batch.answer_M.tolist() == [2]


def test_an_answer_of_a_viewed_request_keeps_its_weight() -> None:
    r = request("r")
    batch = batch_of(Viewed(r, [report(r, [0, 1, 2], like=[1, 0, 0])], [(1, 2), (2, 0)], [(2, 0.25)]))
    assert batch.answer_M.tolist() == [-1, 2, 0]
    assert batch.answer_weight_M.tolist() == [1, 1, 0.25]


def test_step_without_views_is_a_batch() -> None:
    only_answer = batch_of(AnsweredView(request("s"), 2, 0, 0.1))
    assert (only_answer.num_viewed, len(only_answer.rows.request_N)) == (0, 3)


def examples() -> list[Example]:
    join = build_joiner(small_recipe())
    # Some answers count less, as on any live system.
    events = [
        msgspec.structs.replace(e, weight=0.2) if isinstance(e, Answered) and n % 2 else e
        for n, e in enumerate(world_events(60))
    ]
    return [x for event in events for x in join.push(event)] + join.flush()


EXAMPLES = examples()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, len(EXAMPLES)), max_size=8), st.booleans())
def test_cuts_depend_on_the_order_of_examples_alone(arrivals: list[int], through_state: bool) -> None:
    def cut_all(bounds: list[int]) -> list[list[Example]]:
        batcher, cuts = Batcher(100, 20), []
        for start, stop in zip([0, *bounds], [*bounds, len(EXAMPLES)], strict=True):
            batcher.add(EXAMPLES[start:stop])
            if through_state:
                restored = Batcher(100, 20)
                restored.restore(batcher.state())
                batcher = restored
            while cut := batcher.cut():
                cuts.append(cut)
        while cut := batcher.cut(final=True):
            cuts.append(cut)
        return cuts

    assert any(isinstance(x, Viewed) and x.weights for x in EXAMPLES)
    result = cut_all(sorted(arrivals))
    assert result == cut_all([])
    assert [x for cut in result for x in cut] == [x for x in EXAMPLES if getattr(x, "reports", True)]
