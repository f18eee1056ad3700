"""A version's card: what it is, what it was made of, how good it is and for whom it is not.

After Mitchell et al., Model Cards for Model Reporting (2019).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, StrictUndefined

from iip_assets.models.tasks import FILTER, SEGMENTER

USES = {
    FILTER.name: "Tells images with a whole iris, with a part of one and with none apart, so that "
    "only usable ones reach the segmenter.",
    SEGMENTER.name: "Names the class of every pixel of an eye image. It stands behind the filter, "
    "which should have let the image pass.",
}

_MARKDOWN = """# {{ model }} {{ version }}

{{ use }}

It says nothing about who somebody is, and was not made to.

## Made of

| | |
| --- | --- |
| data revision | `{{ facts.data_revision }}` |
| git commit | `{{ facts.git_commit }}` |
| code key | `{{ facts.code_key }}` |
| action key | `{{ facts.action_key }}` |
| trained at | {{ facts.made_at }} |
| trained and chosen on | {{ facts.learned_from }} images |
| digest | `{{ digest }}` |
| ONNX against torch | {{ facts.onnx }} |

Settings:

{% for name, value in facts.settings | dictsort %}- `{{ name }}` = `{{ value }}`
{% endfor %}
## How good it is

On test images that it was neither trained nor chosen on, with {{ percent }} intervals over
subjects.

| metric | value | from | to | images | subjects |
| --- | ---: | ---: | ---: | ---: | ---: |
{% for row in overall %}| {{ row.metric }} | {{ row.value }} | {{ row.low }} | {{ row.high }} | \
{{ row.n_images }} | {{ row.n_subjects }} |
{% endfor %}

{% if validation %}On the {{ validation.n_images }} validation images of \
{{ validation.n_subjects }} subjects, by which its best epoch was chosen: `{{ metric }}` \
{{ validation.value }}{% if validation.low %} ({{ validation.low }} to \
{{ validation.high }}){% endif %}.
{% else %}There were no validation images to judge it on.
{% endif %}

## For whom

`{{ metric }}` by slice.

| slice | value | from | to | images | subjects | |
| --- | ---: | ---: | ---: | ---: | ---: | --- |
{% for row in slices %}| {{ row.axis }} {{ row.slice }} | {{ row.value }} | {{ row.low }} | \
{{ row.high }} | {{ row.n_images }} | {{ row.n_subjects }} | \
{{ "" if row.enough else "too small to judge" }} |
{% endfor %}
## Limits

{% if unjudged %}Too few test images to judge: {{ unjudged | join(", ") }}.
{% else %}Every slice has enough test images to be judged.
{% endif %}
A number holds for images like those of the test split. Other cameras, other light, other people
are another question: look at the drift report before trusting it there.
"""

_HTML = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>{{ css }}</style></head><body><main>{{ body }}</main></body></html>
"""


def card_markdown(
    model: str,
    version: str,
    facts: Mapping[str, Any],
    metrics: Sequence[Mapping[str, Any]],
    *,
    digest: str,
    metric: str,
    confidence: float,
) -> str:
    """The card as Markdown.

    Args:
        model: `filter` or `segmenter`.
        version: Its number.
        facts: What is recorded with the version.
        metrics: Rows of the table `metrics` of an evaluation, of this model alone.
        digest: What tells it from others.
        metric: The headline metric.
        confidence: Of the intervals.
    """
    shown = [{**row, **_rounded(row)} for row in metrics]
    slices = [row for row in shown if row["axis"] != "overall" and row["metric"] == metric]
    environment = Environment(undefined=StrictUndefined, trim_blocks=True)  # noqa: S701 - no HTML
    return environment.from_string(_MARKDOWN).render(
        model=model,
        version=version,
        use=USES[model],
        facts=facts,
        digest=digest,
        percent=f"{confidence:.0%}",
        metric=metric,
        overall=[row for row in shown if row["axis"] == "overall"],
        slices=slices,
        validation=facts["validation"] and {**facts["validation"], **_rounded(facts["validation"])},
        unjudged=[f"{row['axis']} {row['slice']}" for row in slices if not row["enough"]],
    )


def card_html(title: str, markdown: str, *, css: str) -> str:
    """The card as a page that loads nothing."""
    from markdown_it import MarkdownIt
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined)
    # The renderer lets no HTML of the text through.
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    return environment.from_string(_HTML).render(
        title=title,
        body=Markup(body),  # noqa: S704
        css=Markup(css),  # noqa: S704
    )


def _rounded(row: Mapping[str, Any]) -> dict[str, str]:
    return {end: "" if row[end] is None else f"{row[end]:.3f}" for end in ("value", "low", "high")}
