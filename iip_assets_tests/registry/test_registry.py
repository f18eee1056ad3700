import signal
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from iip_assets.registry.registry import (
    Registry,
    RegistryError,
    load_registry,
    observe_registry,
    read_registry,
)
from iip_assets.registry.registry_state import DamagedVersionError

FACTS = {"asset": "segmentation_model", "action_key": "k", "data_revision": "d"}


def register(root, word, model="segmenter"):
    return Registry(root).register(
        model, {"card.json": word.encode()}, digest=word * 8, facts={**FACTS, "word": word}
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A registry with three versions of the segmenter."""
    root = tmp_path_factory.mktemp("registry")
    for word in ("one", "two", "three"):
        register(root, word)
    return root


def test_where_nothing_was_registered_the_registry_is_empty(tmp_path):
    state = read_registry(tmp_path)
    assert (state.versions, state.moves) == ((), ())
    assert not list(tmp_path.iterdir())


def test_a_version_keeps_its_files_and_facts_and_the_same_model_is_one_version(root):
    again = register(root, "two")
    assert again.number == 2
    assert again.files() == {"card.json": b"two"}
    assert again.facts["word"] == "two"
    assert [one.number for one in read_registry(root).of("segmenter")] == [1, 2, 3]
    assert read_registry(root).of("filter") == ()


@pytest.mark.parametrize("damage", ["flipped", "exchanged", "gone"])
@pytest.mark.parametrize("name", ["segmenter.onnx", "card.json"])
def test_a_file_that_is_not_what_was_registered_is_refused_by_name(empty_registry, name, damage):
    files = {"segmenter.onnx": b"network", "card.json": b"{}"}
    made = Registry(empty_registry).register("segmenter", files, digest="one" * 8, facts=FACTS)
    file, data = made.folder / name, files[name]
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(bytes([data[0] ^ 1, *data[1:]]) if damage == "flipped" else b"another")
    version = Registry(empty_registry).version("segmenter", 1)
    with pytest.raises(DamagedVersionError, match=f"{name} is .*, so segmenter 1 cannot be used"):
        version.files()
    with pytest.raises(DamagedVersionError, match="so segmenter 1 cannot be used"):
        Registry(empty_registry).move("segmenter", "champion", 1, reason="")
    assert read_registry(empty_registry).moves == ()
    file.write_bytes(data)
    assert version.files() == files


def test_another_threshold_is_another_version_and_each_is_one(empty_registry):
    numbers = [
        Registry(empty_registry)
        .register(
            "filter",
            {"card.json": b"one", "facts.json": str(threshold).encode()},
            digest="one" * 8,
            facts={**FACTS, "threshold": threshold, "usable": ["full"]},
            serving=("threshold", "usable"),
        )
        .number
        for threshold in (0.25, 0.5, 0.25, 0.5)
    ]
    assert numbers == [1, 2, 1, 2]
    versions = read_registry(empty_registry).of("filter")
    assert [one.facts["threshold"] for one in versions] == [0.25, 0.5]
    assert [one.files()["facts.json"] for one in versions] == [b"0.25", b"0.5"]


def test_mlflow_sees_what_we_see(root):
    from iip_assets.registry.registry import _client

    client = _client(root)
    Registry(root).move("segmenter", "challenger", 2, reason="try")
    by_mlflow = client.get_model_version_by_alias("segmenter", "challenger")
    ours = read_registry(root).holder("segmenter", "challenger")
    assert ours is not None
    assert (int(by_mlflow.version), by_mlflow.tags["digest"]) == (ours.number, ours.digest)
    assert by_mlflow.source == ours.folder.as_uri()
    found = client.search_model_versions("name='segmenter'")
    assert {int(one.version) for one in found} == {1, 2, 3}


def test_what_was_changed_through_mlflow_itself_is_seen(tmp_path):
    from iip_assets.registry.registry import _client

    register(tmp_path, "one")
    client = _client(tmp_path)
    client.set_registered_model_alias("segmenter", "champion", "1")
    holder = read_registry(tmp_path).holder("segmenter", "champion")
    assert holder is not None
    client.delete_registered_model_alias("segmenter", "champion")
    assert read_registry(tmp_path).holder("segmenter", "champion") is None


def exchanged(text):
    return text.replace('"word": "one"', '"word": "two"').encode()


@pytest.mark.parametrize("damage", [b"", b"{", b'{"mark": 1}', None, exchanged])
def test_without_its_copy_the_registry_is_read_from_mlflow(tmp_path, damage):
    register(tmp_path, "one")
    kept = tmp_path / "registry" / "state.json"
    before, text = read_registry(tmp_path), kept.read_text()
    if damage is None:
        kept.unlink()
    else:
        kept.write_bytes(exchanged(text) if damage is exchanged else damage)
    assert read_registry(tmp_path) == before
    # To look changes nothing, so that the copy holds from now on.
    assert kept.read_text() == text


def test_moves_are_kept_with_who_when_and_why_and_can_be_taken_back(root):
    registry = Registry(root)
    before = datetime.now(UTC)
    for number in (1, 2, 3):
        registry.move("segmenter", "champion", number, reason=f"try {number}", who="ada")
    assert registry.roll_back("segmenter", "champion", reason="worse", who="bob").after == 2
    assert registry.roll_back("segmenter", "champion", reason="still", who="bob").after == 1
    with pytest.raises(RegistryError, match="nothing to go back to"):
        registry.roll_back("segmenter", "champion", reason="", who="bob")
    moves = [one for one in read_registry(root).moves if one.alias == "champion"]
    assert [(one.before, one.after, one.back) for one in moves] == [
        (None, 1, False),
        (1, 2, False),
        (2, 3, False),
        (3, 2, True),
        (2, 1, True),
    ]
    assert [one.who for one in moves] == ["ada"] * 3 + ["bob"] * 2
    assert all(before <= one.at <= datetime.now(UTC) for one in moves)
    holder = read_registry(root).holder("segmenter", "champion")
    assert holder is not None
    assert holder.number == 1


@pytest.mark.parametrize(
    ("number", "alias", "words"),
    [(9, "champion", "no version 9"), (1, "king", "no alias"), (1, "champion", "already")],
)
def test_what_cannot_be_moved_is_told(root, number, alias, words):
    registry = Registry(root)
    if read_registry(root).holder("segmenter", "champion") is None:
        registry.move("segmenter", "champion", 1, reason="")
    with pytest.raises(RegistryError, match=words):
        registry.move("segmenter", alias, number, reason="")


def test_a_move_that_was_killed_halfway_is_ended_by_the_next_who_writes(empty_registry):
    for word in ("one", "two"):
        register(empty_registry, word)
    Registry(empty_registry).move("segmenter", "champion", 1, reason="first")
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from iip_assets.registry import registry\n"
        "registry._set_alias = lambda client, move: os.kill(os.getpid(), signal.SIGKILL)\n"
        "registry.Registry(Path(sys.argv[1])).move('segmenter', 'champion', 2, reason='second')\n"
    )
    command = [sys.executable, "-Wignore", "-c", code, str(empty_registry)]
    assert subprocess.run(command, check=False, timeout=300).returncode == -signal.SIGKILL
    assert read_registry(empty_registry).moves[-1].after == 2
    register(empty_registry, "three")
    holder = read_registry(empty_registry).holder("segmenter", "champion")
    assert holder is not None
    assert holder.number == 2


def test_files_of_a_version_that_was_never_named_are_taken_up(tmp_path):
    (tmp_path / "registry" / "segmenter").mkdir(parents=True)
    # Another was killed after it had written the files.
    left = tmp_path / "registry" / "segmenter" / ("one" * 8)[:16]
    left.mkdir()
    (left / "card.json").write_bytes(b"half of it")
    assert register(tmp_path, "one").files() == {"card.json": b"one"}


def test_the_source_moves_with_versions_and_aliases_and_with_nothing_else(tmp_path):
    empty = observe_registry(tmp_path)
    register(tmp_path, "one")
    first = observe_registry(tmp_path)
    assert first != empty
    register(tmp_path, "one")
    assert observe_registry(tmp_path) == first
    Registry(tmp_path).move("segmenter", "champion", 1, reason="")
    deployed = observe_registry(tmp_path)
    assert deployed != first
    assert load_registry(tmp_path, deployed).of("segmenter")[0].aliases == ("champion",)
    with pytest.raises(LookupError, match="changed meanwhile"):
        load_registry(tmp_path, first)


def test_a_look_loads_no_mlflow(root):
    code = (
        "import sys; from pathlib import Path; "
        "from iip_assets.registry.registry import observe_registry; "
        f"observe_registry(Path({str(root)!r})); print('mlflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
