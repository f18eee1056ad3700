"""Which images may test a version, and its numbers on them, where both are known beforehand."""

import json
from types import SimpleNamespace

import numpy as np
import onnx
import polars as pl
import pytest
from onnx import helper

from iip_assets.embeddings.onnx_export import OPSET
from iip_assets.evaluation.evaluation import metrics_table
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.metrics.scores import Gate
from iip_assets.models.filter_network import head_onnx
from iip_assets.registry.contenders import Contender
from iip_assets.registry.cross_dataset import (
    Learned,
    OtherSet,
    UntestableError,
    check_classes,
    embeddings_for,
    scored_filter_on,
    shown_metrics,
    unseen,
)
from iip_assets.registry.version_comparison import Asking, scored_by
from iip_assets.settings import EvaluationSettings
from iip_assets_tests.embeddings.stand_ins import MemoryStore, PlainWork

NOTHING = Learned(frozenset(), (), frozenset())
BACKBONE = {
    "model": "tiny",
    "weights_sha256": "0",
    "input_width": 4,
    "input_height": 4,
    "mean": [0.0] * 3,
    "std": [1.0] * 3,
}
CLASSES = ("background", "iris")
SETTINGS = EvaluationSettings(resamples=50, min_slice_images=3)


def other_set(**columns):
    """Ten images, two a subject; the odd pairs are test images, all hashes are far apart."""
    rng = np.random.default_rng(0)
    ids = [f"p{place}" for place in range(10)]
    known = {
        "image_id": ids,
        "split": ["test" if place // 2 % 2 else "train" for place in range(10)],
        "group_id": [f"g{place // 2}" for place in range(10)],
        "label": ["full", "partial", "none", "unclear", "full"] * 2,
        "mask_id": [f"m{place}" for place in range(10)],
        "phash": [rng.bytes(32).hex() for _ in ids],
        "subject_id": [f"s{place // 2}" for place in range(10)],
    }
    slices = pl.DataFrame(
        {"image_id": ids, "axis": "device", "slice": ["phone"] * 8 + ["camera"] * 2}
    )
    return OtherSet(
        pl.DataFrame({**known, **columns}), slices, mask_classes=CLASSES, near_duplicate_bits=40
    )


def with_flipped_bits(text, count):
    value = int(text, 16)
    for bit in range(count):
        value ^= 1 << (5 * bit)
    return f"{value:0{len(text)}x}"


def ids_of(found):
    return found.images["image_id"].to_list()


def test_by_default_the_other_sets_test_images_of_known_truth_are_asked_about():
    assert ids_of(unseen("filter", other_set(), NOTHING, split="test")) == ["p2", "p6", "p7"]
    assert ids_of(unseen("segmenter", other_set(), NOTHING, split="test")) == [
        *("p2", "p3", "p6", "p7")
    ]
    everything = unseen("filter", other_set(), NOTHING, split="all")
    assert ids_of(everything) == [f"p{place}" for place in (0, 1, 2, 4, 5, 6, 7, 9)]
    assert not any(everything.left_out.values())


def test_an_image_that_it_learned_from_is_left_out_with_its_subject_and_both_are_counted():
    found = unseen("filter", other_set(), Learned(frozenset({"p7"}), (), frozenset()), split="all")
    assert ids_of(found) == [f"p{place}" for place in (0, 1, 2, 4, 5, 9)]
    assert found.left_out == {"learned": 1, "copies": 0, "related": 1}


def test_of_a_subject_whose_learned_image_has_no_label_there_the_others_are_left_out():
    found = unseen("filter", other_set(), Learned(frozenset({"p3"}), (), frozenset()), split="test")
    assert ids_of(found) == ["p6", "p7"]
    assert found.left_out == {"learned": 0, "copies": 0, "related": 1}


@pytest.mark.parametrize(("bits", "left_out"), [(40, 1), (41, 0)])
def test_a_copy_under_another_id_is_left_out(bits, left_out):
    other = other_set()
    original = with_flipped_bits(other.images["phash"][6], bits)
    learned = Learned(frozenset({"elsewhere"}), (original,), frozenset())
    found = unseen("filter", other, learned, split="test")
    assert found.left_out == {"learned": 0, "copies": left_out, "related": left_out}


def test_subjects_of_the_same_name_are_counted_and_stay():
    learned = Learned(frozenset(), (), frozenset({"s1", "s0", "ada"}))
    found = unseen("filter", other_set(), learned, split="test")
    assert ids_of(found) == ["p2", "p6", "p7"]
    assert found.namesakes == 1


def contender(model, files, card):
    files = {**files, "card.json": json.dumps(card).encode()}
    return Contender(model, "1", "digest", (), "", False, (), lambda: files)


def head_filter(**card):
    """Says of an embedding (x, y, z) that x is full, y partial and z none, as surely as e to 1."""
    eye = np.eye(64, 3, dtype=np.float32)
    state = {
        "mean": np.zeros(3, np.float32),
        "spread": np.ones(3, np.float32),
        "hidden.weight": eye,
        "hidden.bias": np.zeros(64, np.float32),
        "out.weight": np.ascontiguousarray(eye.T),
        "out.bias": np.zeros(3, np.float32),
    }
    known = {**BACKBONE, "backbone": "tiny", "classes": list(FILTER_CLASSES)}
    files = {"filter_head.onnx": head_onnx(state, 1.0)}
    return contender("filter", files, {**known, **card})


def embedded(other, vectors):
    table = pl.DataFrame(
        {"image_id": other.images["image_id"], "embedding": vectors},
        schema_overrides={"embedding": pl.List(pl.Float32)},
    )
    return OtherSet(**{**vars(other), "embeddings": table, "backbone": BACKBONE})


def value_of(metrics, metric, axis="overall", name="all"):
    found = metrics.filter(
        (pl.col("metric") == metric) & (pl.col("axis") == axis) & (pl.col("slice") == name)
    )
    return found.row(0, named=True)


def test_a_filters_numbers_are_those_counted_by_hand():
    # full, partial, none; the seventh, a full one, is taken for none.
    truth = ["full", "partial", "none", "full", "full", "none", "full", "partial", "full", "none"]
    said = ["full", "partial", "none", "full", "full", "none", "none", "partial", "full", "none"]
    vectors = [[4.0 * (word == name) for name in FILTER_CLASSES] for word in said]
    other = embedded(other_set(label=truth), vectors)
    one = head_filter()
    images = unseen("filter", other, NOTHING, split="all").images
    embeddings = embeddings_for(one, other, images)
    assert embeddings is not None
    store = SimpleNamespace(fetch=None)  # the images themselves are not looked at
    judged = scored_filter_on(
        one,
        images,
        embeddings,
        Asking(store, 1.0, None, 1, 8),
        threshold=0.5,
        gate=Gate(("full",), lost_iris=3.0, failed_segmentation=1.0),
    )
    metrics = metrics_table("filter", judged, other.slices, SETTINGS)
    # full: 4 of 5 found, none called so wrongly; none: all 3 found, 1 called so wrongly.
    assert value_of(metrics, "f1_macro")["value"] == pytest.approx((8 / 9 + 1 + 6 / 7) / 3)
    assert value_of(metrics, "usable_recall")["value"] == pytest.approx(4 / 5)
    assert value_of(metrics, "cost")["value"] == pytest.approx(3 / 10)
    sure = np.exp(4) / (np.exp(4) + 2)
    error = value_of(metrics, "calibration_error")["value"]
    assert error == pytest.approx(abs(0.9 - sure), abs=1e-6)
    overall = value_of(metrics, "f1_macro")
    assert (overall["n_images"], overall["n_subjects"], overall["enough"]) == (10, 5, True)
    assert overall["low"] < overall["value"] < overall["high"]
    camera = value_of(metrics, "f1_macro", "device", "camera")
    assert (camera["n_images"], camera["n_subjects"], camera["enough"]) == (2, 1, False)
    assert camera["low"] is None
    assert {*shown_metrics("filter", ())} <= {*metrics["metric"]}


@pytest.mark.parametrize(
    "change",
    [{"weights_sha256": "1"}, {"model": "other"}, {"input_width": 8}, {"std": [0.5] * 3}],
)
def test_embeddings_of_another_backbone_do_not_count(change):
    other = embedded(other_set(), [[0.0] * 3] * 10)
    ids = other.images.select("image_id")
    assert embeddings_for(head_filter(), other, ids) is not None
    strange = OtherSet(**{**vars(other), "backbone": {**BACKBONE, **change}})
    assert embeddings_for(head_filter(), strange, ids) is None


def test_embeddings_count_only_where_every_image_has_one():
    other = embedded(other_set(), [[0.0] * 3] * 10)
    lacking = OtherSet(**{**vars(other), "embeddings": other.embeddings.head(9)})
    ids = other.images.select("image_id")
    assert embeddings_for(head_filter(), lacking, ids) is None
    assert embeddings_for(head_filter(), lacking, ids.head(9)) is not None


def test_without_embeddings_a_filter_sees_the_images(tmp_path):
    store = MemoryStore()
    # Red images are full, green ones partial, blue ones none.
    colours = np.eye(3) * 200
    ids = [store.add_png(np.full((6, 8, 3), colours[k % 3] + k, np.uint8)) for k in range(10)]
    labels = [FILTER_CLASSES[k % 3] for k in range(10)]
    other = other_set(image_id=ids, label=labels)
    one = head_filter()
    whole = contender(
        "filter",
        {"filter.onnx": averaging_filter()},
        {**BACKBONE, "backbone": "tiny", "classes": list(FILTER_CLASSES)},
    )
    images = unseen("filter", other, NOTHING, split="all").images
    assert embeddings_for(one, other, images) is None
    asking = Asking(store, 1.0, PlainWork(tmp_path).fill, 1, 4)
    gate = Gate(("full",), lost_iris=1.0, failed_segmentation=1.0)
    judged = scored_filter_on(whole, images, None, asking, threshold=0.5, gate=gate)
    metrics = metrics_table("filter", judged, other.slices.clear(), SETTINGS)
    assert value_of(metrics, "f1_macro")["value"] == 1
    assert value_of(metrics, "cost")["value"] == 0


def averaging_filter():
    """Four times the mean of each channel through a softmax."""
    tensor = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["means"], axis=1),
            helper.make_node("Mul", ["means", "four"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        "averaging",
        [helper.make_tensor_value_info("image", tensor, ["B", 3, 4, 4])],
        [helper.make_tensor_value_info("probabilities", tensor, ["B", 3])],
        [helper.make_tensor("four", tensor, [], [4.0])],
    )
    opset = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, ir_version=10, opset_imports=opset).SerializeToString()


def bright_segmenter():
    """Calls iris what is bright: logits (0, red)."""
    tensor = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [
            helper.make_node("Slice", ["image", "zero", "one", "axis"], ["red"]),
            helper.make_node("Mul", ["red", "nothing"], ["black"]),
            helper.make_node("Concat", ["black", "red"], ["logits"], axis=1),
        ],
        "bright",
        [helper.make_tensor_value_info("image", tensor, ["B", 3, 32, 32])],
        [helper.make_tensor_value_info("logits", tensor, ["B", 2, 32, 32])],
        [
            helper.make_tensor("zero", onnx.TensorProto.INT64, [1], [0]),
            helper.make_tensor("one", onnx.TensorProto.INT64, [1], [1]),
            helper.make_tensor("axis", onnx.TensorProto.INT64, [1], [1]),
            helper.make_tensor("nothing", tensor, [], [0.0]),
        ],
    )
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", OPSET)])
    store = MemoryStore()
    prior = store.read(store.add_png(np.zeros((32, 32), np.uint8)))
    card = {
        "classes": list(CLASSES),
        "input_width": 32,
        "input_height": 32,
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
    }
    files = {"segmenter.onnx": model.SerializeToString(), "prior.png": prior}
    return contender("segmenter", files, card)


def test_a_segmenters_iou_by_class_is_that_counted_by_hand(tmp_path):
    store = MemoryStore()
    ids, masks = [], []
    for place in range(10):
        image = np.zeros((32, 32, 3), np.uint8)
        image[:, :16] = 255 - place
        mask = np.zeros((32, 32), np.uint8)
        mask[:, :8] = 1  # half of what is bright
        mask[0, 0] = 255
        ids.append(store.add_png(image))
        mask[31, 31] = place % 2
        masks.append(store.add_png(mask))
    other = other_set(image_id=ids, mask_id=masks)
    one = bright_segmenter()
    check_classes(one, other)
    images = unseen("segmenter", other, NOTHING, split="all").images
    asking = Asking(store, 1.0, PlainWork(tmp_path).fill, 1, 4)
    judged = scored_by(one, images, asking, classes=CLASSES)
    metrics = metrics_table("segmenter", judged, other.slices.clear(), SETTINGS)
    # Over ten images: iris right 255 each; bright but not iris 256 each; five iris pixels dark.
    iris = 2550 / (2550 + 2560 + 5)
    background = (512 * 10 - 5) / (512 * 10 - 5 + 2560 + 5)
    assert value_of(metrics, "iou_iris")["value"] == pytest.approx(iris)
    assert value_of(metrics, "iou_background")["value"] == pytest.approx(background)
    assert value_of(metrics, "mean_iou")["value"] == pytest.approx((iris + background) / 2)
    assert shown_metrics("segmenter", CLASSES) == ("mean_iou", "iou_background", "iou_iris")


def test_truth_of_other_classes_is_refused_by_name():
    other = OtherSet(**{**vars(other_set()), "mask_classes": ("background", "sclera", "iris")})
    with pytest.raises(UntestableError, match=r"background, iris apart.*background, sclera, iris"):
        check_classes(bright_segmenter(), other)
    old = head_filter(classes=["eye", "none"])
    with pytest.raises(UntestableError, match="eye, none apart"):
        check_classes(old, other_set())
    check_classes(head_filter(), other)  # masks are no matter of the filter
