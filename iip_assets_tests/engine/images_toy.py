"""A toy graph over images: measured one by one, a model of them all, and what the model says.

Performed in this process, one asset after the other, with an event log in memory. The images are
lines of a file: path, id of the image, id of its mask or `-`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import polars as pl

from iip_assets.engine.asset import asset
from iip_assets.engine.context import AssetContext
from iip_assets.engine.graph import Graph, Source
from iip_assets.engine.outcomes import Outcome
from iip_assets.engine.perform import Performer
from iip_assets.engine.plan import Planned, make_plan
from iip_assets.engine.project import Project
from iip_assets.engine.staleness import find_states
from iip_assets.engine.values import Files, Setting
from iip_assets.engine.workspace import Workspace
from iip_assets_tests.engine.stand_ins import DictEvents, Keys

Image = tuple[str, str, str | None]


def write_images(root: Path, images: Sequence[Image]) -> None:
    lines = [f"{path} {image} {mask or '-'}" for path, image, mask in sorted(images)]
    (root / "images").write_text("\n".join(lines))


def parse(version: str) -> pl.DataFrame:
    rows = [line.split() for line in version.splitlines()]
    return pl.DataFrame(
        {
            "path": [row[0] for row in rows],
            "image_id": [row[1] for row in rows],
            "mask_id": [None if row[2] == "-" else row[2] for row in rows],
        },
        schema={"path": pl.String, "image_id": pl.String, "mask_id": pl.String},
    )


def rows_of(root: Path, version: str) -> pl.DataFrame:
    return parse(version).unique("image_id", keep="first", maintain_order=True).drop("path")


def ids_of(root: Path, version: str) -> set[str]:
    return {part for line in version.splitlines() for part in line.split()[1:]}


images = Source(
    "images",
    "toy",
    "Images.",
    lambda root: (root / "images").read_text(),
    lambda _, version: parse(version),
    version_at=lambda text_of: text_of("images"),
    ids=ids_of,
    rows=rows_of,
)


@asset(room="toy")
def table(images: pl.DataFrame) -> pl.DataFrame:
    return images.unique("image_id", keep="first", maintain_order=True)


def measure(records: list[dict[str, Any]], *, scale: int) -> list[dict[str, Any]]:
    return [{"size": len(one["image_id"]) * scale} for one in records]


@asset(room="toy")
def measured(
    table: pl.DataFrame, *, scale: Annotated[int, Setting("toy.scale")], context: AssetContext
) -> pl.DataFrame:
    rows = table.select("image_id", "mask_id")
    return context.fill("measures", rows, measure, given={"scale": scale}, chunk=2).frame


@asset(room="toy")
def model(measured: pl.DataFrame, *, seed: Annotated[int, Setting("toy.seed")]) -> Files:
    total = measured["size"].sum() if measured.height else 0
    return Files({"weights": f"{total} {seed}".encode()})


def predict(records: list[dict[str, Any]], *, weights: str) -> list[dict[str, Any]]:
    return [{"said": f"{weights} {one['image_id']}"} for one in records]


@asset(room="toy")
def predicted(table: pl.DataFrame, model: Files, *, context: AssetContext) -> pl.DataFrame:
    given = {"weights": model.parts["weights"].decode()}
    return context.fill("said", table.select("image_id"), predict, given=given).frame


ASSETS = [table, measured, model, predicted]


class ImagesToy:
    """The graph in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.keys = Keys()
        self.events = DictEvents()
        self.set(scale=1, seed=0)
        workspace = Workspace(root, read, settings_at=lambda text_of: read_text(text_of("toy")))
        self.project = Project(Graph(ASSETS, [images]), workspace, self.keys)

    def set(self, *, scale: int, seed: int) -> None:
        (self.root / "toy").write_text(f"{scale} {seed}")

    def write(self, *images: Image) -> None:
        write_images(self.root, images)

    def plan(self) -> dict[str, Planned]:
        self.events.observe("images", images.observe(self.root))
        states = find_states(self.project, self.events)
        return {one.asset: one for one in make_plan(self.project, self.events, states, states)}

    def refresh(self) -> dict[str, Outcome]:
        """Performs every asset; gives those that were due."""
        self.events.observe("images", images.observe(self.root))
        due = [name for name, one in find_states(self.project, self.events).items() if one.due]
        return {name: self.perform(name) for name in due}

    def perform(self, name: str) -> Outcome:
        performer = Performer(self.project, self.events, lambda _: None)
        one = self.project.graph.assets[name]
        outcome = performer.perform(one, loaded=self.project.code_of(one))
        self.events.made[name] = outcome.materialized
        return outcome


def read(root: Path) -> SimpleNamespace:
    return read_text((root / "toy").read_text())


def read_text(text: str) -> SimpleNamespace:
    scale, seed = map(int, text.split())
    return SimpleNamespace(toy=SimpleNamespace(scale=scale, seed=seed))
