import json
import time
from pathlib import Path

import numpy as np
import pytest

from iip_assets.models.segmenter import train_segmenter
from iip_assets.training.tracking import log_segmentations, log_validation, tracked
from iip_assets.training.trainer import Around, Machine
from iip_assets_tests.training.small_training import SCHEDULE, examples, small_network

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)


def test_without_a_key_a_training_is_logged_in_the_workspace(tmp_path):
    with tracked(
        tmp_path,
        "auto",
        project="iip",
        name="segmenter",
        run_id="segmenter-1",
        config={"seed": 0, "sources": {"dvc_data": "md5"}},
    ) as logger:
        train_segmenter(
            small_network(),
            examples(),
            examples(10, augmented=False),
            SCHEDULE,
            around=Around(Machine("cpu", threads=1), logger=logger),
        )
        picture = np.zeros((8, 8, 3), np.uint8)
        log_segmentations(logger, [(picture, picture[:, :, 0], picture[:, :, 0])], ("a", "b"))
        log_validation(logger, {"metrics": {"mean_iou": {"value": 0.5}, "no": {"value": None}}})
    (run,) = (tmp_path / "wandb").glob("offline-run-*-segmenter-1")
    (record,) = run.glob("*.wandb")
    # W&B's own process writes the file, and is done with it a moment later.
    words = (b"dvc_data", b"validation_mean_iou", b"validation/mean_iou")
    for _ in range(100):
        if all(word in record.read_bytes() for word in words):
            break
        time.sleep(0.2)
    assert all(word in record.read_bytes() for word in words)
    assert list((run / "files").rglob("*.png"))


def test_switched_off_nothing_is_logged(tmp_path):
    with tracked(tmp_path, "off", project="p", name="n", run_id="r", config={}) as logger:
        assert logger is None
    assert not list(Path(tmp_path).iterdir())


def test_a_training_that_fails_is_a_failed_run(tmp_path):
    with (
        pytest.raises(RuntimeError, match="broke"),
        tracked(
            tmp_path, "offline", project="p", name="n", run_id="failed", config=json.loads("{}")
        ),
    ):
        raise RuntimeError("it broke")
    assert list((tmp_path / "wandb").glob("offline-run-*-failed"))
