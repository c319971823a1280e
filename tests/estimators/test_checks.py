"""scikit-learn's own checks of estimators."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from sortnet.estimators import SortNetClassifier, SortNetRegressor

SMALL = {"epochs": 40, "width": 16, "depth": 2, "random_state": 0}


def expected_failures(estimator: object) -> dict[str, str]:
    """Checks that cannot hold, with the reason."""
    minibatches = (
        "training draws mini-batches and dropped inputs: a sample of weight 2 is not two samples"
    )
    return {
        "check_sample_weight_equivalence_on_dense_data": minibatches,
        "check_sample_weight_equivalence": minibatches,
        "check_sample_weights_invariance": minibatches,
    }


@parametrize_with_checks(
    [SortNetClassifier(**SMALL), SortNetRegressor(**SMALL)],
    expected_failed_checks=expected_failures,
)
@pytest.mark.filterwarnings("ignore::sortnet.estimators.base.OutsideBoxWarning")
@pytest.mark.filterwarnings("ignore::sortnet.estimators.held_out.NothingHeldOutWarning")
def test_scikit_learn_checks(estimator, check):  # type: ignore[no-untyped-def]
    check(estimator)
