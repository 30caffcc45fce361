import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from easq.sources.datasets.request_cutter import GAP_MS, MOST_ITEMS, into_requests

View = tuple[int, int, int]

views = st.lists(
    st.tuples(st.integers(1, 2), st.integers(1, 8), st.integers(0, 60).map(lambda n: n * GAP_MS // 10)),
    unique=True,
    max_size=60,
)


def frame(rows: list[View], **more: list[str]) -> pl.DataFrame:
    columns = {"user": [r[0] for r in rows], "item": [r[1] for r in rows], "ts": [r[2] for r in rows]}
    return pl.DataFrame({**columns, **more}, schema_overrides=dict.fromkeys(columns, pl.Int64))


def cut_by_hand(rows: list[View]) -> list[list[View]]:
    requests: list[list[View]] = []
    for user, item, ts in sorted(rows, key=lambda row: (row[0], row[2], row[1])):
        open_one = requests[-1] if requests and requests[-1][0][0] == user else []
        goes_on = (
            0 < len(open_one) < MOST_ITEMS
            and ts - open_one[-1][2] < GAP_MS
            and item not in [row[1] for row in open_one]
        )
        if not goes_on:
            requests.append([])
        requests[-1].append((user, item, ts))
    return sorted(requests, key=lambda request: (request[0][2], request[0][0]))


def as_lists(cut: pl.DataFrame) -> list[list[View]]:
    parts = cut.group_by("start", maintain_order=True)
    return [list(part.select("user", "item", "ts").iter_rows()) for _, part in parts]


@settings(max_examples=60, deadline=None)
@given(views)
def test_requests_are_cut_as_by_plain_loops(rows: list[View]) -> None:
    cut = into_requests(frame(rows))
    assert as_lists(cut) == cut_by_hand(rows)
    assert cut["request_ts"].to_list() == [request[0][2] for request in as_lists(cut) for _ in request]


def test_a_change_of_the_request_column_ends_a_request() -> None:
    cut = into_requests(frame([(1, 1, 0), (1, 2, 1), (1, 3, 2)], request=["a", "b", "b"]))
    assert as_lists(cut) == [[(1, 1, 0)], [(1, 2, 1), (1, 3, 2)]]


def test_given_requests_are_kept_whole_except_for_repeated_items() -> None:
    rows = [(1, 1, 0), (1, 9, 1), (1, 2, 5 * GAP_MS), (1, 1, 6 * GAP_MS)]
    cut = into_requests(frame(rows, request=["a", "b", "a", "a"]), is_bounded=True)
    assert as_lists(cut) == [[(1, 1, 0), (1, 2, 5 * GAP_MS)], [(1, 9, 1)], [(1, 1, 6 * GAP_MS)]]
