"""Code keys move with the code that a function can reach, and with nothing else."""

from __future__ import annotations

import shutil
import sys
from importlib import metadata
from pathlib import Path

import grimp
import pytest

from iip_assets.engine import code_key
from iip_assets.engine.code_key import CodeKeys
from iip_assets.engine.hashing import sealed_json, unsealed_json
from iip_assets.engine.source_tree import SourceTree

FILES = {
    "__init__": "",
    "deep.__init__": "",
    "assets": '''
"""Docs."""
import functools
import json as j
from typing import TYPE_CHECKING
from demo import constants
from demo.wrap import wrapped
if TYPE_CHECKING:
    from demo.types_only import T

LIMIT = 3
TABLE = {}
TABLE["x"] = 1
OTHER = 4
print  # an expression that runs on import

def helper(x):
    return x + LIMIT

def unused():
    return OTHER

class Base:
    factor = 2

class Derived(Base):
    pass

@wrapped
def work(x):
    """Docs of work."""
    from demo.deep.lazy import compute
    return compute(helper(x)) + Derived.factor + TABLE["x"] + constants.NUMBER

def other():
    return unused()
''',
    "constants": "NUMBER = 1\n",
    "wrap": "def wrapped(f):\n    return f\n",
    "types_only": "T = int\n",
    "deep.lazy": "from ..deeper import base\nimport polars\nimport numpy\n\n"
    "def compute(x):\n    return base(x) + polars.lit(1)\n",
    "deeper": "def base(x):\n    return x\n",
    "lonely": "x = 1\n",
}


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    folder = tmp_path / "demo"
    for name, text in FILES.items():
        file = folder / Path(*name.split(".")).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


def key(folder: Path, name: str = "work") -> str:
    return CodeKeys("demo", folder).of_name("demo.assets", name).key


def edit(folder: Path, module: str, old: str, new: str) -> None:
    file = folder / Path(*module.split(".")).with_suffix(".py")
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("assets", "LIMIT = 3", "LIMIT = 4"),
        ("assets", "return x + LIMIT", "return x - LIMIT"),
        ("assets", "factor = 2", "factor = 3"),
        ("assets", 'TABLE["x"] = 1', 'TABLE["x"] = 2'),
        ("assets", "    pass", "    extra = 1"),
        ("assets", "@wrapped\n", ""),
        ("assets", "print  #", "repr  #"),
        ("constants", "1", "2"),
        ("wrap", "return f", "return [f][0]"),
        ("deep.lazy", "base(x) +", "base(x) * 2 +"),
        ("deeper", "return x", "return x + 1"),
        ("deep.__init__", "", "import os\nos.environ['LEVEL'] = '1'\n"),
    ],
    ids=lambda value: str(value).strip().replace("\n", " ")[:24],
)
def test_an_edit_of_reached_code_moves_the_key(demo: Path, module: str, old: str, new: str) -> None:
    before = key(demo)
    edit(demo, module, old, new)
    assert key(demo) != before


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("assets", '"""Docs of work."""', '"""Other docs."""'),
        ("assets", '"""Docs."""', ""),
        ("assets", "OTHER = 4", "OTHER = 5"),
        ("assets", "return OTHER", "return 7"),
        ("assets", "# an expression that runs on import", "# comment"),
        ("assets", "x + LIMIT", "(x\n     + LIMIT)"),
        ("types_only", "int", "str"),
        ("lonely", "1", "2"),
        ("deeper", "def base(x):\n", "# why\ndef base(x):\n\n"),
    ],
    ids=lambda value: str(value).strip().replace("\n", " ")[:24],
)
def test_an_edit_of_anything_else_does_not(demo: Path, module: str, old: str, new: str) -> None:
    before = key(demo)
    edit(demo, module, old, new)
    assert key(demo) == before


def test_third_party_packages_count_by_major_and_minor_version(demo: Path) -> None:
    found = CodeKeys("demo", demo).of_name("demo.assets", "work")
    assert set(found.packages) == {"polars"}
    assert found.packages["polars"].count(".") == 1


def test_the_framework_does_not_count(demo: Path) -> None:
    keys = CodeKeys("demo", demo, framework=["demo.deep"])
    found = keys.of_name("demo.assets", "work")
    assert not any(module.startswith("demo.deep") for module in found.modules)


def test_a_parameter_called_like_an_asset_is_not_that_assets_code(demo: Path) -> None:
    edit(demo, "assets", "def other():", "def below(work):\n    return work\n\ndef other():")
    before = key(demo, "below")
    edit(demo, "assets", "return compute(helper(x))", "return compute(helper(x)) + 1")
    assert key(demo, "below") == before
    edit(demo, "assets", "def below(work):", "def below(work=work):")
    assert key(demo, "below") != before


def test_a_function_without_a_name_of_its_own_is_refused(demo: Path) -> None:
    with pytest.raises(ValueError, match="top of its module"):
        CodeKeys("demo", demo).of(lambda: None)
    with pytest.raises(ValueError, match="no function 'missing'"):
        CodeKeys("demo", demo).of_name("demo.assets", "missing")


def test_a_cache_gives_the_same_keys_and_a_damaged_one_is_ignored(
    demo: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "keys.json"
    fresh = CodeKeys("demo", demo, cache=cache).of_name("demo.assets", "work")
    assert CodeKeys("demo", demo, cache=cache).of_name("demo.assets", "work") == fresh
    cache.write_text("{")
    assert CodeKeys("demo", demo, cache=cache).of_name("demo.assets", "work") == fresh
    edit(demo, "deeper", "return x", "return x + 1")
    assert CodeKeys("demo", demo, cache=cache).of_name("demo.assets", "work") != fresh


def test_a_cache_that_cannot_be_written_is_done_without(demo: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = tmp_path / "file" / "keys.json"
    found = CodeKeys("demo", demo, cache=cache).of_name("demo.assets", "work")
    assert found == CodeKeys("demo", demo).of_name("demo.assets", "work")


def test_what_an_asset_reaches_is_within_what_grimp_says() -> None:
    """An independent reader of imports agrees, for every asset of this very package."""
    import iip_assets
    from iip_assets.graph import ASSETS, FRAMEWORK

    keys = CodeKeys("iip_assets", Path(iip_assets.__file__).parent, framework=FRAMEWORK)
    known = grimp.build_graph("iip_assets", exclude_type_checking_imports=True, cache_dir=None)
    for asset in ASSETS:
        module = asset.function.__module__
        reached = {name for name in keys.of(asset.function).modules if ":" not in name}
        packages = {"iip_assets", *(name.rpartition(".")[0] for name in reached | {module})}
        assert reached <= known.find_upstream_modules(module) | packages, asset.name


def test_a_cache_of_keys_that_were_formed_otherwise_is_not_believed(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "keys.json"
    fresh = CodeKeys("demo", demo, cache=cache).of_name("demo.assets", "work")
    kept = unsealed_json(cache.read_text())
    kept["keys"]["demo.assets:work"]["imports"] = ["numpy"]
    cache.write_text(sealed_json(kept))
    assert CodeKeys("demo", demo, cache=cache).of_name("demo.assets", "work") != fresh
    monkeypatch.setattr("iip_assets.engine.source_tree._VERSION", 99)
    assert CodeKeys("demo", demo, cache=cache).of_name("demo.assets", "work") == fresh


def test_a_cache_that_was_edited_is_not_believed(demo: Path, tmp_path: Path) -> None:
    cache = tmp_path / "keys.json"
    fresh = CodeKeys("demo", demo, cache=cache).of_name("demo.assets", "work")
    cache.write_text(cache.read_text().replace('"polars"', '"numpy"'))
    assert CodeKeys("demo", demo, cache=cache).of_name("demo.assets", "work") == fresh


def test_a_second_distribution_of_a_name_counts_with_and_without_the_cache(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, cache = tmp_path / "site", tmp_path / "keys.json"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    at_work = CodeKeys("demo", demo, cache=cache)
    before = at_work.of_name("demo.assets", "work")
    assert before.packages.keys() == {"polars"}
    second = site / "polars_twin-7.5.0.dist-info"
    for made in (True, False):
        if made:
            second.mkdir()
            (second / "METADATA").write_text("Name: polars-twin\nVersion: 7.5.0\n")
            (second / "top_level.txt").write_text("polars\n")
        else:
            shutil.rmtree(second)
        found = [
            CodeKeys("demo", demo, cache=cache).of_name("demo.assets", "work"),
            CodeKeys("demo", demo).of_name("demo.assets", "work"),
            at_work.of_name("demo.assets", "work"),
        ]
        assert found[0] == found[1] == found[2]
        assert ("polars-twin" in found[0].packages) is made
        assert (found[0].key == before.key) is not made


def test_python_of_another_version_is_other_code(
    demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = SourceTree("demo", demo, ()).digest
    monkeypatch.setattr(sys, "version_info", (3, 99))
    assert SourceTree("demo", demo, ()).digest != before


def test_what_an_editor_leaves_beside_a_module_is_no_module(demo: Path) -> None:
    """Emacs marks an open file by a link to nowhere, `.#name.py`."""
    before = key(demo)
    (demo / ".#assets.py").symlink_to("user@host.1:1")
    assert key(demo) == before


def test_a_key_is_of_the_code_that_the_cache_names(demo: Path, tmp_path: Path) -> None:
    """An edit between the look at the files and their parsing gives no old tree a new key."""
    cache = tmp_path / "keys.json"
    first = key(demo)
    keys = CodeKeys("demo", demo, cache=cache)
    keys.of_name("demo.deeper", "base")  # has looked; assets.py is not parsed yet
    keys._sync = lambda: edit(demo, "assets", "LIMIT = 3", "LIMIT = 4")
    keys.of_name("demo.assets", "work")
    assert key(demo) != first
    edit(demo, "assets", "LIMIT = 4", "LIMIT = 3")
    assert CodeKeys("demo", demo, cache=cache).of_name("demo.assets", "work").key == first


def test_a_package_that_was_absent_counts_once_it_is_there(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, cache = key(demo), tmp_path / "keys.json"
    with monkeypatch.context() as absent:
        absent.setattr(code_key, "_providers", lambda environment: {})
        absent.setattr(metadata, "version", _not_there)
        missing = CodeKeys("demo", demo, cache=cache).of_name("demo.assets", "work")
        assert missing.packages == {"polars": "absent"}
    assert CodeKeys("demo", demo, cache=cache).of_name("demo.assets", "work").key == before


def _not_there(name: str) -> str:
    raise metadata.PackageNotFoundError(name)
