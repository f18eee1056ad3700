"""Settings are what iip.toml and the environment say, or a message that names what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

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
        ("[filter]\nepoch = 3", r"filter\.epoch = 3: .* 'epoch'; did you mean epochs\?"),
        ("[filtre]\nepochs = 3", r"no section 'filtre'; did you mean filter\?"),
        ("[filter]\nx = 3", r"no setting 'x'; there are train, network"),
        ("[statistics]\ndark_below = 190", r"dark_below = 190 is above bright_above = 185"),
        ("[statistics]\nbright_above = 60", r"dark_below = 70 is above bright_above = 60"),
        ("[statistics]\nplain_background_below = 0.3", "0.3 is above cluttered_background_above"),
        ("[slices]\nage_bands = [0, 30, 18]", r"age_bands must ascend"),
        ("[slices]\nage_bands = []", r"age_bands must ascend"),
        ("[splits]\ntrain = 0.9", "must be 1"),
        ("[statistics]\nbright_above = inf", r"statistics\.bright_above"),
        ("[filter", "no valid TOML"),
    ],
    ids=[
        *("value", "nearly a setting", "nearly a section", "word", "dark above bright"),
        *("bright below dark", "plain above cluttered", "bands", "no bands", "shares", "infinite"),
        "toml",
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
