"""What Dagster's own users meet: forced runs, metadata that its pages know, values by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import dagster as dg
import polars as pl
import pytest

from iip_assets.engine.asset import asset, asset_check, describe
from iip_assets.engine.dagster.graph import ArtifactReader, build_dagster_definitions
from iip_assets.engine.graph import Graph, Source
from iip_assets.engine.outcomes import Outcome
from iip_assets.engine.project import Project
from iip_assets.engine.values import CheckResult, Markdown, Rows, Setting
from iip_assets.engine.workspace import Workspace
from iip_assets_tests.engine.stand_ins import Keys

words = Source("words", "toy", "Words.", lambda root: "a bb", lambda _, version: version.split())


@asset(
    room="toy",
    kinds={"polars"},
    owners=["team:data"],
    metadata={"unit": "letters"},
    op_tags={"size": "small"},
    retry_policy=dg.RetryPolicy(max_retries=2),
    pool="one_at_a_time",
)
def lengths(words: list[str]) -> pl.DataFrame:
    """How long the words are."""
    return pl.DataFrame({"word": words, "letters": [len(word) for word in words]})


@describe(lengths)
def describe_lengths(lengths: pl.DataFrame) -> dict[str, Any]:
    return {
        "longest": lengths["letters"].max(),
        "share": Rows([{"of": "a", "value": 0.5, "low": 0.25, "high": 0.75, "n": 2}]),
        "plot": Markdown("![lengths](data:image/png;base64,AA==)"),
    }


@asset_check(lengths, blocking=True)
def none_is_empty(lengths: pl.DataFrame) -> CheckResult:
    """No word is empty."""
    return CheckResult(passed=bool((lengths["letters"] > 0).all()))


@asset_check(lengths)
def many_are_long(lengths: pl.DataFrame) -> CheckResult:
    """Of a hundred words, most are long."""
    return CheckResult(passed=None, description="not looked at: fewer than a hundred words")


@pytest.fixture
def outcomes() -> dict[str, Outcome]:
    return {}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    meanings = {"lengths": {"word": "the word", "let*": "how long it is"}}
    workspace = Workspace(tmp_path, lambda _: None)
    return Project(Graph([lengths], [words]), workspace, Keys(), meanings)


@pytest.fixture
def definitions(project: Project, outcomes: dict[str, Outcome]) -> dg.Definitions:
    return build_dagster_definitions(project, outcomes=outcomes)


def materialize(
    definitions: dg.Definitions, instance: dg.DagsterInstance, *, force: bool = False
) -> dg.ExecuteInProcessResult:
    config = {"ops": {"lengths": {"config": {"force": True}}}} if force else None
    job = definitions.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=instance, asset_selection=[dg.AssetKey("lengths")], run_config=config
    )


def test_options_reach_dagster_as_they_are(definitions: dg.Definitions) -> None:
    found = definitions.resolve_asset_graph().get(dg.AssetKey("lengths"))
    assert found.kinds == {"polars"}
    assert found.owners == ["team:data"]
    assert found.metadata["unit"] == "letters"
    assert found.pools == {"one_at_a_time"}
    step = definitions.resolve_assets_def("lengths").op
    assert step.tags["size"] == "small"
    assert step.retry_policy == dg.RetryPolicy(max_retries=2)


def test_an_option_that_would_change_what_is_read_is_refused() -> None:
    with pytest.raises(TypeError, match="takes no 'ins'"):
        asset(room="toy", ins={})


class Counting(ArtifactReader):
    """Counts what it is asked for."""

    asked = 0

    def load_input(self, context: dg.InputContext) -> Any:
        self.asked += 1
        return super().load_input(context)


def test_metadata_has_plots_first_whole_intervals_and_hashes_last(
    definitions: dg.Definitions,
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = materialize(definitions, instance)
    (event,) = result.asset_materializations_for_node("lengths")
    names = list(event.metadata)
    assert names[:3] == ["plot", "longest", "share"]
    assert names[-4:] == ["modules", "part_keys", "code_key", "action_key"]
    assert "| of | value | interval | n |" in str(event.metadata["share"].value)
    assert "| a | 0.5 | 0.25 to 0.75 | 2 |" in str(event.metadata["share"].value)


def test_a_room_has_an_owner_unless_its_asset_has_one(project: Project) -> None:
    @asset(room="toy")
    def owned(words: list[str]) -> dict[str, Any]:
        return {}

    both = replace(project, graph=Graph([lengths, owned], [words]), owners={"toy": "team:toys"})
    graph = build_dagster_definitions(both).resolve_asset_graph()
    found = {name: graph.get(dg.AssetKey(name)).owners for name in ("lengths", "owned")}
    assert found == {"lengths": ["team:data"], "owned": ["team:toys"]}


@asset(room="toy")
def lines(words: list[str], *, width: Annotated[int, Setting("toy.width")]) -> dict[str, Any]:
    return {}


def versions_of(project: Project) -> dict[str, str | None]:
    graph = build_dagster_definitions(project).resolve_asset_graph()
    names = ("lengths", "lines")
    return {name: graph.get(dg.AssetKey(name)).code_version for name in names}


@pytest.mark.parametrize(
    ("before", "after", "stale"),
    [
        ({"width": 80}, {"width": 90}, {"lines"}),
        ({"width": 80, "height": 1}, {"width": 80, "height": 2}, set()),
    ],
    ids=["one that is read", "another"],
)
def test_a_changed_setting_is_stale_in_dagster_where_it_is_read(
    project: Project, before: dict[str, int], after: dict[str, int], stale: set[str]
) -> None:
    def with_settings(values: dict[str, int]) -> Project:
        settings = SimpleNamespace(toy=SimpleNamespace(**values))
        workspace = replace(project.workspace, read_settings=lambda _: settings)
        return replace(project, workspace=workspace, graph=Graph([lengths, lines], [words]))

    one, other = versions_of(with_settings(before)), versions_of(with_settings(after))
    assert {name for name in one if one[name] != other[name]} == stale


def test_definitions_load_with_settings_that_cannot_be_read(project: Project) -> None:
    def refuse(_: Path) -> None:
        raise ValueError("iip.toml is no TOML")

    workspace = replace(project.workspace, read_settings=refuse)
    broken = replace(project, workspace=workspace, graph=Graph([lengths, lines], [words]))
    assert versions_of(broken)["lines"] == "first"


def test_a_check_that_did_not_look_has_no_result(definitions: dg.Definitions) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = materialize(definitions, instance)
    assert result.success
    found = {one.check_name: one.passed for one in result.get_asset_check_evaluations()}
    assert found == {"none_is_empty": True}


def test_parts_of_the_definitions_can_be_replaced(project: Project) -> None:
    reader = Counting(project)
    definitions = build_dagster_definitions(
        project,
        overrides={
            "executor": dg.multiprocess_executor,
            "resources": {
                "io_manager": reader,
                "more": dg.ResourceDefinition.hardcoded_resource(1),
            },
        },
    )
    assert definitions.executor is dg.multiprocess_executor
    assert {"io_manager", "more"} <= (definitions.resources or {}).keys()
    with dg.DagsterInstance.ephemeral() as instance:
        materialize(build_dagster_definitions(project), instance)
        definitions.load_asset_value("lengths", instance=instance)
    assert reader.asked == 1


def test_force_in_the_launchpad_computes_what_is_recorded(
    definitions: dg.Definitions, outcomes: dict[str, Outcome]
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        materialize(definitions, instance)
        materialize(definitions, instance)
        assert outcomes["lengths"].reused
        materialize(definitions, instance, force=True)
        assert not outcomes["lengths"].reused


def test_pages_get_rows_columns_place_description_and_check(definitions: dg.Definitions) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = materialize(definitions, instance)
    (event,) = result.asset_materializations_for_node("lengths")
    assert event.metadata["dagster/row_count"].value == 2
    columns = event.metadata["dagster/column_schema"].value.columns
    assert [(one.name, one.type) for one in columns] == [("word", "String"), ("letters", "Int64")]
    assert [one.description for one in columns] == ["the word", "how long it is"]
    assert Path(str(event.metadata["dagster/uri"].value)).is_file()
    assert event.metadata["longest"].value == 2
    (check,) = result.get_asset_check_evaluations()
    assert (check.check_name, check.passed, check.blocking) == ("none_is_empty", True, True)


def test_dagster_loads_the_stored_value(definitions: dg.Definitions) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        materialize(definitions, instance)
        value = definitions.load_asset_value("lengths", instance=instance)
    assert isinstance(value, pl.DataFrame)
    assert value["letters"].to_list() == [1, 2]
