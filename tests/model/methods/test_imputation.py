import pytest

from easq.model.methods.imputation import Imputation
from tests.support.method_learners import trained_by


@pytest.mark.parametrize(("method", "sees"), [("imputation", False), ("imputation_privileged", True)])
def test_only_the_privileged_imputer_sees_behavior(method: str, sees: bool) -> None:
    learner, batches = trained_by(method)
    model = learner.network
    assert isinstance(model, Imputation)
    assert model.is_privileged == sees
    assert (learner.step(batches[-1]).satisfaction_L is None) == sees
