"""Tags of a run that refreshes: the batches that changed, and why it is due, for whoever looks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from iip_assets.automation.alarms import clean
from iip_assets.dataset.batch_changes import batches_between
from iip_assets.engine.project import Ledger, Project
from iip_assets.engine.reasons import in_words
from iip_assets.engine.staleness import State

BATCHES_TAG = "iip/batches"
WHY_TAG = "iip/why"

# Tags are indexed by their value, and PostgreSQL takes no more than 2,704 bytes there.
_LONGEST_TAG = 250
_MOST_WORDS = 50


def refresh_tags(
    project: Project, ledger: Ledger, states: Mapping[str, State], due: Collection[str]
) -> dict[str, str]:
    """The tags of a run over the assets that are due."""
    tags = {WHY_TAG: reasons(states, due)}
    batches = moved_batches(project, ledger)
    return tags | ({BATCHES_TAG: listed(batches)} if batches else {})


def moved_batches(project: Project, ledger: Ledger) -> tuple[str, ...]:
    """Batches that differ between the data that `raw_dataset` was made of and the present data."""
    now = ledger.observed("dvc_data")
    if now is None or "raw_dataset" not in project.graph.assets:
        return ()
    record = project.record("raw_dataset", ledger)
    return batches_between(
        project.workspace.root, record.inputs["dvc_data"] if record else None, now
    )


def reasons(states: Mapping[str, State], due: Collection[str]) -> str:
    """Why assets are due, those that follow from another one's left out."""
    whys = [
        f"{name}: {text}"
        for name in due
        for text in in_words(one for one in states[name].reasons if one.kind != "upstream")
    ]
    return listed(whys, separator="; ")


def listed(words: Sequence[str], separator: str = ", ") -> str:
    """As many of the words as a tag takes, and how many there are besides."""
    for count in range(min(len(words), _MOST_WORDS), 0, -1):
        rest = len(words) - count
        text = separator.join(words[:count]) + (f" and {rest} more" if rest else "")
        if len(text) <= _LONGEST_TAG or count == 1:
            return clean(text, _LONGEST_TAG)
    return ""
