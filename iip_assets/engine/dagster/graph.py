"""The graph as Dagster sees it: assets, checks, the observable sources and the `refresh` job."""

# Dagster reads the annotation of an asset's context, so annotations are not postponed here.
import inspect
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pydantic

from iip_assets.engine.actions import ActionRecord
from iip_assets.engine.asset import Asset
from iip_assets.engine.dagster.instance import DagsterEvents
from iip_assets.engine.dagster.runs import hold_run_lock
from iip_assets.engine.graph import Source
from iip_assets.engine.hashing import digest_json
from iip_assets.engine.outcomes import Outcome, check_results, description
from iip_assets.engine.pages import report_page
from iip_assets.engine.perform import Performer
from iip_assets.engine.project import Project
from iip_assets.engine.workspace import keyed_settings

REFRESH_JOB = "refresh"
PARALLEL_JOB = "refresh_parallel"

# Of a data version, where a whole one would push what stands beside it off the page.
_DIGITS = 12
# Dagster's name of the output of an op that has one; the others are its checks'.
_VALUE = "result"


# Told the name of an asset and what it says; nothing when it begins.
Watch = Callable[[str, str], None]

# So long an asset took that its end is worth a line.
_WORTH_A_LINE_S = 2.0


def _nobody_watches(asset: str, text: str) -> None:
    del asset, text


class AssetConfig(dg.Config):
    """What may be asked of an asset in the launchpad."""

    force: bool = pydantic.Field(
        default=False,
        description="Compute it, every image of it, though its result is recorded.",
    )


class ArtifactReader(dg.IOManager):
    """Gives Dagster the stored value of an asset, as `Definitions.load_asset_value` asks for it."""

    def __init__(self, project: Project) -> None:
        self._project = project

    def load_input(self, context: dg.InputContext) -> Any:
        """The present value."""
        events = DagsterEvents(context.instance)
        return self._project.load(context.asset_key.to_user_string(), events)

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Stores nothing: an asset's own action has done so."""


def build_dagster_definitions(
    project: Project,
    *,
    outcomes: dict[str, Outcome] | None = None,
    loaded: Mapping[str, object] | None = None,
    force: Collection[str] = (),
    watch: Watch | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> dg.Definitions:
    """Everything that Dagster loads for a project.

    Args:
        project: The graph and its workspace.
        outcomes: Filled, by asset, with what this process performed.
        loaded: What `Project.code_of` gave for each asset when this process loaded the code;
            that is now unless given.
        force: Assets that are computed though their result is recorded.
        watch: Told when an asset begins and ends and what it says meanwhile, beside the run's log.
        overrides: Arguments of `dagster.Definitions` that take the place of ours, such as
            `executor`; `resources` are put beside ours, or in their place by name.
    """
    performed = {} if outcomes is None else outcomes
    checked: set[str] = set()
    with warnings.catch_warnings():
        # Observable sources, their selection and code references are "beta" in Dagster and settled
        # here.
        warnings.simplefilter("ignore", dg.BetaWarning)
        with project.code_keys.one_look():
            graph = project.graph.assets
            codes = loaded or {name: project.code_of(one) for name, one in graph.items()}
            assets = [
                _asset(
                    project,
                    one,
                    performed,
                    checked=checked,
                    loaded=codes,
                    force=force,
                    watch=watch or _nobody_watches,
                )
                for one in graph.values()
            ]
        sources = [_source(project, one) for one in project.graph.sources.values()]
        everything = dg.AssetSelection.all(include_sources=True)
    refresh = dg.define_asset_job(
        REFRESH_JOB,
        selection=everything,
        description="Observes the data, then brings every asset up to date; "
        "what is not stale is reused.",
    )
    parallel = dg.define_asset_job(
        PARALLEL_JOB,
        selection=everything,
        executor_def=dg.multiprocess_executor,
        description="As `refresh`, with a process for each asset, so that assets which do not "
        "depend on each other run at once. Where little is stale, `refresh` is sooner done.",
    )
    given = dict(overrides or {})
    resources = {"io_manager": ArtifactReader(project), **given.pop("resources", {})}
    parts: dict[str, Any] = {
        "assets": [*sources, *assets],
        "jobs": [refresh, parallel],
        "executor": dg.in_process_executor,
    }
    return dg.Definitions(**{**parts, **given}, resources=resources)


def _source(project: Project, source: Source) -> dg.AssetsDefinition | dg.SourceAsset:
    @dg.observable_source_asset(
        name=source.name,
        group_name=source.room,
        description=source.description,
        tags={f"dagster/kind/{kind}": "" for kind in source.kinds},
    )
    def observe() -> dg.DataVersion:
        return dg.DataVersion(source.observe(project.workspace.root))

    return observe


def _asset(
    project: Project,
    asset: Asset[..., Any],
    outcomes: dict[str, Outcome],
    *,
    checked: set[str],
    loaded: Mapping[str, object],
    force: Collection[str],
    watch: Watch,
) -> dg.AssetsDefinition:
    # It yields, since Dagster would take an annotated result for the type of the asset's value.
    def run(
        context: dg.AssetExecutionContext, config: AssetConfig
    ) -> Iterator[dg.MaterializeResult[Any]]:
        hold_run_lock(project.workspace.state, context.run.run_id)
        events = DagsterEvents(context.instance)
        forced = [asset.name] if config.force else force

        def log(text: str) -> None:
            context.log.info(text)
            watch(asset.name, text)

        watch(asset.name, "")
        performer = Performer(project, events, log, outcomes, forced, checked=checked)
        try:
            outcome = performer.perform(asset, loaded=loaded[asset.name])
        except Exception:
            raise
        except BaseException:
            # Ctrl-C or SIGTERM: the run is cancelled, and nothing is wrong with the asset.
            context.instance.report_run_canceling(context.run, message="stopped")
            raise
        record = outcome.record
        checks = check_results(asset, outcome.parts)
        for one in checks:
            if one["passed"] is None:
                context.log.info(f"check {one['name']}: {one['description']}")
        took = f"{outcome.word} in {outcome.seconds:.2f} s"
        made = f"; made {', '.join(outcome.parts_made)}" if outcome.parts_made else ""
        context.log.info(f"{asset.name}: {took}{made}")
        if outcome.seconds >= _WORTH_A_LINE_S:
            watch(asset.name, took)
        yield dg.MaterializeResult(
            data_version=dg.DataVersion(record.data_version),
            metadata={
                **_plots_first(_metadata(description(asset, record, outcome.parts))),
                **_provenance(project, outcome),
            },
            check_results=[_check_result(one) for one in checks if one["passed"] is not None],
        )

    definition: dg.AssetsDefinition = dg.asset(
        name=asset.name,
        deps=list(asset.inputs),
        group_name=asset.room,
        description=asset.description,
        code_version=_code_version(project, asset),
        io_manager_key="io_manager",
        **{
            "owners": [project.owners[asset.room]] if asset.room in project.owners else None,
            **asset.options,
            "metadata": {**_code_reference(asset), **asset.options.get("metadata", {})},
        },
        check_specs=[
            dg.AssetCheckSpec(
                check.name, asset=asset.name, description=check.description, blocking=check.blocking
            )
            for check in asset.checks
        ],
    )(run)
    for output in definition.op.output_defs:
        # A check that had nothing to look at gives no result: Dagster shows it as skipped. Its
        # decorator has no option for that.
        if output.name != _VALUE:
            output._is_required = False
    return definition


def _code_version(project: Project, asset: Asset[..., Any]) -> str:
    """The code and the settings that make the value: Dagster shows it as stale where one changed.

    Dagster reads it when it loads the definitions.
    """
    version = project.code_keys.of(asset.function).key[:_DIGITS]
    try:
        settings = project.workspace.read_settings(project.workspace.root)
        keyed = keyed_settings(settings, asset.compute.settings.values())
    except ValueError:  # what is wrong with the settings is said where they are used
        return version
    return f"{version}-{digest_json(keyed)[:_DIGITS]}" if keyed else version


def _provenance(project: Project, outcome: Outcome) -> dict[str, Any]:
    """What every materialization carries about how it came to be."""
    record = outcome.record
    sources = project.graph.sources
    page = report_page(project.workspace.state, record.asset)
    report = (
        {"report": dg.MetadataValue.path(str(page))} if record.artifact.kind == "report" else {}
    )
    return report | {
        "reused": outcome.reused,
        "seconds": round(outcome.seconds, 3),
        "images_computed": 0 if outcome.reused else record.images_computed,
        "images_reused": record.images_reused + (record.images_computed if outcome.reused else 0),
        "made_at": record.made_at,
        "git_commit": project.workspace.git_commit() if not outcome.reused else record.git_commit,
        "made_of": dg.MetadataValue.md(_made_of(project, record)),
        "settings": dg.MetadataValue.json(dict(record.settings)),
        "machine": dg.MetadataValue.json(dict(record.machine)),
        **_table_metadata(project, record),
        # What programs read rather than people.
        "packages": dg.MetadataValue.json(dict(record.packages)),
        "sources": dg.MetadataValue.json(
            {name: source.observe(project.workspace.root) for name, source in sources.items()}
        ),
        "input_versions": dg.MetadataValue.json(dict(record.inputs)),
        "dagster/uri": project.workspace.artifacts.path(record.artifact),
        "modules": dg.MetadataValue.json(dict(record.modules)),
        "part_keys": dg.MetadataValue.json(dict(outcome.materialized.parts)),
        "code_key": record.code_key,
        "action_key": record.action_key,
    }


def _table_metadata(project: Project, record: ActionRecord) -> dict[str, Any]:
    """Rows and columns under the names by which Dagster's pages know them."""
    if record.rows is None:
        return {}
    columns = [
        dg.TableColumn(name, dtype, description=project.meaning(record.asset, name))
        for name, dtype in record.columns.items()
    ]
    return {
        "dagster/row_count": record.rows,
        "dagster/column_schema": dg.TableSchema(columns=columns),
    }


def _made_of(project: Project, record: ActionRecord) -> str:
    """Each input with its data version and a link to its page, as Markdown."""
    lines = [
        f"- [{name}](/assets/{name}) `{version[:_DIGITS]}`"
        for name, version in record.inputs.items()
        if name in project.graph.assets or name in project.graph.sources
    ]
    more = f"- all of it, back to the labels: `iip trace {record.asset}`"
    return "\n".join([*lines, more])


def _metadata(kept: Mapping[str, Any]) -> dict[str, Any]:
    """Recorded metadata as Dagster's."""
    values: dict[str, Any] = {}
    for name, entry in kept.items():
        value = entry["value"]
        if entry["kind"] == "markdown":
            values[name] = dg.MetadataValue.md(value)
        elif entry["kind"] == "rows":
            values[name] = dg.MetadataValue.md(_markdown_table(value))
        elif isinstance(value, dict | list):
            values[name] = dg.MetadataValue.json(value)
        elif value is None:
            values[name] = dg.MetadataValue.null()
        else:
            values[name] = value
    return values


def _plots_first(metadata: dict[str, Any]) -> dict[str, Any]:
    """A description as it is read: images, then tables and numbers."""

    def is_plot(value: Any) -> bool:
        return isinstance(value, dg.MarkdownMetadataValue) and "](data:image/" in (
            value.value or ""
        )

    return dict(sorted(metadata.items(), key=lambda entry: not is_plot(entry[1])))


def _markdown_table(records: list[dict[str, Any]], most: int = 60) -> str:
    """Records as a Markdown table, which Dagster's UI shows in place."""
    if not records:
        return "nothing"
    records = [_with_interval(record) for record in records]
    columns = list(dict.fromkeys(name for record in records for name in record))
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    for record in records[:most]:
        lines.append("| " + " | ".join(_cell(record.get(name)) for name in columns) + " |")
    if len(records) > most:
        lines.append(f"\n{len(records) - most} more rows are in the artifact.")
    return "\n".join(lines)


def _with_interval(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with both ends of its interval in one column, so that neither is off the page."""
    if not record.keys() >= {"low", "high"}:
        return dict(record)
    ends = [_cell(record[end]) for end in ("low", "high")]
    interval = " to ".join(ends) if all(ends) else ""
    named = {**record, "low": interval}
    return {"interval" if name == "low" else name: named[name] for name in named if name != "high"}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def _check_result(check: Mapping[str, Any]) -> dg.AssetCheckResult:
    severe = check["severity"] == "error"
    return dg.AssetCheckResult(
        check_name=check["name"],
        passed=check["passed"],
        severity=dg.AssetCheckSeverity.ERROR if severe else dg.AssetCheckSeverity.WARN,
        description=check["description"] or None,
        metadata=_metadata(check["metadata"]),
    )


def _code_reference(asset: Asset[..., Any]) -> dict[str, Any]:
    """A link from the asset to its line."""
    file = inspect.getsourcefile(asset.function)
    _, line = inspect.getsourcelines(asset.function)
    reference = dg.LocalFileCodeReference(
        file_path=str(Path(str(file)).resolve()), line_number=line, label=asset.name
    )
    return {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[reference])}
