import pytest

from iip_assets.embeddings import device


def test_auto_takes_a_gpu_only_where_there_is_one(monkeypatch):
    monkeypatch.setattr(device, "_has_cuda", lambda: False)
    assert device.resolve_device("auto") == "cpu"
    monkeypatch.setattr(device, "_has_cuda", lambda: True)
    assert device.resolve_device("auto") == "cuda"
    assert device.resolve_device("cpu") == "cpu"


def test_a_gpu_asked_for_by_name_must_be_there(monkeypatch):
    monkeypatch.setattr(device, "_has_cuda", lambda: False)
    with pytest.raises(RuntimeError, match="'auto' or 'cpu'"):
        device.resolve_device("cuda")


def test_threads_that_are_named_are_taken_and_none_means_all_cores():
    assert device.core_count(3) == 3
    assert device.core_count(0) >= 1
