"""Any batch is taken as it was meant, or sent back with the reason; nothing in between."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from iip_assets_tests.dataset.conftest import copied_workspace, dvc
from iip_assets_tests.dataset.team_workspace import manifest_of, put_under_git
from iip_assets_tests.git import git
from iip_assets_tests.ingest.fuzz_oracle import OLD_FILES, complaints, complaints_through_dvc
from iip_assets_tests.ingest.fuzzed_batch import Fuzzed
from iip_assets_tests.ingest.fuzzed_batches import fuzzed_batches


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


@pytest.fixture(scope="module")
def filled(tmp_path_factory, _pristine):
    """A workspace whose data holds the images that rows of the batches name by id."""
    root = copied_workspace(_pristine, tmp_path_factory.mktemp("fuzzed") / "all")
    for path, data in OLD_FILES.items():
        (root / "data" / path).parent.mkdir(parents=True, exist_ok=True)
        (root / "data" / path).write_bytes(data)
    dvc(root, "add", "data")
    put_under_git(root)
    return root


_numbers = itertools.count()


@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(batch=fuzzed_batches(within_workspace=True))
def test_through_dvc_the_data_is_what_it_was_with_the_batch_or_without(
    filled: Path, batch: Fuzzed
) -> None:
    name = f"2026-{next(_numbers):05}"
    _, wrong = complaints_through_dvc(batch, filled, name, manifest_of(filled))
    assert wrong == []
    assert git(filled, "status", "--porcelain") == ""
