"""iip.toml: read with the IIP_* variables over it, written for a new workspace, and changed.

A variable such as `IIP_FILTER__SEED=7` overrides a setting.
"""

from __future__ import annotations

import ctypes
import json
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from iip_assets.engine.atomic import write_text_whole
from iip_assets.errors import no_such
from iip_assets.settings import Section, Settings

_FILE = "iip.toml"
# With a byte order mark, as editors on Windows write one, or without.
_ENCODING = "utf-8-sig"
# Where comments begin, unless a line is longer.
_COMMENT_COLUMN = 30
_HEAD = (
    "# Settings of this workspace. Each asset's key holds the settings that the asset reads and no "
    "others, so a\n# change here reruns what reads it and nothing else. A variable overrides a "
    "setting: IIP_FILTER__SEED=7."
)


class SettingsError(ValueError):
    """iip.toml, or a variable over it, says something that is no setting."""


def read_settings(root: Path) -> Settings:
    """The settings of the workspace at `root`: iip.toml, then variables such as IIP_FILTER__SEED.

    `compute.device = "auto"` is resolved here, so that an asset which declares it has the device in
    its key.

    Raises:
        SettingsError: The file is missing or no TOML, or a value is not what the setting takes.
    """
    file = root / _FILE
    try:
        text = file.read_text(encoding=_ENCODING)
    except FileNotFoundError:
        raise SettingsError(f"{file} is missing; `iip init {root}` writes one") from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{file} is not UTF-8 text: {error}") from None
    return _parse(str(file), text, _overrides())


def settings_at(text_of: Callable[[str], str]) -> Settings:
    """The settings at a git revision, under the variables of now.

    Settings that are no more are left out, as whoever asks can do nothing about them.

    Args:
        text_of: Gives the text of a file of the workspace there.

    Raises:
        SettingsError: The file was no TOML, or a value was not what the setting takes.
    """
    text = text_of(_FILE).removeprefix("\ufeff")
    return _parse(_FILE, text, _overrides(), forgiving=True)


def _overrides() -> tuple[tuple[str, str], ...]:
    """Variables that override a setting."""
    return tuple(
        sorted(
            (name, value)
            for name, value in os.environ.items()
            if name.startswith("IIP_") and "__" in name
        )
    )


@lru_cache(maxsize=8)
def _parse(
    file: str, text: str, overrides: tuple[tuple[str, str], ...], *, forgiving: bool = False
) -> Settings:
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{file} is no valid TOML: {error}") from error
    for name, value in overrides:
        section, _, key = name.removeprefix("IIP_").lower().partition("__")
        if not isinstance(values.setdefault(section, {}), dict):
            raise SettingsError(f"{file}: {section} must be a section, [{section}], for {name}")
        values[section][key] = _as_toml(value, text=_takes_text(section, key))
    settings = _validate(file, values, forgiving=forgiving)
    if settings.compute.device != "auto":
        return settings
    found = settings.compute.with_found("cuda" if _has_gpu() else "cpu")
    return settings.model_copy(update={"compute": found})


def _has_gpu() -> bool:
    """Whether the driver answers and has a GPU for this process. Loads no torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible in ("", "-1") or not Path("/dev/nvidiactl").exists():
        return False
    count = ctypes.c_uint(0)
    try:
        # Unlike CUDA itself, this may be asked before a process forks.
        driver = ctypes.CDLL("libnvidia-ml.so.1")
        answered = driver.nvmlInit_v2() == 0
        answered = answered and driver.nvmlDeviceGetCount_v2(ctypes.byref(count)) == 0
    except (OSError, AttributeError):
        return False
    return answered and count.value > 0


def _validate(file: str, values: dict[str, Any], *, forgiving: bool) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        problems = error.errors()
        unknown = [one["loc"] for one in problems if one["type"] == "extra_forbidden"]
        if forgiving and unknown:
            for *sections, name in unknown:
                place = values
                for section in sections:
                    place = place[str(section)]
                del place[str(name)]
            return _validate(file, values, forgiving=False)
        lines = [
            f"  {'.'.join(str(part) for part in problem['loc'])} = "
            f"{problem['input']!r}: {_reason(problem)}"
            for problem in problems
        ]
        raise SettingsError(
            "\n".join([f"{file} (or an IIP_* variable) has wrong settings:", *lines])
        ) from None


def _reason(problem: ErrorDetails) -> str:
    """What is wrong with a value; of a name that is no setting, which may have been meant."""
    *sections, name = (str(part) for part in problem["loc"])
    if problem["type"] != "extra_forbidden":
        return problem["msg"].removeprefix("Value error, ")
    place: Any = Settings()
    for section in sections:
        place = getattr(place, section)
    return no_such("setting" if sections else "section", name, type(place).model_fields)


def _takes_text(section: str, key: str) -> bool:
    """Whether a setting is text."""
    model = Settings.model_fields[section].annotation if section in Settings.model_fields else None
    field = getattr(model, "model_fields", {}).get(key)
    return field is not None and field.annotation in (str, str | None)


def _as_toml(value: str, *, text: bool) -> Any:
    """A variable's value as TOML reads it; what is no TOML value is meant as text.

    So is what is no string in quotes, where the setting is text: `12`, `true`, `2026-01-01`.
    """
    try:
        found = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value
    return value if text and not isinstance(found, str) else found


def default_text() -> str:
    """The file of a new workspace: every setting with its default and what it means."""
    sections = [
        "\n".join([f"\n[{name}]", *_lines(name, field.get_default())])
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join([_HEAD, *sections, ""])


def _lines(name: str, section: Section) -> Iterator[str]:
    for key, field in type(section).model_fields.items():
        value, comment = getattr(section, key), field.description
        if isinstance(value, dict):
            yield "\n" + "\n".join(f"# {line}" for line in (comment or "").split("\n"))
            yield f"[{name}.{key}]"
            yield from (f"{one} = {_toml(inner)}" for one, inner in value.items())
            continue
        line = f"{key} = {_toml(value)}"
        yield f"{line:<{_COMMENT_COLUMN - 2}}  # {comment}" if comment else line


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    return json.dumps(value, ensure_ascii=False)


class Change(NamedTuple):
    """A setting, as section.name, that was changed; `before` is None where it was not set."""

    path: str
    before: Any
    after: Any

    def __str__(self) -> str:
        was = "not set" if self.before is None else repr(self.before)
        return f"{self.path} = {self.after} (was {was})"


def write_settings(root: Path, values: Mapping[str, Any]) -> list[Change]:
    """Sets values by path, such as `filter.epochs`, and says which were others.

    Comments and order stay as they are.
    """
    import tomlkit

    file = root / _FILE
    document = tomlkit.parse(file.read_text(encoding=_ENCODING))
    changed = []
    for path, value in values.items():
        section, _, key = path.partition(".")
        if section not in document:
            document[section] = tomlkit.table()
        table: Any = document[section]
        before = table.get(key)
        if before != value:
            # Tables in a list stand within its brackets: as sections they would end this one.
            table[key] = tomlkit.value(_toml(value)) if isinstance(value, list) else value
            changed.append(Change(path, before, value))
    if changed:
        write_text_whole(file, tomlkit.dumps(document))
    return changed
