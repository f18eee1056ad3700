"""The losses of the segmenter, and a teacher's word beside the labels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch.nn import functional

from iip_assets.engine.values import Files, Noted
from iip_assets.inference.frame import Frame
from iip_assets.inference.segmenter import Segmenter, segment_chunk
from iip_assets.metrics.scores import segmenter_scores
from iip_assets.models.distillation import UnfitTeacherError, distillation_loss, softened_truth
from iip_assets.models.filter_network import head_onnx
from iip_assets.models.segmentation_model import build_segmenter, distillation_of
from iip_assets.models.segmenter import cross_entropy, dice_loss, segmentation_loss
from iip_assets.training.trainer import Machine, TrainingRun
from iip_assets_tests.embeddings.stand_ins import MemoryStore
from iip_assets_tests.models.masked import CLASSES, READ, RECIPE, examples_of


def perfect(masks, classes=3):
    return functional.one_hot(masks, classes).movedim(-1, 1).float() * 50


def test_a_perfect_answer_costs_nothing_and_a_wrong_one_much():
    masks = torch.randint(0, 3, (2, 8, 8), generator=torch.Generator().manual_seed(0))
    ones = torch.ones(2)
    assert float(segmentation_loss(perfect(masks), masks, ones, ignored=255)) < 1e-3
    assert float(segmentation_loss(perfect((masks + 1) % 3), masks, ones, ignored=255)) > 10


def test_cross_entropy_is_torchs():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, generator=generator)
    masks = torch.randint(0, 3, (2, 4, 5), generator=generator)
    expected = functional.cross_entropy(logits, masks)
    found = cross_entropy(logits, masks, torch.ones(2, 4, 5))
    torch.testing.assert_close(found, expected)


def test_pixels_that_nobody_labelled_have_no_part_in_loss_or_gradient():
    logits = torch.randn(1, 3, 6, 6, generator=torch.Generator().manual_seed(0), requires_grad=True)
    masks = torch.zeros(1, 6, 6, dtype=torch.int64)
    masks[:, :, 3:] = 255
    segmentation_loss(logits, masks, torch.ones(1), ignored=255).backward()
    assert logits.grad[..., :3].abs().min() > 0
    assert logits.grad[..., 3:].abs().max() == 0


def test_a_batch_that_nobody_labelled_costs_nothing():
    masks = torch.full((2, 4, 4), 255)
    logits = torch.randn(2, 3, 4, 4)
    assert float(segmentation_loss(logits, masks, torch.ones(2), ignored=255)) == 0


def test_an_image_of_weight_two_counts_as_if_it_were_there_twice():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 4, generator=generator)
    masks = torch.randint(0, 3, (2, 4, 4), generator=generator)
    twice = torch.tensor([0, 1, 1])
    for loss in (cross_entropy, dice_loss):
        weights = torch.tensor([1.0, 2.0])[:, None, None].expand(2, 4, 4)
        options = {"smooth": 0.0} if loss is dice_loss else {}
        torch.testing.assert_close(
            loss(logits, masks, weights, **options),
            loss(logits[twice], masks[twice], torch.ones(3, 4, 4), **options),
        )


def test_dice_of_a_known_overlap():
    # Half of the class is found, nothing else is claimed: Dice 2/3 for it, 4/5 for the rest.
    masks = torch.zeros(1, 2, 4, dtype=torch.int64)
    masks[0, 0] = 1
    said = torch.zeros(1, 2, 4, dtype=torch.int64)
    said[0, 0, :2] = 1
    loss = dice_loss(perfect(said, 2), masks, torch.ones(1, 2, 4), smooth=0.0)
    assert float(loss) == pytest.approx(1 - (2 / 3 + 4 / 5) / 2, abs=1e-5)


RUN = TrainingRun(Machine("cpu", threads=1))


def test_a_student_that_says_what_its_teacher_says_has_nothing_to_learn() -> None:
    logits = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    weights = torch.tensor([1.0, 3.0])
    same = distillation_loss(logits, (logits / 2).softmax(1), weights, temperature=2.0)
    other = distillation_loss(logits, (-logits / 2).softmax(1), weights, temperature=2.0)
    assert same.item() == pytest.approx(0, abs=1e-6)
    assert other.item() > 0.1


def test_the_loss_is_the_weighted_mean_divergence_times_the_squared_temperature() -> None:
    said = torch.tensor([[[[0.8]], [[0.2]]], [[[0.5]], [[0.5]]]])
    logits = torch.zeros(2, 2, 1, 1)
    first = 0.8 * np.log(0.8 / 0.5) + 0.2 * np.log(0.2 / 0.5)
    found = distillation_loss(logits, said, torch.tensor([3.0, 1.0]), temperature=3.0)
    assert found.item() == pytest.approx(9 * 3 * first / 4, rel=1e-5)


@pytest.fixture(scope="module")
def teacher(trained_segmenter: Noted[Files]) -> dict[str, bytes]:
    return dict(trained_segmenter.value.parts)


@pytest.mark.slow
def test_a_teacher_sees_images_in_its_own_frame_and_speaks_at_the_students_size(
    teacher: dict[str, bytes],
) -> None:
    distillation = distillation_of(teacher, Frame(32, 32), CLASSES, share=0.5)
    assert (distillation.frame.width, distillation.shrink) == (64, 2)
    images = torch.randn(2, 3, 64, 64)
    masks = torch.arange(64).expand(2, 64, 64)
    said = distillation.probabilities(images)
    assert said.shape == (2, 4, 32, 32)
    torch.testing.assert_close(said.sum(1), torch.ones(2, 32, 32))
    small, small_masks = distillation.shrunk(images, masks)
    assert small.shape == (2, 3, 32, 32)
    assert small_masks[0, 0].tolist() == list(range(1, 64, 2))
    # What is learned goes into the student alone.
    assert not said.requires_grad


def mean_iou(files: Mapping[str, bytes], held_out: pl.DataFrame, store: MemoryStore) -> float:
    found = segment_chunk(
        held_out.to_dicts(),
        max_megapixels=1.0,
        segmenter=Segmenter(files, threads=1),
        store=store,
        threads=1,
    )
    counts = np.array([one["confusion"] for one in found], np.float64)
    scores = segmenter_scores(counts.reshape(-1, 4, 4), np.ones((1, len(found))), CLASSES)
    return float(scores["mean_iou"][0])


@pytest.mark.slow
def test_a_student_learns_of_its_teacher_alone_where_masks_do_not_count(
    teacher: dict[str, bytes], eyes: tuple[MemoryStore, pl.DataFrame, pl.DataFrame]
) -> None:
    store, images, splits = eyes
    rows = examples_of(images, splits)
    alone = RECIPE.model_copy(update={"teacher_share": 1.0})
    short = alone.model_copy(update={"epochs": 2})
    taught, once, again = (
        build_segmenter(rows, store, recipe, **READ, run=RUN, teacher=teacher).value.parts
        for recipe in (alone, short, short)
    )
    held_out = rows.filter(pl.col("split") == "validation")
    quality = [mean_iou(files, held_out, store) for files in (teacher, taught)]
    assert quality[1] > 0.6 * quality[0]
    assert taught["segmenter.safetensors"] != teacher["segmenter.safetensors"]
    assert again["segmenter.safetensors"] == once["segmenter.safetensors"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("frame", "classes", "said"),
    [
        (Frame(96, 96), CLASSES, r"64x64.*no multiple of the student's 96x96"),
        (Frame(32, 64), CLASSES, "no multiple"),
        (Frame(64, 64), ("background", "iris"), "the student is to learn background, iris"),
    ],
    ids=["larger student", "other shape", "other classes"],
)
def test_a_teacher_that_cannot_teach_says_why(
    teacher: dict[str, bytes], frame: Frame, classes: tuple[str, ...], said: str
) -> None:
    with pytest.raises(UnfitTeacherError, match=said):
        distillation_of(teacher, frame, classes, share=0.5)


BACKBONE = {"weights_sha256": "b", "input_width": 128, "input_height": 96}


def head_teacher(**other: Any) -> dict[str, bytes]:
    """A head that always holds the last class for sure."""
    state = {
        "mean": np.zeros(4, np.float32),
        "spread": np.ones(4, np.float32),
        "hidden.weight": np.zeros((64, 4), np.float32),
        "hidden.bias": np.zeros(64, np.float32),
        "out.weight": np.zeros((3, 64), np.float32),
        "out.bias": np.array([0, 0, 50], np.float32),
    }
    card = json.dumps({**BACKBONE, **other}).encode()
    return {"filter_head.onnx": head_onnx(state, 1.0), "card.json": card}


def softened(teacher: dict[str, bytes], share: float) -> np.ndarray:
    images = pl.DataFrame({"image_id": ["b", "a"], "embedding": [[0.0] * 4, [1.0] * 4]})
    return softened_truth(
        images,
        np.array([0, 2]),
        teacher,
        backbone=BACKBONE,
        load_image=lambda _: np.zeros((4, 4, 3), np.uint8),
        share=share,
        threads=1,
    )


def test_a_filters_word_is_mixed_with_the_labels_in_the_images_order() -> None:
    np.testing.assert_allclose(
        softened(head_teacher(), 0.25), [[0.75, 0, 0.25], [0, 0, 1]], atol=1e-6
    )


@pytest.mark.parametrize("other", [{"weights_sha256": "c"}, {"input_width": 224}], ids=str)
def test_a_head_on_other_embeddings_is_no_teacher(other: dict[str, Any]) -> None:
    with pytest.raises(UnfitTeacherError, match="other embeddings"):
        softened(head_teacher(**other), 0.5)
