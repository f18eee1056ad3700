"""Two states of a workspace: each headline number of both, and what changed underneath it.

A state is what was recorded at a git revision, or what is materialized now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from iip_assets.engine.actions import ActionRecord
from iip_assets.engine.history import records_at
from iip_assets.engine.project import Project
from iip_assets.engine.revisions import find_revision, point_at
from iip_assets.evaluation.summary import overall_rows
from iip_assets.metrics.intervals import LEAST_SUBJECTS, Estimate
from iip_assets.models.tasks import FILTER, SEGMENTER, TASKS
from iip_assets.provenance.causes import Causes, DataChanges, data_changes, find_causes
from iip_assets.provenance.common_images import Common, Predicted, compare_common
from iip_assets.provenance.trace import Archive
from iip_assets.report.metrics import headline

Verdict = Literal[
    "better", "worse", "no clear difference", "too few subjects", "equal", "differs", "unknown"
]

# Where the numbers of a group come from, and what does not bear on them: the evaluation holds both
# models, of which each is judged by itself.
_ROOT = {
    **dict.fromkeys(TASKS, "model_evaluation"),
    "data": "raw_dataset",
    "drift": "drift_report",
}
_IGNORED = {
    FILTER.name: {SEGMENTER.asset},
    SEGMENTER.name: {FILTER.asset, "image_embeddings"},
}


_NOW = "now"

# Every headline number is in one of these; the last is chosen first where several codes computed
# a state.
_ROOTS = ("raw_dataset", "quarantine", "drift_report", "model_evaluation")


@dataclass(frozen=True)
class Side:
    """A state of the workspace, as far as it was computed."""

    archive: Archive  # what was recorded in the workspace
    name: str  # what was typed
    commit: str  # the commit; for `now` the one at which the models were judged, if they were
    # For each of the roots that has a value, the records that it was made of.
    lineages: Mapping[str, Mapping[str, ActionRecord]]
    absent: Mapping[str, str]  # for each of the others, why there is none and how to get it

    def value(self, asset: str, root: str | None = None) -> Any:
        """The value of an asset in the lineage of a root; None if absent or skipped."""
        return self.archive.value(self.lineages.get(root or asset, {}).get(asset))


def find_side(project: Project, name: str) -> Side:
    """The state at a git revision, or `now` for what is materialized.

    Raises:
        LookupError: There is no such revision.
    """
    archive = Archive.open(project)
    return _present(archive) if name == _NOW else _older(archive, name)


def _present(archive: Archive) -> Side:
    lineages, absent, commit = {}, {}, ""
    for root in _ROOTS:
        record = archive.present(root)
        if record is None:
            absent[root] = f"{root} has no value now; run `iip refresh {root}`"
            continue
        lineages[root] = archive.records.lineage(record)
        commit = record.git_commit
    return Side(archive, _NOW, commit, lineages, absent | _lost(archive.project, lineages, _NOW))


def _older(archive: Archive, name: str) -> Side:
    project = archive.project
    revision = find_revision(project.workspace.root, name)
    chosen = records_at(project, point_at(project, revision), _ROOTS)
    lineages = {root: chosen for root in _ROOTS if root in chosen}
    absent = {
        root: f"{root} was never computed with the data and settings of {name}; to compute it: "
        + how_to_compute(name)
        for root in _ROOTS
        if root not in chosen
    }
    absent |= _lost(project, lineages, name)
    return Side(archive, name, revision.commit, lineages, absent)


def _lost(
    project: Project, lineages: Mapping[str, Mapping[str, ActionRecord]], name: str
) -> dict[str, str]:
    """Roots whose artifact is gone."""
    store = project.workspace.artifacts
    fix = "run `iip refresh`" if name == _NOW else f"to compute it: {how_to_compute(name)}"
    return {
        root: f"the artifact of {root} is gone; {fix}"
        for root, records in lineages.items()
        if not store.has(records[root].artifact)
    }


def how_to_compute(at: str) -> str:
    """The commands that compute the values of a revision."""
    return f"`git checkout {at} && dvc checkout && iip refresh`, then go back the same way"


@dataclass(frozen=True)
class MetricRow:
    """One headline number of both states."""

    group: str  # `filter`, `segmenter`, `data` or `drift`
    metric: str  # its name in metrics.json
    before: Estimate  # its value in the first state, with its interval where there is one
    after: Estimate  # likewise in the second
    common: Estimate | None  # second minus first on the test images of both, with paired interval
    # For models: whether the second is better beyond what chance explains. By the paired interval
    # where there is one, else by the first state's own interval.
    verdict: Verdict
    changed: tuple[str, ...]  # what changed underneath, in words

    @property
    def difference(self) -> float | None:
        """Second minus first, each on its own test images."""
        if self.before.value is None or self.after.value is None:
            return None
        return self.after.value - self.before.value


@dataclass(frozen=True)
class Comparison:
    """Two states compared."""

    before: Side  # the first
    after: Side  # the second
    rows: tuple[MetricRow, ...]  # their headline numbers
    causes: Mapping[str, Causes]  # by group of numbers, what changed underneath
    data: DataChanges | None  # what differs in the data, if both are known and it does
    common: Mapping[str, Common]  # by model, how the test images of both fared
    # By model, test images of the first and of the second state.
    tested: Mapping[str, tuple[int | None, int | None]]


def compare(project: Project, before: str, after: str) -> Comparison:
    """Compare two states, each a git revision or `now`.

    Raises:
        LookupError: There is no such revision.
    """
    one, other = find_side(project, before), find_side(project, after)
    numbers = _numbers(one), _numbers(other)
    groups = [group for group in _ROOT if any(group in side for side in numbers)]
    causes = {group: _causes(one, other, group) for group in groups}
    raw = one.value("raw_dataset"), other.value("raw_dataset")
    data = data_changes(raw[0]["images"], raw[1]["images"]) if all(raw) else None
    common = _common(project, one, other)
    rows = []
    for group in groups:
        was, is_now = (side.get(group, {}) for side in numbers)
        main = TASKS[group].headline if group in TASKS else None
        for metric in sorted(was.keys() | is_now.keys(), key=lambda name: (name != main, name)):
            if metric == "images" and group in TASKS:
                continue  # how many images were tested is told beside the table
            nothing = Estimate(None, None, None)
            shared = common.get(group)
            paired = shared.differences.get(metric) if shared else None
            ends = was.get(metric, nothing), is_now.get(metric, nothing)
            rows.append(
                MetricRow(
                    group,
                    metric,
                    *ends,
                    common=paired,
                    verdict=_verdict(group, *ends, shared, paired),
                    changed=_words(causes[group], data),
                )
            )
    tested = {
        model: (_count(numbers[0].get(model, {})), _count(numbers[1].get(model, {})))
        for model in TASKS
        if any(model in side for side in numbers)
    }
    return Comparison(one, other, tuple(rows), causes, data, common, tested)


def as_json(found: Comparison) -> dict[str, Any]:
    """The comparison as `iip compare --json` prints it."""
    return {
        **{
            name: {"revision": side.name, "commit": side.commit, "absent": dict(side.absent)}
            for name, side in (("before", found.before), ("after", found.after))
        },
        "metrics": [
            {
                "metric": f"{row.group}.{row.metric}",
                "before": asdict(row.before),
                "after": asdict(row.after),
                "difference": row.difference,
                "common_difference": None if row.common is None else asdict(row.common),
                "verdict": row.verdict,
                "changed": list(row.changed),
            }
            for row in found.rows
        ],
        "test_images": {
            model: {
                "before": counts[0],
                "after": counts[1],
                "common": found.common[model].images if model in found.common else 0,
                "common_subjects": found.common[model].subjects if model in found.common else 0,
            }
            for model, counts in found.tested.items()
        },
        "causes": {group: asdict(causes) for group, causes in found.causes.items()},
        "data": None if found.data is None else asdict(found.data),
    }


def _numbers(side: Side) -> dict[str, dict[str, Estimate]]:
    """By group and metric, the numbers of metrics.json, each with its interval if it has one."""
    raw = side.value("raw_dataset")
    if raw is None:
        return {}
    evaluation, drift = side.value("model_evaluation"), side.value("drift_report")
    numbers = headline(
        evaluation,
        raw,
        quarantine=side.value("quarantine"),
        drift=None if drift is None else drift.data,
    )
    intervals = {}
    if evaluation is not None:
        rows = overall_rows(evaluation["metrics"]).select("model", "metric", "low", "high")
        intervals = {(row[0], row[1]): (row[2], row[3]) for row in rows.iter_rows()}
    found: dict[str, dict[str, Estimate]] = {}
    for group, values in numbers.items():
        assert isinstance(values, dict)
        for metric, value in values.items():
            if metric.endswith(("_low", "_high")):
                continue
            low, high = intervals.get((group, metric), (None, None))
            found.setdefault(group, {})[metric] = Estimate(float(str(value)), low, high)
    return found


def _causes(before: Side, after: Side, group: str) -> Causes:
    def found(root: str) -> Causes:
        was, is_now = before.lineages.get(root, {}), after.lineages.get(root, {})
        return find_causes(was, is_now, root, ignored=_IGNORED.get(group, ()))

    causes = found(_ROOT[group])
    if group == "data":
        # How many images are quarantined is a number of the data.
        more = found("quarantine")
        for kind in ("code", "packages", "settings", "sources"):
            known = {change.name for change in getattr(causes, kind)}
            extra = [change for change in getattr(more, kind) if change.name not in known]
            getattr(causes, kind).extend(extra)
    return causes


def _common(project: Project, before: Side, after: Side) -> dict[str, Common]:
    was, is_now = _predicted(before), _predicted(after)
    if was is None or is_now is None:
        return {}
    settings = project.workspace.read_settings(project.workspace.root)
    return compare_common(
        was,
        is_now,
        mask_classes=settings.dataset.mask_classes,
        judgement=settings.evaluation,
    )


def _predicted(side: Side) -> Predicted | None:
    parts = [
        side.value(asset, "model_evaluation")
        for asset in ("predictions", "raw_dataset", "data_splits")
    ]
    if any(part is None for part in parts):
        return None
    return Predicted(parts[0], parts[1]["images"], parts[2])


def _verdict(
    group: str, before: Estimate, after: Estimate, shared: Common | None, paired: Estimate | None
) -> Verdict:
    if before.value is None or after.value is None:
        return "unknown"
    if group not in TASKS:
        return "equal" if before.value == after.value else "differs"
    if shared is not None and paired is not None and paired.value is not None:
        if shared.subjects < LEAST_SUBJECTS or paired.low is None or paired.high is None:
            same = paired.value == 0 and before.value == after.value
            return "equal" if same else "too few subjects"
        return _beyond(paired.low, paired.high, equal=paired.low == paired.high == 0)
    if before.low is None or before.high is None:
        return "equal" if before.value == after.value else "unknown"
    # How far the second value lies from the first one's interval.
    low, high = after.value - before.high, after.value - before.low
    return _beyond(low, high, equal=before.value == after.value)


def _beyond(low: float, high: float, *, equal: bool) -> Verdict:
    if equal:
        return "equal"
    if low > 0:
        return "better"
    return "worse" if high < 0 else "no clear difference"


def _words(causes: Causes, data: DataChanges | None) -> tuple[str, ...]:
    """What changed, in the words of the first column of a change list."""
    if causes.only_seeds:
        return ("only the seed",)
    words = []
    if causes.sources:
        images = data is None or bool(data.batches)
        labels = data is not None and bool(data.labels or data.masks or data.facts)
        words += ["data"] if images or not labels else []
        words += ["labels"] if labels else []
    words += ["code"] if causes.code else []
    words += ["settings"] if causes.settings else []
    words += ["packages"] if causes.packages else []
    words += ["machine"] if causes.machine and not words else []
    words += ["nothing: it is not deterministic"] if causes.without_cause and not words else []
    if causes.unknown and not words:
        return ("unknown",)
    return tuple(words) or ("nothing",)


def _count(values: Mapping[str, Estimate]) -> int | None:
    found = values.get("images")
    return None if found is None or found.value is None else int(found.value)
