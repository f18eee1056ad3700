"""Settings are what iip.toml and the environment say, or a message that names what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from iip_assets import settings_file
from iip_assets.engine.workspace import keyed_settings
from iip_assets.settings import Settings
from iip_assets.settings_file import (
    SettingsError,
    default_text,
    read_settings,
    settings_at,
    write_settings,
)


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
        ("[filter]\nepoch = 3", r"filter\.epoch = 3: .* 'epoch'; did you mean epochs\?"),
        ("[filtre]\nepochs = 3", r"no section 'filtre'; did you mean filter\?"),
        ("[filter]\nx = 3", r"no setting 'x'; there are train, network"),
        ('[dataset]\nmask_classes = ["a", "iris", "Iris"]', r"mask_classes must be .* each once"),
        ("[dataset]\nmask_classes = []", r"mask_classes must be 2 to 255 names"),
        ("[statistics]\ndark_below = 190", r"dark_below = 190 is above bright_above = 185"),
        ("[statistics]\nbright_above = 60", r"dark_below = 70 is above bright_above = 60"),
        ("[statistics]\nplain_background_below = 0.3", "0.3 is above cluttered_background_above"),
        ("[slices]\nage_bands = [0, 30, 18]", r"age_bands must ascend"),
        ("[slices]\nage_bands = []", r"age_bands must ascend"),
        ("[splits]\ntrain = 0.9", "must be 1"),
        ("[statistics]\nbright_above = inf", r"statistics\.bright_above"),
        ("[filter", "no valid TOML"),
        ("[ingest.vocabulary]\nsex = {}", r"ingest\.vocabulary\.sex"),
        ("[ingest.vocabulary]\ngender = { female = 'f' }", r"vocabulary\.gender\.female"),
    ],
    ids=[
        *("value", "nearly a setting", "nearly a section", "word", "class twice", "no class"),
        "dark above bright",
        *("bright below dark", "plain above cluttered", "bands", "no bands", "shares", "infinite"),
        *("toml", "column", "synonyms"),
    ],
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


def test_a_variable_of_a_setting_that_is_a_list_is_a_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "iip.toml").write_text("")
    monkeypatch.setenv("IIP_DATASET__MASK_CLASSES", '["background", "iris"]')
    assert read_settings(tmp_path).dataset.mask_classes == ("background", "iris")


@pytest.mark.parametrize("word", ["12", "true", "1.5", "2026-01-01", "[1]", "'quoted'"])
def test_a_variable_of_a_setting_that_is_text_is_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    (tmp_path / "iip.toml").write_text("")
    monkeypatch.setenv("IIP_SPLITS__SALT", word)
    monkeypatch.setenv("IIP_ALARMS__WEBHOOK", word)
    found = read_settings(tmp_path)
    assert found.splits.salt == found.alarms.webhook == word.strip("'")


def test_the_file_of_a_new_workspace_says_what_holds_without_it(tmp_path: Path) -> None:
    (tmp_path / "iip.toml").write_text(default_text(), encoding="utf-8")
    said = read_settings(tmp_path)
    (tmp_path / "iip.toml").write_text("")
    assert said == read_settings(tmp_path)


def test_a_byte_order_mark_is_no_matter_and_is_gone_once_the_file_is_written(
    tmp_path: Path,
) -> None:
    text = "\ufeff[filter]\nseed = 4  # ours\n"
    file = tmp_path / "iip.toml"
    file.write_text(text, encoding="utf-8")
    assert read_settings(tmp_path).filter.seed == 4
    assert settings_at(lambda _: text).filter.seed == 4
    write_settings(tmp_path, {"filter.seed": 5})
    assert file.read_bytes() == b"[filter]\nseed = 5  # ours\n"


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


def test_sections_in_a_list_are_written_within_it_read_again_and_keyed(tmp_path):
    (tmp_path / "iip.toml").write_text(default_text())
    pairs = [{"axis": "ethnicity", "group": 'a "b"'}, {"axis": "gender", "group": "c"}]
    write_settings(
        tmp_path, {"filter_remedy.pairs": pairs, "filter_remedy.recall": {"gender": {"c": 0.9}}}
    )
    settings = read_settings(tmp_path)
    assert [one.group for one in settings.filter_remedy.pairs] == ['a "b"', "c"]
    assert settings.filter_remedy.weight == 1.0
    keyed = json.loads(json.dumps(keyed_settings(settings, ["filter_remedy"])))
    assert [one["axis"] for one in keyed["filter_remedy"]["pairs"]] == ["ethnicity", "gender"]
