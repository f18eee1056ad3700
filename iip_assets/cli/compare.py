"""`iip compare`: what changed between two states, and what it did to the numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iip_assets.cli.common import AsJson, open_refresher, print_json, stdout_kept_clean
from iip_assets.errors import counted
from iip_assets.report.blocks import (
    ABSENT,
    FIGURE,
    NAME,
    Column,
    Row,
    Table,
    Tone,
    number,
    over_interval,
    signed,
)
from iip_assets.report.text import print_blocks, print_text, table_markdown

if TYPE_CHECKING:
    from iip_assets.metrics.intervals import Estimate
    from iip_assets.provenance.causes import Causes, Change, DataChanges
    from iip_assets.provenance.compare import Comparison, MetricRow

_TONES: dict[str, Tone] = {"better": "good", "worse": "bad"}
# Of a module's hash and of a data version, as many digits as tell them apart.
_DIGITS = 10
_MOST = 20


def compare(
    before: Annotated[str, typer.Argument(help="A git revision, or `now`.")],
    after: Annotated[str, typer.Argument(help="A git revision, or `now`.")] = "now",
    as_json: AsJson = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown, for a pull request.")
    ] = False,
) -> None:
    """Compare the headline numbers of two states, and say what changed underneath each."""
    if as_json and markdown:
        raise ValueError("--json and --markdown exclude each other: give one")
    project = open_refresher().project
    with stdout_kept_clean():
        from iip_assets.provenance import compare as comparing

        found = comparing.compare(project, before, after)
    if as_json:
        print_json(comparing.as_json(found))
    elif _all_equal(found):
        typer.echo(_equal_words(found))
    elif markdown:
        typer.echo(_markdown(found))
    else:
        _print(found)


def _all_equal(found: Comparison) -> bool:
    """Whether there is something to compare, every number is equal, and so is what is below."""
    return (
        bool(found.rows)
        and all(row.verdict == "equal" for row in found.rows)
        and not any(_lines(causes, found.data) for causes in found.causes.values())
        and not (found.before.absent or found.after.absent)
    )


def _equal_words(found: Comparison) -> str:
    numbers = counted(len(found.rows), "number")
    return (
        f"{found.before.name} and {found.after.name} are equal: {numbers}, and the data, settings, "
        "code and packages below them."
    )


def _print(found: Comparison) -> None:
    """A table for each group of numbers, then what changed underneath."""
    for group in dict.fromkeys(row.group for row in found.rows):
        rows = [row for row in found.rows if row.group == group]
        caption = f"{group}, changed underneath: {', '.join(rows[0].changed)}"
        common = any(row.common for row in rows)
        columns = [
            Column("metric", "metric", NAME),
            *_columns(found, intervals=False, common=common),
        ]
        print_blocks(Table(caption, columns, _records(rows)))
    for line in [*_about(found), "", *_changes(found)]:
        print_text(line, wrap=False)


def _markdown(found: Comparison) -> str:
    """The same as Markdown."""
    columns: list[Column | str] = [
        Column("metric", lambda row: f"{row['group']}.{row['metric']}"),
        *_columns(found, intervals=True, common=True),
        Column("what changed", lambda row: ", ".join(row["changed"])),
    ]

    def named(name: str, commit: str) -> str:
        return f"{name} ({commit[:_DIGITS]})" if commit and not commit.startswith(name) else name

    before, after = (named(one.name, one.commit) for one in (found.before, found.after))
    table = table_markdown(Table("", columns, _records(found.rows)))
    lines = [f"### {before} → {after}", "", table]
    lines += ["", *(f"{line}  " for line in _about(found)), ""]
    lines += [
        f"- {line}" if line and not line.startswith("  ") else line
        for line in _changes(found, indent="  - ")
    ]
    return "\n".join(lines)


def _columns(found: Comparison, *, intervals: bool, common: bool) -> list[Column]:
    """Both states, their difference, the verdict, and the difference on the images of both."""

    def side(name: str, key: str) -> Column:
        def cell(row: Row) -> str:
            one, shown = row[key], _whole if row["group"] == "data" else number
            low, high = (one.low, one.high) if intervals else (None, None)
            return over_interval(one.value, low, high, shown)

        return Column(name, cell, FIGURE)

    paired = Column("on common test images", lambda row: _paired(row["common"]), FIGURE)
    return [
        side(found.before.name, "before"),
        side(found.after.name, "after"),
        Column("difference", _difference, FIGURE),
        Column("verdict", "verdict", tone=lambda row: _TONES.get(row["verdict"], "")),
        *([paired] if common else []),
    ]


def _records(rows: Iterable[MetricRow]) -> list[Row]:
    return [{**vars(row), "difference": row.difference} for row in rows]


def _difference(row: Row) -> str:
    if row["difference"] is None:
        return ""
    if row["group"] == "data":
        return f"{row['difference']:+.0f}" if row["difference"] else "0"
    return signed(row["difference"])


def _paired(one: Estimate | None) -> str:
    if one is None:
        return ""
    alone = "\none subject" if one.value is not None and one.low is None else ""
    return over_interval(one.value, one.low, one.high, signed) + alone


def _whole(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.0f}"


def _about(found: Comparison) -> list[str]:
    """On which images the numbers stand, and what is not there."""
    from iip_assets.metrics.intervals import LEAST_SUBJECTS

    lines = []
    for model, (before, after) in found.tested.items():
        common = found.common.get(model)
        shared = (
            f"in both: {counted(common.images, 'image')} of {counted(common.subjects, 'subject')}"
            if common
            else "no images that both predicted are recorded"
        )
        lines.append(
            f"{model}: tested on {counted(before or 0, 'image')} before and {after or 0} after; "
            f"{shared}."
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
        by_text.setdefault(tuple(_lines(causes, found.data)), []).append(group)
    shown = []
    for lines, groups in by_text.items():
        named = ", ".join(groups)
        shown.append(f"What changed under {named}:" if lines else f"Nothing changed under {named}.")
        shown += [f"{indent}{line}" for line in lines]
    return shown


def _lines(causes: Causes, data: DataChanges | None) -> list[str]:
    def short(version: Any) -> str:
        return "none" if version is None else str(version)[:_DIGITS]

    def how(change: Change) -> str:
        if change.before is None:
            return "new"
        return "no more reached" if change.after is None else "changed"

    lines = [f"{one.name}: {short(one.before)} → {short(one.after)}" for one in causes.sources]
    if causes.sources and data is not None:
        lines += _data_lines(data)
    lines += _listed("setting", causes.settings, lambda one: f"{one.before!r} → {one.after!r}")
    lines += _listed("code", causes.code, how)
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
        yield f"batch {name} {batch.change}: images +{batch.images_added} −{batch.images_removed}"
    if len(data.batches) > _MOST:
        yield f"{len(data.batches) - _MOST} more batches differ"
    for label in data.labels[:_MOST]:
        yield (
            f"label {label.before or 'none given'} → {label.after or 'none given'} on "
            f"{counted(label.images, 'image')} (batch {label.batch})"
        )
    if data.masks:
        yield f"another mask on {counted(data.masks, 'image')}"
    if data.facts:
        yield f"another fact (subject, age, device …) on {counted(data.facts, 'image')}"


def _listed(kind: str, changes: list[Change], how: Callable[[Change], str]) -> list[str]:
    lines = [f"{kind} {one.name}: {how(one)} (read by {one.asset})" for one in changes[:_MOST]]
    if len(changes) > _MOST:
        lines.append(f"{len(changes) - _MOST} more of {kind}; `--json` has them all")
    return lines
