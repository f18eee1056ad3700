import numpy as np
import pytest
from scipy.special import softmax

from iip_assets.metrics.calibration import fit_temperature


@pytest.mark.parametrize("truth", [0.5, 1.0, 3.0])
def test_the_temperature_that_spoilt_the_logits_is_found(truth):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (4000, 3))
    shares = softmax(logits, axis=1)
    classes = (rng.random((4000, 1)) > shares.cumsum(1)).sum(1)
    found = fit_temperature((logits * truth).astype(np.float32), classes)
    assert found == pytest.approx(truth, rel=0.1)


def test_too_few_images_leave_the_logits_alone():
    assert fit_temperature(np.zeros((5, 3), np.float32), np.zeros(5, np.int64)) == 1.0


def test_perfect_logits_do_not_end_in_a_boundless_temperature():
    logits = np.eye(3, dtype=np.float32)[np.arange(30) % 3]
    assert 0.19 < fit_temperature(logits, np.arange(30) % 3) < 10.1
