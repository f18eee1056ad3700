import re
import socket
from pathlib import Path

import numpy as np
import pytest

from iip_assets.settings import TrackingSettings
from iip_assets.training.tracking import log_segmentations, log_validation, tracked
from iip_assets.training.trainer import Machine, TrainingRun
from iip_assets_tests.training.small_training import (
    SCHEDULE,
    examples,
    logged,
    small_network,
    train_segmenter,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("plain_wandb")]


@pytest.fixture
def a_key_and_no_server(plain_wandb, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{free.getsockname()[1]}")
        monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
        monkeypatch.setenv("WANDB_INIT_TIMEOUT", "2")
        yield


def tracked_mode(state, said, mode="auto"):
    settings = TrackingSettings(wandb=mode)
    with tracked(state, settings, name="n", run_id="r", config={}, log=said.append) as logger:
        return logger and logger.experiment.settings.mode


def test_without_a_key_a_training_is_logged_in_the_workspace(tmp_path):
    with tracked(
        tmp_path,
        TrackingSettings(),
        name="segmenter",
        run_id="segmenter-1",
        config={"seed": 0, "sources": {"dvc_data": "md5"}},
    ) as logger:
        train_segmenter(
            small_network(),
            examples(),
            examples(10, augmented=False),
            SCHEDULE,
            run=TrainingRun(Machine("cpu", threads=1), logger=logger),
        )
        image = np.zeros((8, 8, 3), np.uint8)
        log_segmentations(logger, [(image, image[:, :, 0], image[:, :, 0])], ("a", "b"))
        log_validation(logger, {"mean_iou": 0.5, "no": float("nan")})
    words = (b"dvc_data", b"validation_mean_iou", b"validation/mean_iou")
    run = logged(tmp_path / "wandb", "segmenter-1", *words)
    assert list((run / "files").rglob("*.png"))


def test_switched_off_nothing_is_logged(tmp_path):
    off = TrackingSettings(wandb="off")
    with tracked(tmp_path, off, name="n", run_id="r", config={}) as logger:
        assert logger is None
    assert not list(Path(tmp_path).iterdir())


def test_a_training_that_fails_is_a_failed_run(tmp_path):
    with (
        pytest.raises(RuntimeError, match="broke"),
        tracked(tmp_path, TrackingSettings(wandb="offline"), name="n", run_id="failed", config={}),
    ):
        raise RuntimeError("it broke")
    assert list((tmp_path / "wandb").glob("offline-run-*-failed"))


@pytest.mark.usefixtures("a_key_and_no_server")
@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("WANDB_MODE", "offline", "offline"),
        ("WANDB_MODE", "dryrun", "offline"),
        ("WANDB_MODE", "disabled", None),
        ("WANDB_DISABLED", "true", None),
    ],
)
def test_a_switch_of_wandb_wins_over_a_key(tmp_path, monkeypatch, name, value, expected):
    monkeypatch.setenv(name, value)
    said = []
    assert tracked_mode(tmp_path, said) == expected
    assert not said


@pytest.mark.usefixtures("a_key_and_no_server")
def test_wandb_switched_offline_in_the_folder_stays_offline(tmp_path):
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb" / "settings").write_text("[default]\nmode = offline\n")
    said = []
    assert tracked_mode(tmp_path, said) == "offline"
    assert not said


@pytest.mark.usefixtures("a_key_and_no_server")
def test_where_no_server_answers_each_run_is_kept_and_said_how_to_send_it(tmp_path):
    said = []
    assert tracked_mode(tmp_path, said) == tracked_mode(tmp_path, said, "online") == "offline"
    assert len(said) == 2
    for line in said:
        (run,) = re.findall(r"`wandb sync (.+)`", line)
        assert list(Path(run).glob("*.wandb"))
        assert Path(run).parent == tmp_path / "wandb"


def test_a_key_that_is_refused_fails_no_training(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "mistyped")
    said = []
    assert tracked_mode(tmp_path, said) == "offline"
    assert "WANDB_API_KEY invalid" in said[0]


def test_a_server_that_stops_answering_holds_a_training_up_for_a_minute_at_most(
    tmp_path, monkeypatch
):
    def late(run, exit_code=None):
        finish(run, exit_code)
        raise TimeoutError

    said = []
    with tracked(
        *(tmp_path, TrackingSettings(wandb="offline")),
        **{"name": "n", "run_id": "late", "config": {}, "log": said.append},
    ) as logger:
        settings = logger.experiment.settings
        assert 0 < settings.finish_timeout <= 60
        assert settings.finish_timeout_raises
        finish = type(logger.experiment).finish
        monkeypatch.setattr(type(logger.experiment), "finish", late)
    (run,) = re.findall(r"in time. `wandb sync (.+)` sends the rest", said[0])
    assert list(Path(run).glob("*.wandb"))
