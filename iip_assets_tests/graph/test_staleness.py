"""Only what is stale is recomputed, down to the single image: a user's acts, one by one."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from iip_assets.loading import load
from iip_assets_tests.graph.conftest import TINY, Team

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("revert")]

MODELS_AND_BELOW = {
    "iris_filter_model",
    "filter_verdicts",
    "segmentation_model",
    "labeler_agreement",
    "predictions",
    "validation_card",
    "model_evaluation",
    "model_versions",
    "fairness_guarantee",
    "batch_trials",
    "batch_verdict",
    "coverage_ledger",
    "fairness_audit",
    "drift_forecast",
    "serving_drift",
    "fairness_tradeoff",
    "segmenter_tradeoff",
    "kept_promises",
    "labeling_priorities",
    "model_explanations",
    "error_analysis",
    "robustness_benchmark",
    "challenge_results",
    "group_holdout",
    "compressed_filters",
    "compressed_segmenters",
    "compression_tradeoff",
    "pipeline_report",
}


def first(team: Team, pattern: str) -> Path:
    return sorted((team.root / "data" / "batches").glob(pattern))[0]


def change_pixels(file: Path, value: int = 255) -> None:
    image = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    image[:3, 0] = value
    assert cv2.imwrite(str(file), image)


@pytest.fixture
def fresh(team: Team) -> Team:
    """The workspace, whatever another test of this file computed last."""
    team.refresh()
    return team


def test_a_second_refresh_computes_nothing(team: Team) -> None:
    found = team.refresh()
    assert found["computed"] == []
    # All images of this workspace are labelled, so that nothing is to label next; its groups are
    # small, and it promises nothing.
    nothing = {"labeling_priorities", "fairness_tradeoff", "segmenter_tradeoff"}
    nothing |= {"fairness_guarantee", "challenge_results", "group_holdout"}
    nothing |= {"serving_drift"}
    assert found["skipped"].keys() == nothing
    assert len(found["reused"]) == len(team.status()) - len(nothing)
    assert {state["state"] for state in team.status().values()} == {"fresh"}


def test_the_training_seed_retrains_the_models_and_no_more(fresh: Team) -> None:
    settings = TINY.replace("[filter]", "[filter]\nseed = 3").replace(
        "[segmenter]", "[segmenter]\nseed = 3"
    )
    (fresh.root / "iip.toml").write_text(settings)
    due = fresh.due()
    assert due.keys() <= MODELS_AND_BELOW
    assert due["iris_filter_model"] == ["setting filter.seed changed: 0 → 3"]
    assert due["segmentation_model"] == ["setting segmenter.seed changed: 0 → 3"]


def test_a_remedy_of_one_model_trains_that_one_alone(fresh: Team) -> None:
    pair = '{ axis = "gender", group = "female" }'
    remedy = f'\n[segmenter_remedy]\nmethod = "mindiff"\npairs = [{pair}]\n'
    (fresh.root / "iip.toml").write_text(TINY + remedy)
    found = fresh.refresh("iris_filter_model", "segmentation_model")
    assert "segmentation_model" in found["computed"]
    assert "iris_filter_model" not in found["computed"]
    (fresh.root / "iip.toml").write_text(TINY + remedy + 'reason = "as shown"\n')
    assert fresh.refresh("iris_filter_model", "segmentation_model")["computed"] == []


def test_an_unrelated_threshold_computes_no_embeddings(fresh: Team) -> None:
    (fresh.root / "iip.toml").write_text(TINY + "\n[statistics]\ndark_below = 90.0\n")
    due = fresh.due()
    assert due["lighting_stats"] == ["setting statistics.dark_below changed: 70.0 → 90.0"]
    assert not {"image_statistics", "background_stats", "image_embeddings"} & due.keys()
    # A remedy may name a lighting; here none does, and who may be named comes out as it was.
    assert "upstream image_slices is stale" in due["protected_subsets"]
    found = fresh.refresh("iris_filter_model", "segmentation_model")
    assert not {"iris_filter_model", "segmentation_model"} & {*found["computed"]}


def test_other_costs_choose_another_threshold_and_train_nothing(fresh: Team) -> None:
    (fresh.root / "iip.toml").write_text(TINY + "\n[threshold]\nlost_iris_cost = 20.0\n")
    due = fresh.due()
    assert due["filter_verdicts"] == ["setting threshold.lost_iris_cost changed: 1.0 → 20.0"]
    below = {"filter_verdicts", "predictions", "model_evaluation", "model_explanations"}
    below |= {"error_analysis", "validation_card", "coverage_ledger", "pipeline_report"}
    below |= {"fairness_audit", "fairness_guarantee", "fairness_tradeoff", "drift_forecast"}
    below |= {"serving_drift"}
    assert due.keys() <= below | {"labeling_priorities"}


def test_where_trainings_are_logged_and_how_they_are_run_changes_nothing(fresh: Team) -> None:
    settings = TINY.replace("[tracking]", '[tracking]\nproject = "another"')
    run = '\n[training]\nchecks = "never"\n[compute]\nthreads = 1\n'
    (fresh.root / "iip.toml").write_text(settings + run)
    assert fresh.refresh()["computed"] == []


def test_of_a_section_of_settings_the_one_that_changed_is_named(fresh: Team) -> None:
    changed = TINY.replace("min_slice_images = 5", "min_slice_images = 6")
    (fresh.root / "iip.toml").write_text(changed)
    assert fresh.due()["model_evaluation"] == ["setting evaluation.min_slice_images changed: 5 → 6"]


def test_more_draws_train_nothing_and_show_no_image_to_a_model(fresh: Team) -> None:
    (fresh.root / "iip.toml").write_text(TINY.replace("resamples = 50", "resamples = 60"))
    drawn = {"validation_card", "model_evaluation", "batch_verdict", "robustness_benchmark"}
    found = fresh.refresh(*fresh.status().keys() - {"pipeline_report"})
    assert drawn <= set(found["computed"])
    spared = {"iris_filter_model", "segmentation_model", "batch_trials", "labeler_agreement"}
    assert not spared & set(found["computed"])
    assert not any(images["computed"] for images in found["images"].values())


def test_one_more_explained_image_explains_one_more_of_each_model(fresh: Team) -> None:
    (fresh.root / "iip.toml").write_text(TINY.replace("images = 3\n", "images = 4\n"))
    assert fresh.due().keys() <= {"model_explanations", "pipeline_report"}
    explained = fresh.refresh("model_explanations")["images"]["model_explanations"]
    # The fourth may be of the sample.
    assert explained["computed"] <= 2
    assert explained["reused"] >= 6
    (fresh.root / "iip.toml").write_text(TINY.replace("cells = 4\n", "cells = 5\n"))
    assert fresh.refresh("model_explanations")["images"]["model_explanations"]["reused"] == 0


def test_three_changed_pixels_are_one_image_and_going_back_is_none(team: Team) -> None:
    change_pixels(first(team, "*/images/*.jpg"))
    team.dvc("add", "--quiet", "data")
    stale = team.status()
    assert stale["raw_dataset"]["reasons"] == ["input dvc_data changed"]
    assert stale["pipeline_report"]["state"] == "stale"
    found = team.refresh()
    assert found["images"]["image_statistics"] == {"computed": 1, "reused": 79}
    assert found["images"]["image_embeddings"] == {"computed": 1, "reused": 79}
    team.commit("Three pixels")
    try:
        team.git("checkout", "--quiet", "HEAD~1")
        team.dvc("checkout", "--quiet")
        assert team.refresh()["computed"] == []
    finally:
        team.git("checkout", "--quiet", "-")
        team.git("reset", "--quiet", "--hard", "HEAD~1")
        team.dvc("checkout", "--quiet", "--force")
    assert team.refresh()["computed"] == []


def test_a_file_saved_again_with_equal_bytes_is_no_change(team: Team) -> None:
    file = first(team, "*/images/*.jpg")
    data = file.read_bytes()
    file.unlink()
    file.write_bytes(data)
    os.utime(file)
    team.dvc("add", "--quiet", "data")
    assert team.refresh()["computed"] == []


def test_a_corrected_mask_recomputes_its_statistics_and_not_its_embedding(team: Team) -> None:
    change_pixels(first(team, "*/masks/*.png"), 1)
    team.dvc("add", "--quiet", "data")
    found = team.refresh("image_statistics", "image_embeddings", "embedding_map")
    assert found["images"]["image_statistics"] == {"computed": 1, "reused": 79}
    assert found["images"].get("image_embeddings", {"computed": 0})["computed"] == 0
    assert "embedding_map" not in found["computed"]


def test_an_age_corrected_within_its_band_retrains_no_model(team: Team) -> None:
    labels = first(team, "*/labels.csv")
    lines = [line.split(",") for line in labels.read_text().splitlines()]
    column = lines[0].index("age_years")
    row = next(line for line in lines[1:] if line[column] and 31 <= float(line[column]) < 43)
    row[column] = str(float(row[column]) + 1)
    labels.unlink()
    labels.write_text("\n".join(",".join(line) for line in lines) + "\n")
    team.dvc("add", "--quiet", "data")
    spared = {"iris_filter_model", "segmentation_model", "predictions", "batch_trials"}
    spared |= {"robustness_benchmark"}
    found = team.refresh("demographic_stats", "segmenter_examples", *spared)
    assert {"raw_dataset", "demographic_stats", "segmenter_examples"} <= set(found["computed"])
    assert not spared & set(found["computed"])


def test_images_without_labels_retrain_no_model(team: Team) -> None:
    new = team.root / "data" / "batches" / "2027-unlabelled" / "images"
    new.mkdir(parents=True)
    for place, file in enumerate(sorted((team.root / "data").glob("batches/*/images/*.jpg"))[:3]):
        image = cv2.imread(str(file))
        assert cv2.imwrite(str(new / f"{place}.png"), cv2.flip(image, -1))
    team.dvc("add", "--quiet", "data")
    found = team.refresh("image_embeddings", "iris_filter_model", "segmentation_model")
    assert found["images"]["image_embeddings"] == {"computed": 3, "reused": 80}
    assert not {"iris_filter_model", "segmentation_model"} & set(found["computed"])


def test_second_opinions_are_compared_one_by_one_and_retrain_no_model(team: Team) -> None:
    raw = load("raw_dataset", root=team.root)["images"]
    test = load("data_splits", root=team.root).filter(split="test", has_mask=True)
    images = raw.join(test, on="image_id")["image_id", "mask_path"].rows()[:4]
    batch = team.root / "data" / "batches" / "2027-opinions"
    (batch / "masks").mkdir(parents=True)
    rows = ["image,labeler,label,mask"]
    for place, (image_id, mask_path) in enumerate(images):
        mask = cv2.imread(str(team.root / "data" / mask_path), cv2.IMREAD_UNCHANGED)
        for labeler, pixels in (("ann", 1), ("bob", 2)):
            file = f"masks/{labeler}{place}.png"
            assert cv2.imwrite(str(batch / file), np.roll(mask, pixels, 1))
            rows.append(f"{image_id},{labeler},full,{file}")
    (batch / "annotations.csv").write_text("\n".join(rows) + "\n")
    team.dvc("add", "--quiet", "data")
    found = team.refresh("labeler_agreement", "model_evaluation", "predictions")
    assert {"raw_dataset", "labeler_agreement", "model_evaluation"} <= set(found["computed"])
    spared = {"iris_filter_model", "segmentation_model", "filter_verdicts", "predictions"}
    assert not spared & set(found["computed"])
    # Looked at: each of 8 masks, 4 pairs, and the segmenter's word against each mask.
    assert found["images"]["labeler_agreement"] == {"computed": 8 + 4 + 8, "reused": 0}
    assert found["images"]["image_fingerprints"]["computed"] == 0
    change_pixels(batch / "masks" / "bob0.png", 1)
    team.dvc("add", "--quiet", "data")
    found = team.refresh("labeler_agreement")
    assert found["images"]["labeler_agreement"] == {"computed": 1 + 1 + 1, "reused": 7 + 3 + 7}


def test_an_edit_in_place_is_recorded_under_no_wrong_id_and_the_doctor_names_it(team: Team) -> None:
    file = first(team, "*/images/*.jpg")
    change_pixels(file)
    assert team.refresh()["computed"] == []
    found = team.iip("doctor", check=False)
    assert found.returncode == 1
    assert file.relative_to(team.root).as_posix() in found.stdout
    assert "dvc add data" in found.stdout


def test_wrong_settings_end_in_one_line_that_names_the_value(team: Team) -> None:
    (team.root / "iip.toml").write_text("[filter]\nepochs = 0\n[nonsense]\n")
    found = team.iip("refresh", check=False)
    assert found.returncode == 1
    assert "Traceback" not in found.stderr
    assert "filter.epochs = 0" in found.stderr
    assert "nonsense" in found.stderr
