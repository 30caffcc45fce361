import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from easq.log.ids import category_id, category_ids, plain_name, stable_id
from easq.sources.datasets.cells import ids, name

texts = st.one_of(
    st.integers().map(str),
    st.integers(-(2**53) + 1, 2**53 - 1).map(lambda n: str(float(n))),
    st.sampled_from(["007", "7.0", "7.00", "7.5", "-0", "-0.0", "1e5", "+7", "v1", "9223372036854775808"]),
)


@given(texts)
def test_a_file_and_a_call_give_a_name_the_same_id(text: str) -> None:
    assert ids(pl.Series("c", [text])).to_list() == [category_id(text)]
    assert pl.DataFrame({"c": [text]}).select(name("c")).item() == plain_name(text)


def test_digits_are_their_number_and_other_texts_their_hash() -> None:
    assert category_ids(["1003", 1003, "1003.0", "-7"]) == [1003, 1003, 1003, -7]
    assert category_ids(["007", "1.5", "a"]) == [stable_id(text) for text in ("007", "1.5", "a")]
