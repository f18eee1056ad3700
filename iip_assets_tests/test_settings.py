"""Settings are what iip.toml and the environment say, or a message that names what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from iip_assets import settings_file
from iip_assets.settings import Settings
from iip_assets.settings_file import SettingsError, read_settings, settings_at


def test_an_empty_file_means_the_defaults_with_a_real_device(tmp_path: Path) -> None:
    (tmp_path / "iip.toml").write_text("")
    found = read_settings(tmp_path)
    assert found.filter == Settings().filter
    assert found.compute.device in ("cpu", "cuda")


def test_a_variable_overrides_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "iip.toml").write_text('[filter]\nseed = 1\n[splits]\nsalt = "a"\n')
    monkeypatch.setenv("IIP_FILTER__SEED", "7")
    monkeypatch.setenv("IIP_SPLITS__SALT", "plain words")
    found = read_settings(tmp_path)
    assert (found.filter.seed, found.splits.salt) == (7, "plain words")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[filter]\nepochs = 0", r"filter\.epochs = 0"),
        ("[filter]\nepoch = 3", r"filter\.epoch "),
        ("[splits]\ntrain = 0.9", "must be 1"),
        ("[statistics]\nbright_above = inf", r"statistics\.bright_above"),
        ("[filter", "no valid TOML"),
    ],
    ids=["value", "word", "shares", "infinite", "toml"],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "iip.toml").write_text(text)
    with pytest.raises(SettingsError, match=named):
        read_settings(tmp_path)


def test_a_file_that_is_missing_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="iip init"):
        read_settings(tmp_path)
    (tmp_path / "iip.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="not UTF-8"):
        read_settings(tmp_path)


def test_a_variable_for_what_is_no_section_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "iip.toml").write_text("filter = 3")
    monkeypatch.setenv("IIP_FILTER__SEED", "7")
    with pytest.raises(SettingsError, match="must be a section"):
        read_settings(tmp_path)


def test_an_older_file_may_name_settings_that_are_no_more_but_not_wrong_values() -> None:
    text = "[gone]\na = 1\n[filter]\nseed = 4\nforgotten = true\n"
    assert settings_at(lambda path: text if path == "iip.toml" else "").filter.seed == 4
    with pytest.raises(SettingsError, match=r"filter\.epochs = 0"):
        settings_at(lambda _: text + "epochs = 0\n")


class Driver:
    """NVIDIA's, as `_has_gpu` asks it."""

    def __init__(self, answer: int, gpus: int) -> None:
        self.nvmlInit_v2 = lambda: answer
        self.gpus = gpus

    def nvmlDeviceGetCount_v2(self, count: object) -> int:
        count._obj.value = self.gpus
        return 0


@pytest.mark.parametrize(
    ("answer", "gpus", "visible", "found"),
    [
        pytest.param(0, 1, None, True, id="one"),
        pytest.param(0, 0, None, False, id="none"),
        pytest.param(18, 1, None, False, id="driver-of-another-version"),
        pytest.param(0, 1, "", False, id="hidden"),
    ],
)
def test_auto_means_a_gpu_only_where_its_driver_answers(
    answer: int, gpus: int, visible: str | None, found: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(settings_file.Path, "exists", lambda self: True)
    monkeypatch.setattr(settings_file.ctypes, "CDLL", lambda name: Driver(answer, gpus))
    assert settings_file._has_gpu() is found


def test_a_driver_that_is_not_installed_has_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings_file.Path, "exists", lambda self: True)
    monkeypatch.setattr(settings_file.ctypes, "CDLL", lambda name: open("/no/such/file"))  # noqa: PTH123, SIM115
    assert settings_file._has_gpu() is False
