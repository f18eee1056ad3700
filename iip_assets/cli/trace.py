"""`iip trace`: where a value comes from, and what became of an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iip_assets.cli.common import AsJson, open_refresher, print_json, stdout_kept_clean
from iip_assets.dataset.schema import ANNOTATIONS_FILE
from iip_assets.engine.workspace import flat_settings

if TYPE_CHECKING:
    from rich.tree import Tree

_DIGITS = 12
_MOST_COMMITS = 5
_MOST_SETTINGS = 12

Record = Mapping[str, Any]


def trace(
    what: Annotated[
        str,
        typer.Argument(
            help="An asset or model, the beginning of a data version or of an image id, or the "
            "path of an image under data/."
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Show where a value comes from, back to the label rows; of an image, which models saw it."""
    project = open_refresher().project
    with stdout_kept_clean():
        from iip_assets.provenance.trace import Archive, ImageTrace, find_target, trace_value

        archive = Archive.open(project)
        target = find_target(archive, what)
        is_image = isinstance(target, ImageTrace)
        found = target.as_json() if isinstance(target, ImageTrace) else trace_value(archive, target)
    if as_json:
        print_json(found)
        return
    from rich.console import Console

    tree = _image_tree(found) if is_image else _value_tree(found)
    Console(highlight=False).print(tree)


def _value_tree(trace: Record) -> Tree:
    """Every step above a value, each once, and the data with its labelers."""
    steps = {step["asset"]: step for step in trace["steps"]}
    kind = "what is materialized now" if trace["present"] else "an older value"
    tree = _add(None, (trace["asset"], "bold"), f" {trace['data_version'][:_DIGITS]} ({kind})")
    _grow(tree, steps[trace["asset"]], steps, set(), trace["data"])
    return tree


def _image_tree(trace: Record) -> Tree:
    """What is said of an image, where it stands, and which models saw it."""
    image = trace["image"]
    gone = "" if trace["in_present_data"] else " (no more in the present data)"
    name = (f"image {trace['image_id']}", "bold")
    tree = _add(None, name, f" {image['path']}", (gone, "yellow"))
    known = _add(tree, "what is known of it")
    for fact, value in image.items():
        if value is not None and fact not in ("image_id", "path", "tags"):
            _add(known, f"{fact}: {value}")
    rows = _add(tree, f"label rows: {len(trace['label_rows'])}")
    for row in trace["label_rows"]:
        beside = row.get("file") == ANNOTATIONS_FILE
        counts = "counts" if row["current"] else "an annotation" if beside else "replaced"
        _add(
            rows,
            f"{row['label'] or 'no label'} in batch {row['batch']} by "
            f"{row['labeler'] or 'labeler not known'} ({counts}); labeling instructions "
            f"{_short(row['labeling_md5'])}",
        )
    split, training = trace["split"], trace["training_set"]
    if split is not None:
        _add(tree, f"split {split['split']}, group {_short(split['group_id'])}")
    if training is not None:
        cell = training["cell"] or "not known"
        _add(tree, f"training set: weight {training['weight']:.3g}; cell {cell}")
    for row in trace["quarantine"]:
        words = f"quarantined {row['what']}: {row['reason']}; {row['fix']}"
        _add(tree, words, style="yellow")
    _add_models(tree, trace["models"])
    _add_commits(tree, trace["data"])
    return tree


def _add(tree: Tree | None, *parts: str | tuple[str, str], style: str = "") -> Tree:
    """A new tree, or a branch; a pair is a text and its style. Nothing is read as markup."""
    from rich.text import Text
    from rich.tree import Tree as NewTree

    label = Text.assemble(*parts)
    return NewTree(label) if tree is None else tree.add(label, style=style)


def _grow(tree: Tree, step: Record, steps: Record, shown: set[str], data: Record | None) -> None:
    """Adds a step's facts and, below it, the steps that it was made of."""
    shown.add(step["asset"])
    for line in _step_lines(step):
        _add(tree, line, style="dim")
    for name, version in step["inputs"].items():
        if name in steps and steps[name]["data_version"] == version:
            if name in shown:
                _add(tree, f"{name} {version[:_DIGITS]} (above)")
            else:
                branch = _add(tree, (name, "bold"), f" {version[:_DIGITS]}")
                _grow(branch, steps[name], steps, shown, data)
        elif data is not None and version == data["data_version"]:
            _add_data(tree, name, data, shown)
        elif "(reader)" not in name:
            _add(tree, f"{name} {version[:_DIGITS]} (its record is gone)")


def _step_lines(step: Record) -> list[str]:
    commit = (step["git_commit"] or "none")[:_DIGITS]
    # The mark of uncommitted changes stands after the hash.
    edited = " with uncommitted changes" if (step["git_commit"] or "").endswith("+") else ""
    lines = [
        f"made {step['made_at'] or 'at a time that was not kept'} in {step['seconds']} s, "
        f"commit {commit}{edited}",
        f"code {step['code_key'][:_DIGITS]} of {len(step['modules'])} modules; "
        + ", ".join(f"{name} {version}" for name, version in sorted(step["packages"].items())),
    ]
    machine = step["machine"]
    if machine:
        threads = machine.get("threads") or machine.get("cores")
        lines.append(f"on {machine.get('cpu') or 'a processor'} with {threads} threads")
    if step["skipped"]:
        lines.append(f"skipped: {step['skipped']}")
    settings = [f"{path} = {value}" for path, value in flat_settings(step["settings"]).items()]
    if settings:
        more = len(settings) - _MOST_SETTINGS
        shown = ", ".join(settings[:_MOST_SETTINGS])
        lines.append(shown + (f" and {more} more" if more > 0 else ""))
    return lines


def _add_data(tree: Tree, name: str, data: Record, shown: set[str]) -> None:
    if name in shown:
        _add(tree, f"{name} {_short(data['data_version'])} (above)")
        return
    shown.add(name)
    branch = _add(tree, (name, "bold"), f" data.dvc {data['data_version']}")
    _add_commits(branch, data)
    if data["splits"]:
        counts = (f"{split} {count}" for split, count in data["splits"].items())
        _add(branch, f"splits: {', '.join(counts)}")
    for batch in data["batches"]:
        labelers = ", ".join(batch["labelers"]) or "labelers not known"
        _add(
            branch,
            f"batch {batch['batch']}: {batch['label_rows']} label rows of {batch['images']} "
            f"images, {batch['that_count']} count; {labelers}; labeling instructions "
            f"{_short(batch['labeling_md5'])}",
        )


def _add_commits(tree: Tree, data: Record) -> None:
    commits, version = data["commits"], _short(data["data_version"])
    if not commits:
        _add(tree, f"data.dvc {version} is in no commit yet")
    for one in commits[:_MOST_COMMITS]:
        commit = f"{one['commit'][:_DIGITS]} of {one['date'][:10]}: {one['subject']}"
        _add(tree, f"data.dvc {version} came with commit {commit}")
    if len(commits) > _MOST_COMMITS:
        _add(tree, f"and with {len(commits) - _MOST_COMMITS} older commits")


def _add_models(tree: Tree, models: Sequence[Record]) -> None:
    count = f"models that saw it: {len(models)}" if models else "no recorded model saw it"
    branch = _add(tree, count)
    for one in models:
        uses = {
            "trained on it": one["trained_on"],
            "validated on it": one["validated_on"],
            "calibrated on it": one["calibrated_on"],
            "tested on it": one["tested_on"],
            "predicted it": one["predicted"],
        }
        used = ", ".join(words for words, is_so in uses.items() if is_so)
        which = "now" if one["present"] else (one["made_at"] or "older")[:16]
        node = _add(branch, f"{one['model']} {one['data_version'][:_DIGITS]} ({which}): {used}")
        if one["weight"] is not None:
            _add(node, f"weight in training {one['weight']:.3g}")
        for name, value in (one["prediction"] or {}).items():
            if value is not None:
                _add(node, f"{name} {value:.3f}" if isinstance(value, float) else f"{name} {value}")


def _short(version: str | None) -> str:
    return "not known" if version is None else version[:_DIGITS]
