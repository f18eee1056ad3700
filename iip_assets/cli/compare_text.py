"""A comparison for people: in the terminal, and as Markdown for a pull request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from iip_assets.metrics.intervals import Estimate
from iip_assets.metrics.paired import LEAST_SUBJECTS
from iip_assets.provenance.causes import Causes, Change, DataChanges
from iip_assets.provenance.compare import Comparison, MetricRow

_COLOURS = {"better": "green", "worse": "red"}
# Of a module's hash and of a data version, as many digits as tell them apart.
_DIGITS = 10
_MOST = 20
_GROUP_COLUMNS = ("difference", "verdict", "on common test images")


def print_comparison(found: Comparison) -> None:
    """A table for each group of numbers, then what changed underneath."""
    console = Console()
    for group in dict.fromkeys(row.group for row in found.rows):
        rows = [row for row in found.rows if row.group == group]
        table = Table(
            title=f"{group}, changed underneath: {', '.join(rows[0].changed)}",
            title_justify="left",
            box=box.SIMPLE,
        )
        shown = _GROUP_COLUMNS if any(row.common for row in rows) else _GROUP_COLUMNS[:2]
        for column in ("metric", found.before.name, found.after.name, *shown):
            # Words and intervals may take two lines where the terminal is narrow; numbers may not.
            table.add_column(escape(column), no_wrap=column not in _GROUP_COLUMNS[1:])
        for row in rows:
            _add_row(table, row, len(shown) > 2)
        console.print(table)
    for line in [*_about(found), "", *_changes(found)]:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _add_row(table: Table, row: MetricRow, with_common: bool) -> None:
    whole = row.group == "data"
    colour = _COLOURS.get(row.verdict)
    verdict = f"[{colour}]{row.verdict}[/]" if colour else row.verdict
    common = [] if not with_common else ["" if row.common is None else _paired(row.common)]
    table.add_row(
        row.metric,
        *(
            "–" if one.value is None else _number(one.value, whole)
            for one in (row.before, row.after)
        ),
        "" if row.difference is None else _signed(row.difference, whole=whole),
        verdict,
        *common,
    )


def comparison_markdown(found: Comparison) -> str:
    """The same as Markdown."""
    columns = _columns(found)
    lines = [
        f"### {_named(found.before.name, found.before.commit)} → "
        f"{_named(found.after.name, found.after.commit)}",
        "",
        "| " + " | ".join(columns) + " |",
        "| --- " * len(columns) + "|",
    ]
    lines += ["| " + " | ".join(_cells(row)) + " |" for row in found.rows]
    lines += ["", *(f"{line}  " for line in _about(found)), ""]
    lines += [
        f"- {line}" if line and not line.startswith("  ") else line
        for line in _changes(found, indent="  - ")
    ]
    return "\n".join(lines)


def _columns(found: Comparison) -> list[str]:
    return [
        "metric",
        found.before.name,
        found.after.name,
        "difference",
        "on common test images",
        "verdict",
        "what changed",
    ]


def _cells(row: MetricRow) -> list[str]:
    whole = row.group == "data"
    difference = "" if row.difference is None else _signed(row.difference, whole=whole)
    return [
        f"{row.group}.{row.metric}",
        _value(row.before, whole=whole),
        _value(row.after, whole=whole),
        difference,
        "" if row.common is None else _paired(row.common),
        row.verdict,
        ", ".join(row.changed),
    ]


def _value(one: Estimate, *, whole: bool) -> str:
    if one.value is None:
        return "–"
    text = _number(one.value, whole)
    return text if one.low is None else f"{text} ({one.low:.3f} to {one.high:.3f})"


def _number(value: float, whole: bool) -> str:
    return f"{value:.0f}" if whole else f"{value:.3f}"


def _paired(one: Estimate) -> str:
    if one.value is None:
        return "–"
    if one.low is None or one.high is None:
        return f"{_signed(one.value)} (one subject)"
    return f"{_signed(one.value)} ({_signed(one.low)} to {_signed(one.high)})"


def _signed(value: float, *, whole: bool = False) -> str:
    if whole:
        return f"{value:+.0f}" if value else "0"
    return f"{value:+.3f}" if abs(value) >= 0.0005 else "0.000"


def _about(found: Comparison) -> list[str]:
    """On which images the numbers stand, and what is not there."""
    lines = []
    for model, (before, after) in found.tested.items():
        common = found.common.get(model)
        shared = (
            f"{common.images} images of {common.subjects} subjects are in both"
            if common
            else "no images that both predicted are recorded"
        )
        lines.append(
            f"{model}: tested on {before or 0} images before and {after or 0} after; {shared}."
        )
    for side in (found.before, found.after):
        lines += [f"{side.name}: {reason}" for reason in side.absent.values()]
    if found.common:
        lines.append(
            "The verdict goes by the paired bootstrap over subjects on the common images, judged "
            f"by the later labels; fewer than {LEAST_SUBJECTS} subjects give none."
        )
    return lines


def _changes(found: Comparison, indent: str = "  ") -> list[str]:
    """What changed underneath, once for all groups that share it."""
    by_text: dict[tuple[str, ...], list[str]] = {}
    for group, causes in found.causes.items():
        lines = tuple(_lines(causes, found.data))
        by_text.setdefault(lines, []).append(group)
    shown = []
    for lines, groups in by_text.items():
        named = ", ".join(groups)
        shown.append(f"What changed under {named}:" if lines else f"Nothing changed under {named}.")
        shown += [f"{indent}{line}" for line in lines]
    return shown


def _lines(causes: Causes, data: DataChanges | None) -> list[str]:
    lines = [
        f"{change.name}: {_short(change.before)} → {_short(change.after)}"
        for change in causes.sources
    ]
    if causes.sources and data is not None:
        lines += _data_lines(data)
    lines += _listed("setting", causes.settings, lambda one: f"{one.before!r} → {one.after!r}")
    lines += _listed("code", causes.code, _how)
    lines += _listed("package", causes.packages, lambda one: f"{one.before} → {one.after}")
    lines += [
        f"{name} came out different though nothing that it is made of changed"
        for name in causes.without_cause
    ]
    lines += [f"{name} has no record in one of the states" for name in causes.unknown]
    return lines


def _data_lines(data: DataChanges) -> Iterable[str]:
    yield f"images: {data.images_before} → {data.images_after}"
    for batch in data.batches[:_MOST]:
        name = batch.batch or "outside batches/"
        yield (f"batch {name} {batch.change}: +{batch.images_added} −{batch.images_removed} images")
    if len(data.batches) > _MOST:
        yield f"{len(data.batches) - _MOST} more batches differ"
    for label in data.labels[:_MOST]:
        yield (
            f"label {label.before or 'none given'} → {label.after or 'none given'} on "
            f"{_images(label.images)} (batch {label.batch})"
        )
    if data.masks:
        yield f"another mask on {_images(data.masks)}"
    if data.facts:
        yield f"another fact (subject, age, device …) on {_images(data.facts)}"


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"


def _listed(kind: str, changes: list[Change], how: Any) -> list[str]:
    lines = [f"{kind} {one.name}: {how(one)} (read by {one.asset})" for one in changes[:_MOST]]
    if len(changes) > _MOST:
        lines.append(f"{len(changes) - _MOST} more of {kind}; `--json` has them all")
    return lines


def _how(change: Change) -> str:
    if change.before is None:
        return "new"
    return "no more reached" if change.after is None else "changed"


def _short(version: Any) -> str:
    return "none" if version is None else str(version)[:_DIGITS]


def _named(name: str, commit: str) -> str:
    return f"{name} ({commit[:_DIGITS]})" if commit and not commit.startswith(name) else name
