import hashlib
import json
import pickle
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import onnx
import pytest
import timm
import torch
from safetensors.torch import save

from iip_assets.embeddings.backbone import (
    PACKAGED_MODEL,
    build_backbone,
    checkpoint_weights,
    load_network,
    packaged_weights,
    restore_backbone,
    timm_name,
    weights_digest,
)
from iip_assets.embeddings.onnx_export import ExportError, check_equal
from iip_assets.embeddings.onnx_session import open_session, run
from iip_assets.images.letterbox import letterbox_image

MILITARY_UNIFORM = 652  # of ImageNet's thousand classes


@pytest.fixture(scope="module")
def officer():
    """A rear admiral in uniform, (1, 3, 224, 224): an image that matplotlib brings along."""
    path = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    image = letterbox_image(cv2.imread(str(path), cv2.IMREAD_COLOR_RGB), 224, 224)
    return torch.from_numpy(image.astype(np.float32).transpose(2, 0, 1)[None] / 127.5 - 1)


def test_a_known_image_gets_its_known_class(officer):
    network = load_network(PACKAGED_MODEL, classifier=True)
    with torch.inference_mode():
        shares = network(officer).softmax(1)[0]
    assert int(shares.argmax()) == MILITARY_UNIFORM
    assert float(shares[MILITARY_UNIFORM]) > 0.5


def test_the_look_alike_architecture_takes_the_weights_and_gives_other_numbers(officer):
    state = packaged_weights()
    wrong = timm.create_model("efficientnet_lite0", num_classes=0)
    wrong.load_state_dict({k: v for k, v in state.items() if not k.startswith("classifier")})
    with torch.inference_mode():
        right = load_network(PACKAGED_MODEL)(officer)
        other = wrong.eval()(officer)
    assert float(torch.cosine_similarity(right, other)) < 0.95


def test_the_look_alike_architecture_is_refused():
    with pytest.raises(ValueError, match="tf_efficientnet_lite0"):
        load_network("efficientnet_lite0")


def test_an_unknown_model_is_answered_with_names_like_it():
    with pytest.raises(ValueError, match="resnet18"):
        load_network("resnet1")


def test_the_exported_file_gives_torchs_numbers(backbone, officer):
    with torch.inference_mode():
        expected = load_network(PACKAGED_MODEL)(officer).numpy()
        restored = restore_backbone(backbone)(officer).numpy()
    found = run(open_session(backbone["backbone.onnx"], threads=1), officer.numpy())
    assert found.shape == (1, 1280)
    assert np.abs(found - expected).max() < 1e-4
    assert (restored == expected).all()


def test_a_file_that_gives_other_numbers_is_refused(backbone):
    example = np.zeros((2, 3, 224, 224), np.float32)
    found = run(open_session(backbone["backbone.onnx"], threads=1), example)
    check_equal(backbone["backbone.onnx"], example, found)
    with pytest.raises(ExportError, match="differ by"):
        check_equal(backbone["backbone.onnx"], example, found * 1.001 + 0.001)


def test_the_card_says_what_the_network_expects(backbone):
    card = json.loads(backbone["card.json"])
    assert (card["model"], card["dimensions"]) == (PACKAGED_MODEL, 1280)
    assert (card["input_width"], card["input_height"]) == (224, 224)
    assert card["mean"] == card["std"] == [0.5, 0.5, 0.5]


def test_images_can_be_fitted_into_a_smaller_input(backbone, tmp_path):
    small = build_backbone(
        PACKAGED_MODEL,
        checkpoint="packaged",
        checkpoint_sha256="",
        root=tmp_path,
        width=128,
        height=96,
    )
    card, own = json.loads(small["card.json"]), json.loads(backbone["card.json"])
    assert (card["input_width"], card["input_height"]) == (128, 96)
    assert card["weights_sha256"] == own["weights_sha256"]
    example = np.random.default_rng(0).normal(size=(2, 3, 96, 128)).astype(np.float32)
    found = run(open_session(small["backbone.onnx"], threads=1), example)
    with torch.inference_mode():
        expected = load_network(PACKAGED_MODEL)(torch.from_numpy(example)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_model_of_one_size_says_so(tmp_path):
    name = "test_vit"
    network = timm.create_model(name, pretrained=False)
    (tmp_path / "own.safetensors").write_bytes(save(network.state_dict()))
    digest = hashlib.sha256((tmp_path / "own.safetensors").read_bytes()).hexdigest()
    with pytest.raises(ValueError, match=r"takes images of 160×160 alone, not of 128×96"):
        build_backbone(
            name,
            checkpoint="own.safetensors",
            checkpoint_sha256=digest,
            root=tmp_path,
            width=128,
            height=96,
        )


def test_the_exported_file_names_no_path_of_this_machine(backbone):
    model = onnx.load_from_string(backbone["backbone.onnx"])
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    assert str(Path(timm.__file__).parent).encode() not in backbone["backbone.onnx"]


def test_a_checkpoint_of_another_model_is_refused(tmp_path, backbone):
    data = backbone["backbone.safetensors"]
    (tmp_path / "own.safetensors").write_bytes(data)
    with pytest.raises(RuntimeError, match="state_dict"):
        build_backbone(
            "resnet18",
            checkpoint="own.safetensors",
            checkpoint_sha256=hashlib.sha256(data).hexdigest(),
            root=tmp_path,
        )


def test_the_packaged_weights_have_exactly_the_names_and_shapes_of_timms_model():
    network = timm.create_model(PACKAGED_MODEL, pretrained=False)
    wanted = {name: t.shape for name, t in network.state_dict().items()}
    assert {name: t.shape for name, t in packaged_weights().items()} == wanted


@pytest.mark.parametrize("name", ["_blocks.16._bn0.weight", "_blocks.0._expand_conv.weight", "x.y"])
def test_a_layer_that_the_architecture_lacks_is_named(name):
    with pytest.raises(ValueError, match=r"16 blocks|lacks"):
        timm_name(name)


def test_a_checkpoint_of_the_workspace_is_read(tmp_path):
    data = save({"a": torch.arange(3.0)})
    (tmp_path / "own.safetensors").write_bytes(data)
    state = checkpoint_weights(tmp_path, "own.safetensors", hashlib.sha256(data).hexdigest())
    assert state["a"].tolist() == [0, 1, 2]


def test_other_weights_under_the_same_name_are_refused_and_the_new_hash_is_told(tmp_path):
    data = save({"a": torch.zeros(1)})
    (tmp_path / "own.safetensors").write_bytes(data)
    with pytest.raises(ValueError, match=hashlib.sha256(data).hexdigest()):
        checkpoint_weights(tmp_path, "own.safetensors", "0" * 64)


def test_a_pickle_is_refused_unread(tmp_path):
    (tmp_path / "own.pth").write_bytes(pickle.dumps(print))
    with pytest.raises(ValueError, match="safetensors"):
        checkpoint_weights(tmp_path, "own.pth", "")


def test_a_checkpoint_outside_the_workspace_is_refused(tmp_path):
    (tmp_path / "own.safetensors").write_bytes(save({"a": torch.zeros(1)}))
    (tmp_path / "workspace").mkdir()
    with pytest.raises(ValueError, match="inside the workspace"):
        checkpoint_weights(tmp_path / "workspace", "../own.safetensors", "")


def test_a_missing_checkpoint_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"own\.safetensors"):
        checkpoint_weights(tmp_path, "own.safetensors", "")


def test_a_digest_follows_values_and_names():
    one = weights_digest({"a": torch.zeros(2)})
    assert one == weights_digest({"a": torch.zeros(2)})
    assert (
        len({one, weights_digest({"b": torch.zeros(2)}), weights_digest({"a": torch.ones(2)})}) == 3
    )
