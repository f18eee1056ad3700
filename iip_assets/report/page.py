"""The page: content and images through the template. Decides nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from iip_assets.metrics.display_names import spelled
from iip_assets.report.formats import count, interval, number, percent
from iip_assets.report.style import CSS
from iip_assets.report.tables import TABLES
from iip_assets.report.template import TEMPLATE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iip_assets.report.figures import EmbeddedFigure

SECTIONS = (
    ("dataset", "Dataset", ("counts",)),
    ("quarantine", "Quarantine", ("quarantine",)),
    ("coverage", "Coverage", ("coverage",)),
    ("light", "Light and background", ("lighting", "background")),
    ("map", "Map and edge cases", ("map", "clusters")),
    ("balance", "Training set balance", ("balance",)),
    ("training", "Training", ("augmented",)),
    ("metrics", "Models", ("metrics",)),
    ("passing", "What the filter lets pass", ("passing",)),
    ("slices", "By slice", ("slices",)),
    ("failures", "Failures", ("failures",)),
    ("explanations", "Where the models looked", ("explanations",)),
    ("versions", "Versions", ("versions",)),
    ("robustness", "Robustness", ("robustness",)),
    ("drift", "Drift", ("drift",)),
)


class _Defaults(dict[str, Any]):
    """Absent sections read as None, so that the template can ask for them."""

    def __missing__(self, key: str) -> None:
        return None


def render_page(
    content: Mapping[str, Any],
    *,
    images: Mapping[str, EmbeddedFigure],
    strips: Sequence[Mapping[str, Any]],
    thumbnails: Mapping[str, EmbeddedFigure],
    explained: Mapping[str, Mapping[str, EmbeddedFigure]],
) -> str:
    """The report as one HTML page that loads nothing.

    Args:
        content: Of `report_content`.
        images: Plots by name: coverage, map, outliers, balance, robustness,
            robustness_groups, drift, threshold, augmented, versions, slices_<model>,
            yardsticks_<model>, legend_<model>.
        strips: Rows of the cluster table with a `image` each.
        thumbnails: Images of failures by image id.
        explained: Images beside what counted in them, by model and image id.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters.update(
        count=count, number=number, percent=percent, interval=interval, spelled=spelled
    )
    sections = [("next", "Next steps")] + [
        (anchor, title) for anchor, title, keys in SECTIONS if _shown(content, anchor, keys)
    ]
    return environment.from_string(TEMPLATE).render(
        c=_Defaults(content),
        # Our own text, not the data's: quotes in it must stay quotes.
        css=Markup(CSS),  # noqa: S704
        sections=sections,
        tables=TABLES,
        images=_Defaults(images),
        strips=strips,
        thumbnails=thumbnails,
        explained=explained,
    )


def _shown(content: Mapping[str, Any], anchor: str, keys: Sequence[str]) -> bool:
    if anchor == "failures":
        return any((content.get("failures") or {}).values())
    return any(content.get(key) for key in keys)
