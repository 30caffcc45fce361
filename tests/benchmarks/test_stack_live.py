"""The made stack beside a live system: all that is said in the shadow is learned."""

import pytest
from benchmarks.stack_live import measured


@pytest.mark.long
def test_every_answer_in_the_shadow_is_learned() -> None:
    result = measured(2000)
    assert (result["shadow_sent"], result["shadow_learned"]) == (30, 30)
