import hashlib
import pickle

import pytest
import timm
import torch
from safetensors.torch import save

from iip_assets.embeddings.weights import (
    PACKAGED_MODEL,
    checkpoint_weights,
    packaged_weights,
    timm_name,
    weights_digest,
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
