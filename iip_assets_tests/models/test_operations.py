"""How a training is watched, and whether somebody looks before it, changes no model."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import iip_assets
from iip_assets.engine.code_key import CodeKeys
from iip_assets.engine.values import Files, Noted, Skipped
from iip_assets.engine.workspace import keyed_settings
from iip_assets.graph import FRAMEWORK
from iip_assets.images.store import ImageStore
from iip_assets.models.assets import (
    filter_examples,
    filter_training_starts_sound,
    iris_filter_model,
    segmentation_model,
    segmenter_examples,
    segmenter_training_starts_sound,
)
from iip_assets.settings import (
    ComputeSettings,
    FilterSettings,
    Settings,
    TrackingSettings,
    TrainingSettings,
)
from iip_assets_tests.embeddings.stand_ins import PlainWork
from iip_assets_tests.models.masked import CLASSES, RECIPE, UNREMEDIED, masked_eyes
from iip_assets_tests.training.small_training import logged

OFF = TrackingSettings(wandb="off")
NO_BALANCE = Skipped("nothing to balance by")

pytestmark = pytest.mark.usefixtures("plain_wandb")


@pytest.mark.parametrize("asset", [iris_filter_model, segmentation_model], ids=lambda one: one.name)
def test_what_only_says_how_to_train_is_in_no_key(asset: Any) -> None:
    operations = Settings(
        training=TrainingSettings(processes=2, sharing="fsdp", checks="never"),
        tracking=TrackingSettings(wandb="off", project="another", group="some"),
        compute=ComputeSettings(threads=7),
    )
    paths = asset.compute.settings.values()
    assert keyed_settings(operations, paths) == keyed_settings(Settings(), paths)
    science = Settings(training=TrainingSettings(precision="64-true"))
    assert keyed_settings(science, paths) != keyed_settings(Settings(), paths)
    assert not any(path.startswith("evaluation") for path in paths)


@pytest.mark.parametrize("asset", [iris_filter_model, segmentation_model], ids=lambda one: one.name)
def test_what_measures_or_watches_a_model_is_no_part_of_its_code(asset: Any) -> None:
    keys = CodeKeys("iip_assets", Path(iip_assets.__file__).parent, framework=FRAMEWORK)
    reached = keys.of(asset.function).modules.keys()
    assert "iip_assets.training.trainer" in reached
    for name in (
        *("evaluation.evaluation", "metrics.scored_predictions", "metrics.intervals"),
        *("metrics.scores", "models.figures", "models.tracking"),
        *("training.preflight", "training.start_checks", "training.tracking"),
    ):
        assert find_spec(f"iip_assets.{name}"), name
        assert f"iip_assets.{name}" not in reached


def segmenter(
    root: Path, checks: str, tracking: TrackingSettings, monkeypatch: pytest.MonkeyPatch
) -> Noted[Files]:
    store, images, splits = masked_eyes(30)
    monkeypatch.setattr(ImageStore, "open", lambda root: store)
    trained = segmentation_model.function(
        segmenter_examples.function(
            {"images": images}, splits, NO_BALANCE, classes=CLASSES, **UNREMEDIED
        ),
        balanced_by="weights",
        classes=CLASSES,
        max_megapixels=1.0,
        recipe=RECIPE.model_copy(
            update={"encoder": "test_efficientnet", "epochs": 1, "learning_rate": 0.003}
        ),
        training=TrainingSettings(checks=checks),
        compute=ComputeSettings(device="cpu", threads=1),
        tracking=tracking,
        context=PlainWork(root),
    )
    assert isinstance(trained, Noted)
    return trained


def version_of(trained: Noted[Files]) -> dict[str, bytes]:
    return {name: trained.value.parts[name] for name in trained.value.version_of}


@pytest.mark.slow
def test_a_segmenter_is_the_same_looked_at_or_not_and_logged_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = segmenter(tmp_path / "plain", "never", OFF, monkeypatch)
    looked = segmenter(tmp_path / "looked", "always", OFF, monkeypatch)
    offline = TrackingSettings(wandb="offline")
    tracked = segmenter(tmp_path / "tracked", "never", offline, monkeypatch)
    assert version_of(plain) == version_of(looked) == version_of(tracked)
    assert plain.notes == tracked.notes == {**looked.notes, "start": None}
    found = looked.notes["start"]
    assert found["learned_to"] < found["learned_from"] / 2
    checked = segmenter_training_starts_sound(looked.value, looked.notes)
    assert checked.description.startswith("cross-entropy ")
    unlooked = segmenter_training_starts_sound(plain.value, plain.notes)
    assert unlooked.passed is None
    assert unlooked.description == "not looked at: the training is short"

    words = (b"validation_mean_iou", b"validation/mean_iou", b"validation/boundary_f1_iris")
    run = logged(tmp_path / "tracked" / ".iip" / "wandb", "segmenter-*", *words)
    assert list((run / "files").rglob("*.png"))
    assert not (tmp_path / "plain" / ".iip" / "wandb").exists()


@pytest.mark.slow
def test_a_filter_is_the_same_logged_or_not(
    tmp_path: Path, tiny_backbone: dict[str, bytes], labelled: tuple[pl.DataFrame, ...]
) -> None:
    images, splits, embeddings = labelled
    examples = filter_examples.function(
        {"images": images}, splits, embeddings, NO_BALANCE, usable=("full",), **UNREMEDIED
    )
    plain, tracked = (
        iris_filter_model.function(
            examples,
            Files(tiny_backbone),
            recipe=FilterSettings(epochs=3),
            balanced_by="weights",
            training=TrainingSettings(),
            max_megapixels=1.0,
            compute=ComputeSettings(device="cpu", threads=1),
            tracking=TrackingSettings(wandb=mode),
            context=PlainWork(tmp_path / mode),
        )
        for mode in ("off", "offline")
    )
    assert version_of(plain) == version_of(tracked)
    assert plain.notes == tracked.notes
    assert filter_training_starts_sound(plain.value, plain.notes).passed is None
    words = (b"validation/f1_macro", b"validation/recall_none")
    logged(tmp_path / "offline" / ".iip" / "wandb", "filter-*", *words)


def test_both_models_have_a_check_of_their_start_by_the_same_name() -> None:
    names = [
        [check.name for check in one.checks] for one in (iris_filter_model, segmentation_model)
    ]
    assert names == [
        ["filter_classes_in_splits", "training_starts_sound"],
        ["mask_classes_in_splits", "training_starts_sound"],
    ]
