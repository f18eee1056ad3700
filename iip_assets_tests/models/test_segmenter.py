import json
from dataclasses import asdict, replace

import cv2
import numpy as np
import polars as pl
import pytest
import torch

from iip_assets.embeddings.backbone import packaged_weights, weights_digest
from iip_assets.inference.frame import Frame
from iip_assets.inference.segmenter import Segmenter, prior_png, read_pair, segment_chunk
from iip_assets.models.examples import masked_rows, reason_for_no_segmenter
from iip_assets.models.segmentation_model import schedule_of
from iip_assets.models.segmenter import build_network
from iip_assets.models.training_images import MaskedImages
from iip_assets.training.trainer import Machine, TrainingRun
from iip_assets_tests.models.masked import CLASSES, RECIPE
from iip_assets_tests.training.small_training import train_segmenter

pytestmark = pytest.mark.slow

RUN = TrainingRun(Machine("cpu", threads=1))


@pytest.fixture(scope="module")
def files(trained_segmenter):
    return trained_segmenter.value.parts


def test_eyes_that_are_easy_are_learned_better_than_the_commonest_class_by_place(files, eyes):
    store, images, splits = eyes
    test = masked_rows(images, splits).filter(pl.col("split") == "test").to_dicts()
    segmenter = Segmenter(files, threads=1)
    found = segment_chunk(test, max_megapixels=1.0, segmenter=segmenter, store=store, threads=1)

    def iris_iou(name):
        counts = np.sum([one[name] for one in found], axis=0).reshape(4, 4)
        return counts[2, 2] / (counts[2].sum() + counts[:, 2].sum() - counts[2, 2])

    assert iris_iou("confusion") > 0.6
    assert iris_iou("confusion") > iris_iou("baseline") + 0.1


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(eyes):
    store, images, splits = eyes
    rows = masked_rows(images, splits).to_dicts()[:8]

    def trained(seed):
        examples = MaskedImages(
            lambda place: read_pair(store, rows[place], classes=4, max_megapixels=1.0),
            frame=Frame(32, 32),
            weights=[1] * 8,
            seed=seed,
            threads=2,
        )
        network = build_network(
            RECIPE.encoder, classes=4, decoder_channels=(8,) * 5, pretrained=False, seed=seed
        )
        schedule = replace(schedule_of(RECIPE), epochs=2, batch_size=4, seed=seed)
        train_segmenter(network, examples, None, schedule, run=RUN)
        return weights_digest(network.state_dict())

    digest = trained(0)
    torch.manual_seed(99)
    assert trained(0) == digest
    assert trained(1) != digest


def test_the_card_says_what_the_network_expects_and_the_notes_how_it_was_trained(
    trained_segmenter, eyes
):
    built = trained_segmenter
    card, notes = json.loads(built.value.parts["card.json"]), built.notes
    assert card.keys() == {
        *("classes", "encoder", "encoder_pretrained", "decoder_channels", "two_pass"),
        *("input_width", "input_height", "mean", "std"),
    }
    assert tuple(card["classes"]) == CLASSES
    assert (card["input_width"], card["input_height"]) == (64, 64)
    assert card["encoder_pretrained"] is True
    assert built.value.version_of == ("segmenter.safetensors", "prior.png", "card.json")
    assert sum(notes["images"].values()) == eyes[1].height
    assert notes["images_by_class"]["train"]["background"] == notes["images"]["train"]
    assert notes["settings"] == asdict(schedule_of(RECIPE))
    assert 0 <= notes["best_epoch"] < len(notes["history"])
    assert notes["start"] is None
    assert json.loads(json.dumps(notes)) == notes


def test_the_encoder_starts_from_the_packaged_weights():
    network = build_network(
        RECIPE.encoder, classes=4, decoder_channels=RECIPE.decoder_channels, pretrained=True, seed=0
    )
    packaged = packaged_weights()
    encoder = network.get_submodule("encoder.model").state_dict()
    assert len(encoder) > 280
    assert all(torch.equal(value, packaged[name]) for name, value in encoder.items())


def test_an_encoder_without_packaged_weights_is_told_apart():
    with pytest.raises(ValueError, match="pretrained=False"):
        build_network("resnet18", classes=2, decoder_channels=(8,) * 5, pretrained=True, seed=0)


def test_examples_are_the_same_whether_they_are_kept_in_memory_or_not(eyes, monkeypatch):
    store, images, splits = eyes
    rows = masked_rows(images, splits).to_dicts()[:4]

    def load(place):
        return read_pair(store, rows[place], classes=4, max_megapixels=1.0)

    def examples():
        made = MaskedImages(load, frame=Frame(64, 64), weights=[1, 2, 3, 4], seed=0, threads=1)
        return [made[0, place] for place in range(4)]

    kept = examples()
    monkeypatch.setattr("iip_assets.models.training_images._MEMORY_BYTES", 0)
    for one, other in zip(kept, examples(), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert [float(weight) for _, _, weight in kept] == [1, 2, 3, 4]


def test_the_prior_is_the_commonest_class_at_each_place():
    masks = [np.array([[0, 1, 255], [2, 2, 255]], np.uint8)] * 2
    masks += [np.array([[1, 1, 255], [2, 0, 255]], np.uint8)]
    found = cv2.imdecode(np.frombuffer(prior_png(masks, 3), np.uint8), cv2.IMREAD_UNCHANGED)
    # Nobody labelled the last column: it is of class 2, the commonest of all.
    assert found.tolist() == [[0, 1, 2], [2, 2, 2]]


def test_too_few_masks_are_a_reason_to_skip(eyes):
    _, images, splits = eyes
    rows = masked_rows(images, splits)
    assert reason_for_no_segmenter(rows, CLASSES) is None
    assert "needs two classes" in reason_for_no_segmenter(rows, ("iris",))
    assert "it has 3" in reason_for_no_segmenter(
        rows.filter(pl.col("split") == "train").head(3), CLASSES
    )
    assert "it has 0" in reason_for_no_segmenter(rows.filter(pl.col("split") == "test"), CLASSES)


def test_invalid_masks_are_left_out(eyes):
    _, images, splits = eyes
    first = images["image_id"][0]
    splits = splits.with_columns(has_mask=pl.col("image_id") != first)
    assert first not in masked_rows(images, splits)["image_id"].to_list()
