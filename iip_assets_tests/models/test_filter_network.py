import json

import numpy as np
import polars as pl
import pytest
import timm
import torch
from safetensors.torch import save

from iip_assets.inference.filter import (
    FilterFromPixels,
    has_head,
    network_scores,
    probabilities_of,
    score_chunk,
)
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.models.filter import build_filter
from iip_assets.registry.registering import OnnxDiffersError, largest_difference
from iip_assets.settings import FilterSettings, TrainingSettings
from iip_assets.training.trainer import Machine, TrainingRun
from iip_assets_tests.embeddings.stand_ins import MemoryStore

pytestmark = pytest.mark.slow

# timm's own network for tests: 0.4 million weights.
SMALL = "test_efficientnet"
RECIPE = FilterSettings(
    train="network",
    width=48,
    height=32,
    network_epochs=6,
    patience=6,
    network_learning_rate=0.003,
    batch_size=8,
)


@pytest.fixture(scope="module")
def backbone():
    torch.manual_seed(0)
    network = timm.create_model(SMALL, pretrained=False, num_classes=0)
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    card = {
        "model": SMALL,
        "weights_sha256": "0",
        "input_width": 160,
        "input_height": 160,
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
    }
    return {"backbone.safetensors": save(state), "card.json": json.dumps(card).encode()}


@pytest.fixture(scope="module")
def data():
    """Images whose label is the colour that they are full of, in a store."""
    rng = np.random.default_rng(0)
    store, rows, images = MemoryStore(), [], {}
    for place in range(90):
        label = FILTER_CLASSES[place % 3]
        image = rng.integers(0, 90, (30, 44, 3), dtype=np.uint8)
        image[:, :, place % 3] += 150
        md5 = store.add_png(image)
        images[md5] = image
        split = ("train", "train", "validation", "test")[place // 3 % 4]
        rows.append((md5, split, f"s{place // 6}", label, [0.0], 1.0))
    names = ["image_id", "split", "group_id", "label", "embedding", "weight"]
    return store, pl.DataFrame(rows, schema=names, orient="row").sort("image_id"), images


def noted(data, backbone, recipe=RECIPE, *, checks="never", **teacher):
    _, rows, images = data
    run = TrainingRun(Machine("cpu", 1, TrainingSettings(checks=checks)))
    return build_filter(rows, backbone, recipe, load=images.get, run=run, **teacher)


def changed(**changes):
    return RECIPE.model_copy(update=changes)


def build(data, backbone, recipe=RECIPE):
    return noted(data, backbone, recipe).value.parts


@pytest.fixture(scope="module")
def built(data, backbone):
    return noted(data, backbone)


@pytest.fixture(scope="module")
def files(built):
    return built.value.parts


def test_a_whole_network_learns_what_shows_in_the_pixels(data, files):
    store, rows, _ = data
    test = rows.filter(pl.col("split") == "test")
    found = score_chunk(
        test.select("image_id").to_dicts(),
        max_megapixels=1.0,
        filter_model=FilterFromPixels(files, threads=1),
        store=store,
    )
    scored = network_scores(
        test.select("image_id").with_columns(
            probabilities=pl.Series([one["probabilities"].tolist() for one in found])
        )
    )
    said = scored.select(f"prob_{name}" for name in FILTER_CLASSES).to_numpy()
    labels = np.array(FILTER_CLASSES)[said.argmax(1)]
    assert (labels == test["label"].to_numpy()).mean() > 0.8
    np.testing.assert_allclose(said.sum(1), 1, atol=1e-5)
    assert not has_head(files)
    one_by_one = probabilities_of(test, files, load_image=data[2].__getitem__, threads=1)
    np.testing.assert_allclose(one_by_one, said, atol=1e-5)


def test_the_card_says_what_to_feed_it(built):
    card = json.loads(built.value.parts["card.json"])
    assert (card["input_width"], card["input_height"]) == (48, 32)
    assert built.notes["settings"]["train"] == "network"
    assert len(built.notes["history"]) >= 1


def test_the_same_seed_gives_the_same_weights(data, backbone, files):
    assert build(data, backbone)["filter.safetensors"] == files["filter.safetensors"]


def test_another_network_than_the_backbone_is_trained_and_named(data, backbone, files):
    other = build(data, backbone, changed(network="test_resnet"))
    card = json.loads(other["card.json"])
    assert (card["backbone"], card["weights_sha256"]) == ("test_resnet", "")
    assert largest_difference("filter", other) < 1e-3
    with pytest.raises(ValueError, match=r"no model 'eyenet'; correct filter\.network"):
        build(data, backbone, changed(network="eyenet"))


def test_a_student_believes_its_teacher_against_the_labels(data, backbone, files):
    """A teacher that learned full and none the wrong way round hands some of that on."""
    store, rows, images = data
    swapped = {"full": "none", "partial": "partial", "none": "full"}
    wrong = rows.with_columns(pl.col("label").replace(swapped))
    taught = noted(
        data,
        backbone,
        changed(teacher_share=0.9),
        checks="always",
        teacher=build((store, wrong, images), backbone),
    )
    # The look before the training is at the labels, which a teacher's shares are not.
    assert taught.notes["start"]["expected_loss"] == pytest.approx(np.log(3))
    test = wrong.filter(pl.col("split") == "test", pl.col("label") != "partial")
    places = [FILTER_CLASSES.index(label) for label in test["label"]]
    untaught, believing = (
        FilterFromPixels(one, threads=1)
        .probabilities([images[image_id] for image_id in test["image_id"]])[
            np.arange(test.height), places
        ]
        .mean()
        for one in (files, taught.value.parts)
    )
    assert untaught < 0.2
    assert believing > untaught + 0.2


def test_the_onnx_file_is_held_against_the_weights(data, backbone, files):
    assert largest_difference("filter", files) < 1e-4
    other = build(data, backbone, changed(seed=1))
    swapped = {**files, "filter.onnx": other["filter.onnx"]}
    with pytest.raises(OnnxDiffersError, match="do not belong together"):
        largest_difference("filter", swapped)
