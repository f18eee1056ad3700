"""Smaller models of tiny networks: they open, they answer, and they are what their names say."""

import json
from types import SimpleNamespace

import numpy as np
import onnx
import polars as pl
import pytest
import timm
import torch
from safetensors.torch import save
from scipy.special import softmax
from timm.layers import Conv2dSame

from iip_assets.embeddings.onnx_export import export_onnx
from iip_assets.embeddings.onnx_session import open_session, run
from iip_assets.engine.values import Files, Noted, Skipped
from iip_assets.images.decode import decode_image
from iip_assets.images.letterbox import letterbox_image
from iip_assets.inference.filter import FilterFromPixels
from iip_assets.inference.frame import Frame
from iip_assets.inference.segmenter import Segmenter
from iip_assets.models.filter import build_filter, restored_filter
from iip_assets.models.segmentation_model import build_segmenter
from iip_assets.registry.registering import _fidelity
from iip_assets.robustness import compressed_filters, compressed_segmenters
from iip_assets.robustness.compressed_filters import smaller_filters
from iip_assets.robustness.compressed_models import Averaging, Original, compressed
from iip_assets.robustness.compressed_segmenters import smaller_segmenters
from iip_assets.robustness.quantized import fp16_onnx, int8_onnx
from iip_assets.robustness.variants import latency_ms, models_of
from iip_assets.settings import (
    CompressionTrainingSettings,
    FilterSettings,
    SegmenterSettings,
    TrainingSettings,
)
from iip_assets.training.trainer import Machine, TrainingRun
from iip_assets_tests.models.masked import CLASSES, examples_of, masked_eyes

SIDE, TINY = 32, "test_efficientnet"
RUN = TrainingRun(Machine("cpu", 1, TrainingSettings(checks="never")))
TRAINING = CompressionTrainingSettings(epochs=1, student_epochs=1, calibration_images=6)
VARIANTS = ("int8", "fp16", "pruned_0.3", f"student_{TINY}")


MAKE = {"filter": smaller_filters, "segmenter": smaller_segmenters}


def fill(_, rows, compute, *, key, tools, chunk):
    assert {"model", "examples", "recipe", "training", "resampled"} == set(key)
    assert chunk == 1
    found = [compute([row], **tools)[0] for row in rows.to_dicts()]
    return SimpleNamespace(frame=pl.concat([rows, pl.DataFrame(found)], how="horizontal"))


@pytest.fixture(scope="module")
def eyes():
    store, images, splits = masked_eyes(30)
    return store, examples_of(images, splits).join(
        images.select("image_id", "label"), on="image_id"
    )


@pytest.fixture(scope="module")
def segmenter(eyes):
    store, rows = eyes
    recipe = SegmenterSettings(
        encoder=TINY, decoder_channels=(16, 16, 16, 16), width=SIDE, height=SIDE, epochs=1
    )
    built = build_segmenter(rows, store, recipe, classes=CLASSES, max_megapixels=1.0, run=RUN)
    assert isinstance(built, Noted)
    return Original("segmenter", built.value, rows, recipe, TRAINING, False, RUN, store, 1.0)


@pytest.fixture(scope="module")
def tiny_filter(eyes):
    """A head on the embeddings of a tiny network."""
    store, rows = eyes
    torch.manual_seed(0)
    network = timm.create_model(TINY, num_classes=0).eval()
    frame = Frame(SIDE, SIDE)
    card = {"model": TINY, "weights_sha256": "0", "mean": frame.mean, "std": frame.std}
    card |= {"input_width": SIDE, "input_height": SIDE}
    shape = {"input_name": "image", "output_name": "embedding"}
    backbone = {
        "backbone.onnx": export_onnx(network, (3, SIDE, SIDE), **shape),
        "backbone.safetensors": save(network.state_dict()),
        "card.json": json.dumps(card).encode(),
    }
    images = [decode_image(store.read(one), max_megapixels=1.0) for one in rows["image_id"]]
    fitted = frame.standardise(np.stack([letterbox_image(one, SIDE, SIDE) for one in images]))
    vectors = run(open_session(backbone["backbone.onnx"], threads=1), fitted)
    embedded = rows.drop("mask_id").with_columns(
        embedding=pl.Series(vectors.tolist(), dtype=pl.List(pl.Float32))
    )
    recipe = FilterSettings(epochs=3)
    built = build_filter(embedded, backbone, recipe, load=lambda _: None, run=RUN)
    given = (recipe, TRAINING, False, RUN, store, 1.0, backbone)
    return Original("filter", built.value, embedded, *given), fitted


@pytest.fixture(scope="module", params=["filter", "segmenter"])
def made(request, tiny_filter, segmenter):
    original = tiny_filter[0] if request.param == "filter" else segmenter
    return original, compressed(original, VARIANTS, MAKE[original.model], fill=fill)


def test_each_smaller_model_opens_and_answers_like_any_other(made):
    original, files = made
    images = [np.full((40, 50, 3), 90, np.uint8), np.full((64, 30, 3), 200, np.uint8)]
    assert list(models_of(files)) == list(VARIANTS)
    for name, one in models_of(files).items():
        assert json.loads(one.parts["card.json"])["compressed"] == name
        if original.model == "filter":
            shares = FilterFromPixels(one.parts, threads=1).probabilities(images)
            assert shares.shape == (2, 3)
            assert shares.sum(1) == pytest.approx([1, 1], abs=1e-2)
        else:
            masks = Segmenter(one.parts, threads=1).segment(images)
            assert [mask.shape for mask in masks] == [(40, 50), (64, 30)]


def test_speed_is_told_and_is_in_no_data_version(made):
    _, files = made
    assert list(latency_ms(files)) == [*VARIANTS, "original"]
    slower = Files({**files.parts, "latency.json": b"{}"}, version_of=files.version_of)
    assert slower.digest == files.digest


def test_the_same_model_is_made_smaller_in_the_same_way(made):
    original, files = made
    again = compressed(original, ("int8", "pruned_0.3"), MAKE[original.model], fill=fill)
    assert all(
        models_of(files)[name].digest == one.digest for name, one in models_of(again).items()
    )


def test_a_smaller_model_is_registered_without_weights_beside_it(made):
    original, files = made
    one = models_of(files)["int8"]
    assert _fidelity(original.model, one.parts) == "int8 of its original, without weights beside it"


def test_asked_for_none_there_is_none_and_the_setting_is_named(segmenter):
    found = compressed(segmenter, (), smaller_segmenters, fill=fill)
    assert found == Skipped("compression.segmenter names no smaller model")


def test_a_filter_of_a_head_is_one_network_again(tiny_filter):
    original, fitted = tiny_filter
    network, temperature = restored_filter(original.files.parts, original.backbone)
    with torch.inference_mode():
        logits = network(torch.from_numpy(fitted)).numpy()
    expected = run(open_session(original.files.parts["filter.onnx"], threads=1), fitted)
    assert softmax(logits / temperature, 1) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("model", ["filter", "segmenter"])
def test_pruning_takes_channels_and_leaves_the_answers_shape(model, tiny_filter, segmenter):
    original = tiny_filter[0] if model == "filter" else segmenter
    room = compressed_filters if model == "filter" else compressed_segmenters
    image = torch.zeros(2, 3, SIDE, SIDE)
    counts = []
    for ratio in (0.0, 0.3, 0.6):
        network = room.smaller_network(original, f"pruned_{ratio}").eval()
        counts.append(sum(one.numel() for one in network.parameters()))
        expected = (2, 3) if model == "filter" else (2, len(CLASSES), SIDE, SIDE)
        assert tuple(network(image).shape) == expected
    assert counts[0] > counts[1] > counts[2]


def test_batch_norm_learns_and_takes_its_averages_from_the_given_images_at_the_end():
    rng = np.random.default_rng(0)
    batches = [rng.normal(7, 2, (8, 3, 4, 4)).astype(np.float32) for _ in range(4)]
    norm = torch.nn.BatchNorm2d(3)
    network = Averaging(torch.nn.Sequential(norm).eval(), batches)
    assert norm.training
    network.eval()
    assert norm.running_mean.tolist() == pytest.approx(np.mean(batches, (0, 1, 3, 4)), abs=1e-4)
    assert norm.momentum == 0.1
    assert not norm.training


class Wide(torch.nn.Module):
    """Two layers of channels of very unequal size."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = torch.nn.Conv2d(3, 32, 3, padding=1), torch.nn.Conv2d(32, 4, 3)
        self.first.weight.data *= torch.logspace(-2, 1, 32)[:, None, None, None]

    def forward(self, images):
        return self.second(torch.relu(self.first(images)))


def test_eight_bits_leave_the_place_where_a_convolution_looks():
    """How far an image is padded is worked out in the file, from its size."""
    torch.manual_seed(0)
    layers = (Conv2dSame(3, 16, 5, stride=2), torch.nn.ReLU(), Conv2dSame(16, 4, 5, stride=2))
    network = torch.nn.Sequential(*layers)
    model = export_onnx(network, (3, 24, 32), input_name="image", output_name="logits")
    images = np.random.default_rng(0).standard_normal((8, 3, 24, 32)).astype(np.float32)
    expected = run(open_session(model, threads=1), images)
    found = run(open_session(int8_onnx(model, [images]), threads=1), images)
    assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()


def test_fewer_bits_are_nearly_the_same_numbers_in_less_room():
    model = export_onnx(Wide(), (3, 16, 16), input_name="image", output_name="logits")
    images = np.random.default_rng(0).standard_normal((8, 3, 16, 16)).astype(np.float32)
    expected = run(open_session(model, threads=1), images)
    for made, near in (
        (int8_onnx(model, [images[:4], images[4:]]), 0.03),
        (fp16_onnx(model), 1e-3),
    ):
        found = run(open_session(made, threads=1), images)
        assert found.dtype == np.float32
        assert np.abs(found - expected).max() < near * np.abs(expected).max()
    kinds = {one.data_type for one in onnx.load_from_string(fp16_onnx(model)).graph.initializer}
    assert kinds == {onnx.TensorProto.FLOAT16}
    whole = onnx.load_from_string(int8_onnx(model, [images])).graph.initializer
    weights = [one for one in whole if len(one.dims) == 4]
    assert [one.data_type for one in weights] == [onnx.TensorProto.INT8] * 2
    scales = [one for one in whole if "weight_scale" in one.name or one.name.endswith("_scale")]
    assert max(int(np.prod(one.dims)) for one in scales) == 32
