"""Any batch is taken as it was meant, or sent back with the reason; nothing in between."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings

from iip_assets_tests.dataset.fuzz_oracle import complaints
from iip_assets_tests.dataset.fuzzed_batches import Fuzzed, fuzzed_batches


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(fuzzed_batches())
def test_any_batch_is_accepted_as_meant_or_rejected_with_the_reason(batch: Fuzzed) -> None:
    with tempfile.TemporaryDirectory() as place:
        _, wrong = complaints(batch, Path(place) / (batch.name or "2026-11-fuzz"))
    assert wrong == []
