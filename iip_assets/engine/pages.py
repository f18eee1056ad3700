"""A report's page as people open it: it says of what, where and when it was made.

The stored page does not: its version is that of the numbers in it, and the same numbers may hold
for another commit and for other data. So this is filled in when the page is put where people find
it, each time that its asset is brought up to date.
"""

from __future__ import annotations

import html
from datetime import UTC, datetime
from pathlib import Path

from iip_assets.engine.actions import ActionRecord
from iip_assets.engine.atomic import write_text_whole
from iip_assets.engine.project import EventLog, Project
from iip_assets.engine.values import PROVENANCE_MARK

_DIGITS = 12


def report_page(state: Path, asset: str) -> Path:
    """Where the page of a report asset lies."""
    return state / "reports" / f"{asset}.html"


def publish_page(project: Project, record: ActionRecord, events: EventLog) -> None:
    """Puts a report's page where people find it, and takes away one that holds no more."""
    page = report_page(project.workspace.state, record.asset)
    if record.artifact.kind != "report":
        page.unlink(missing_ok=True)
        return
    write_text_whole(page, dated_page(project, record, events))


def dated_page(project: Project, record: ActionRecord, events: EventLog) -> str:
    """The page with date, commit, data version and workspace of now.

    Where it was computed elsewhere or another day, it says that as well.
    """
    text: str = project.workspace.artifacts.get(record.artifact).html
    words = _provenance(project, record, events, now=datetime.now(UTC))
    return text.replace(PROVENANCE_MARK, html.escape(words))


def _provenance(project: Project, record: ActionRecord, events: EventLog, *, now: datetime) -> str:
    root, commit = project.workspace.root, project.workspace.git_commit()
    seen = {name: (events.observed(name) or "none")[:_DIGITS] for name in project.graph.sources}
    # All data come from the first; the others are named.
    names = ["data version", *(name.replace("_", " ") for name in list(seen)[1:])]
    versions = ", ".join(f"{name} {seen[one]}" for name, one in zip(names, seen, strict=True))
    words = f"{_when(now)}, {_commit(commit)}, {versions}, workspace {root.name}."
    made_at = datetime.fromisoformat(record.made_at)
    if record.git_commit != commit or made_at.date() != now.date():
        words += (
            f" The numbers were computed on {_when(made_at)}, {_commit(record.git_commit)}, and "
            "hold unchanged."
        )
    return words


def _when(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _commit(commit: str) -> str:
    if not commit:
        return "not under git"
    return f"commit {commit[:_DIGITS]}{' with changes' if commit.endswith('+') else ''}"
