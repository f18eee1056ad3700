"""The graph as the Dagster UI sees and runs it, through the API that the page itself uses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from iip_assets_tests.graph.conftest import Team
from iip_assets_tests.graph.page import NODES, Page, dagster_dev

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("revert")]

# The sensors look once, when all is fresh, and leave the buttons to the person here.
A_DAY = {"IIP_AUTOMATION__INTERVAL_S": "86400"}


@pytest.fixture(scope="module")
def page(team: Team) -> Iterator[Page]:
    with dagster_dev(team.root, A_DAY) as made:
        yield made


def test_every_asset_stands_in_its_room(page: Page, team: Team) -> None:
    nodes = page.ask(NODES)["assetNodes"]
    groups = {node["assetKey"]["path"][0]: node["groupName"] for node in nodes}
    assert set(groups) == {"dvc_data", "model_registry", *team.status()}
    assert groups["dvc_data"] == "dataset"
    assert groups["drift_report"] == "drift"


def test_stale_shows_and_the_refresh_job_and_materialize_all_do_only_what_is_due(
    page: Page, team: Team
) -> None:
    labels = sorted((team.root / "data" / "batches").glob("*/labels.csv"))[0]
    header, *rows = labels.read_text().splitlines()
    labels.unlink()
    labels.write_text("\n".join([header, *rows[1:], rows[0]]) + "\n")
    team.dvc("add", "--quiet", "data")
    assert team.status()["raw_dataset"]["state"] == "stale"
    assert page.stale() == {"raw_dataset"}

    done = page.materialized(page.launch("refresh"))
    assert [name for name, made in done.items() if not made["reused"]] == ["raw_dataset"]
    assert all(
        {"made_at", "made_of", "modules", "packages", "settings", "sources"} <= made["told"]
        for made in done.values()
    )
    assert page.stale() == set()
    assert team.refresh()["computed"] == []

    again = page.materialized(page.launch("__ASSET_JOB", list(team.status())))
    assert set(again) == set(team.status())
    assert all(made["reused"] for made in again.values())
