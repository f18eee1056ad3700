"""`iip trace`: where a value comes from, and what became of an image."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iip_assets.cli.common import AsJson, open_refresher, stdout_kept_clean
from iip_assets.dataset.schema import ANNOTATIONS_FILE

if TYPE_CHECKING:
    from rich.console import Console
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
        typer.echo(json.dumps(found, default=str))
        return
    (print_image if is_image else print_value)(found)


def print_value(trace: Record) -> None:
    """Every step above a value, each once, and the data with its labelers."""
    from rich.tree import Tree

    steps = {step["asset"]: step for step in trace["steps"]}
    kind = "what is materialized now" if trace["present"] else "an older value"
    tree = Tree(f"[bold]{trace['asset']}[/] {trace['data_version'][:_DIGITS]} ({kind})")
    _grow(tree, steps[trace["asset"]], steps, set(), trace["data"])
    _console().print(tree)


def print_image(trace: Record) -> None:
    """What is said of an image, where it stands, and which models saw it."""
    from rich.markup import escape
    from rich.tree import Tree

    image = trace["image"]
    where = "" if trace["in_present_data"] else " [yellow](no more in the present data)[/]"
    tree = Tree(f"[bold]image {trace['image_id']}[/] {escape(image['path'])}{where}")
    _add_facts(tree, image)
    rows = tree.add(f"label rows: {len(trace['label_rows'])}")
    for row in trace["label_rows"]:
        beside = row.get("file") == ANNOTATIONS_FILE
        counts = "counts" if row["current"] else "an annotation" if beside else "replaced"
        rows.add(
            escape(
                f"{row['label'] or 'no label'} in batch {row['batch']} by "
                f"{row['labeler'] or 'labeler not known'} ({counts}); labeling instructions "
                f"{_short(row['labeling_md5'])}"
            )
        )
    _add_place(tree, trace)
    _add_models(tree, trace["models"])
    _add_commits(tree, trace["data"])
    _console().print(tree)


def _grow(tree: Tree, step: Record, steps: Record, shown: set[str], data: Record | None) -> None:
    """Adds a step's facts and, below it, the steps that it was made of."""
    from rich.markup import escape

    shown.add(step["asset"])
    for line in _step_lines(step):
        tree.add(escape(line), style="dim")
    for name, version in step["inputs"].items():
        if name in steps and steps[name]["data_version"] == version:
            if name in shown:
                tree.add(f"{name} {version[:_DIGITS]} (above)")
            else:
                branch = tree.add(f"[bold]{name}[/] {version[:_DIGITS]}")
                _grow(branch, steps[name], steps, shown, data)
        elif data is not None and version == data["data_version"]:
            _add_data(tree, name, data, shown)
        elif "(reader)" not in name:
            tree.add(f"{name} {version[:_DIGITS]} (its record is gone)")


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
    if step["skipped"]:
        lines.append(f"skipped: {step['skipped']}")
    settings = list(_flat(step["settings"]).items())
    if settings:
        text = ", ".join(f"{path} = {value}" for path, value in settings[:_MOST_SETTINGS])
        more = len(settings) - _MOST_SETTINGS
        lines.append(text + (f" and {more} more" if more > 0 else ""))
    return lines


def _add_data(tree: Tree, name: str, data: Record, shown: set[str]) -> None:
    from rich.markup import escape

    if name in shown:
        tree.add(f"{name} {_short(data['data_version'])} (above)")
        return
    shown.add(name)
    branch = tree.add(f"[bold]{name}[/] data.dvc {data['data_version']}")
    _add_commits(branch, data)
    if data["splits"]:
        branch.add(
            "splits: " + ", ".join(f"{split} {count}" for split, count in data["splits"].items())
        )
    for batch in data["batches"]:
        labelers = ", ".join(batch["labelers"]) or "labelers not known"
        branch.add(
            escape(
                f"batch {batch['batch']}: {batch['label_rows']} label rows of {batch['images']} "
                f"images, {batch['that_count']} count; {labelers}; labeling instructions "
                f"{_short(batch['labeling_md5'])}"
            )
        )


def _add_commits(tree: Tree, data: Record) -> None:
    from rich.markup import escape

    commits = data["commits"]
    if not commits:
        tree.add(f"data.dvc {_short(data['data_version'])} is in no commit yet")
    for one in commits[:_MOST_COMMITS]:
        tree.add(
            escape(
                f"data.dvc {_short(data['data_version'])} came with commit "
                f"{one['commit'][:_DIGITS]} of {one['date'][:10]}: {one['subject']}"
            )
        )
    if len(commits) > _MOST_COMMITS:
        tree.add(f"and with {len(commits) - _MOST_COMMITS} older commits")


def _add_facts(tree: Tree, image: Record) -> None:
    from rich.markup import escape

    silent = ("image_id", "path", "tags")
    known = {name: value for name, value in image.items() if value is not None}
    facts = tree.add("what is known of it")
    for name, value in known.items():
        if name not in silent:
            facts.add(escape(f"{name}: {value}"))


def _add_place(tree: Tree, trace: Record) -> None:
    from rich.markup import escape

    split, training = trace["split"], trace["training_set"]
    if split is not None:
        tree.add(f"split {split['split']}, group {_short(split['group_id'])}")
    if training is not None:
        cell = training["cell"] or "not known"
        tree.add(escape(f"training set: weight {training['weight']:.3g}; cell {cell}"))
    for row in trace["quarantine"]:
        tree.add(
            escape(f"quarantined {row['what']}: {row['reason']}; {row['fix']}"), style="yellow"
        )


def _add_models(tree: Tree, models: list[dict[str, Any]]) -> None:
    branch = tree.add(
        f"models that saw it: {len(models)}" if models else "no recorded model saw it"
    )
    for one in models:
        ways = [
            words
            for name, words in (
                ("trained_on", "trained on it"),
                ("validated_on", "validated on it"),
                ("tested_on", "tested on it"),
                ("predicted", "predicted it"),
            )
            if one[name]
        ]
        which = "now" if one["present"] else (one["made_at"] or "older")[:16]
        node = branch.add(
            f"{one['model']} {one['data_version'][:_DIGITS]} ({which}): {', '.join(ways)}"
        )
        if one["weight"] is not None:
            node.add(f"weight in training {one['weight']:.3g}")
        for name, value in (one["prediction"] or {}).items():
            if value is not None:
                node.add(f"{name} {value:.3f}" if isinstance(value, float) else f"{name} {value}")


def _flat(settings: Record, prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _short(version: str | None) -> str:
    return "not known" if version is None else version[:_DIGITS]


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False)
