"""The report's markup, a Jinja template.

It stands in a module and not beside one, so that a change of it is a change of code, after which
the report is drawn again. Jinja escapes everything that comes from the data.
"""

MACROS = """
{%- macro plot(image, caption="") -%}
{% if image %}<figure class="plot">
<img src="{{ image.uri }}" alt="{{ image.alt }}"
{%- if image.width_px %} width="{{ image.width_px }}"{% endif %}>
{% if caption %}<figcaption>{{ caption }}</figcaption>{% endif %}</figure>{% endif %}
{%- endmacro -%}
{%- macro table(name, rows, about="") -%}
{% set spec = tables[name] %}
<div class="scroll" tabindex="0" role="group" aria-label="Table: {{ spec.caption }} {{ about }}">
<table><caption>{{ spec.caption }}</caption><thead><tr>
{% for column in spec.columns %}
<th scope="col"{% if column.numeric %} class="n"{% endif %}>{{ column.title }}</th>
{% endfor %}</tr></thead><tbody>
{% for row in rows %}<tr>
{% for column in spec.columns %}
{% if loop.first %}<th scope="row">{{ column.cell(row) }}</th>
{% else %}<td class="{{ 'n' if column.numeric else 'wrap' }}">{{ column.cell(row) }}</td>{% endif %}
{% endfor %}</tr>
{% endfor %}</tbody></table></div>
{%- endmacro -%}
{%- macro folded(title, name, rows) -%}
<details><summary>{{ title }}</summary>{{ table(name, rows, title) }}</details>
{%- endmacro -%}
{%- macro gallery(rows, found=thumbnails, kind="") -%}
<ul class="gallery {{ kind }}">{% for row in rows %}{% set shown = found[row.image_id] %}
<li><figure><img src="{{ shown.uri }}" alt="{{ shown.alt }}">
<figcaption>{{ caller(row) }}</figcaption></figure></li>
{% endfor %}</ul>
{%- endmacro -%}
"""

HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Iris image pipeline: report on {{ c.counts.images | count }} images</title>
<style>{{ css }}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the report</a>
<div class="layout">
<nav aria-label="Contents"><strong>Contents</strong><ul>
{% for id, title in sections %}<li><a href="#{{ id }}">{{ title }}</a></li>
{% endfor %}</ul></nav>
<main id="main" tabindex="-1">
<header>
<h1>Iris image pipeline: report</h1>
<p class="soft">{{ c.counts.images | count }} images of {{ c.counts.subjects | count }} known
subjects in {{ c.counts.batches | count }} batches; {{ c.counts.with_mask | count }} have a mask.
{% if c.counts.splits %}
Training {{ c.counts.splits.train | count }}, validation {{ c.counts.splits.validation | count }},
test {{ c.counts.splits.test | count }}.
{% endif %}
{% if c.headlines %}Models are judged on images of people whom they never saw.{% endif %}</p>
</header>
<ul class="tiles" aria-label="Headline numbers">
{% for h in c.headlines %}
<li class="tile"><span class="name">{{ h.model }}: {{ h.metric | spelled }}</span>
<b>{{ h.value | number }}</b><span>95% interval {{ h | interval }}</span>
<span>n = {{ h.n_images | count }} images
{% if h.n_subjects %}of {{ h.n_subjects | count }} subjects{% endif %}</span>
{% if h.baseline is not none %}<span>trivial baseline {{ h.baseline | number }}</span>{% endif %}
</li>
{% endfor %}
{% if c.drift %}
<li class="tile"><span class="name">drift of batch {{ c.drift.batch }}</span>
<b>{{ c.drift.share_moved | percent }}</b>
<span>of {{ c.drift["columns"] | length }} features moved</span>
<span>n = {{ c.drift.n_current | count }} images</span></li>
{% endif %}
{% if c.quarantine %}
<li class="tile"><span class="name">quarantine</span><b>{{ c.quarantine.total | count }}</b>
<span>images, masks and rows that could not be used</span></li>
{% endif %}
</ul>
{% if c.skipped %}
<section class="note" aria-labelledby="skipped"><h2 id="skipped">Skipped</h2>
{% for s in c.skipped %}<p><strong>{{ s.asset }}</strong>: {{ s.reason }}</p>
{% endfor %}</section>
{% endif %}
<section aria-labelledby="next"><h2 id="next">Next steps</h2>
<p class="soft">Drawn from the numbers below. They name evidence, not causes.</p>
<ol class="steps">
{% for step in c.next_steps %}
<li><strong><a href="#{{ step.section }}">{{ step.title }}</a></strong>. {{ step.text }}</li>
{% endfor %}</ol></section>
"""

DATA = """
<section aria-labelledby="dataset"><h2 id="dataset">Dataset</h2>
{{ table("batches", c.batches) }}</section>

{% if c.quarantine %}
<section aria-labelledby="quarantine"><h2 id="quarantine">Quarantine</h2>
{% if c.quarantine.total %}
<p>Entries that could not be used: {{ c.quarantine.total | count }}.
{% if c.quarantine.total > c.quarantine.rows | length %}
The first {{ c.quarantine.rows | length }} are shown.{% endif %}</p>
{{ table("quarantine", c.quarantine.rows) }}
{% else %}<p>Everything could be used.</p>{% endif %}</section>
{% endif %}

{% if c.coverage %}
<section aria-labelledby="coverage"><h2 id="coverage">Coverage</h2>
<p>Shares are of the images whose value is known, with 95% intervals.</p>
{{ plot(images.coverage) }}
{{ folded("Coverage as a table", "coverage", c.coverage) }}</section>
{% endif %}

{% if c.lighting or c.background %}
<section aria-labelledby="light"><h2 id="light">Light and background</h2>
<div class="side">{% if c.lighting %}{{ table("lighting", c.lighting) }}{% endif %}
{% if c.background %}{{ table("background", c.background) }}{% endif %}</div></section>
{% endif %}

{% if c.map or c.clusters %}
<section aria-labelledby="map"><h2 id="map">Map and edge cases</h2>
<p>Images that look alike to the backbone lie together. Small groups are edge cases to look at.</p>
{{ plot(images.map) }}
{% for strip in strips %}
<figure class="strip"><figcaption><b>Cluster {{ strip.cluster }}</b>:
{{ strip.images | count }} images ({{ strip.share | percent }})
{%- if strip.edge_case %}, an edge case{% endif %}
{%- if strip.labels %}; {{ strip.labels }}{% endif %}
{%- if strip.over_represented %}; more {{ strip.over_represented }}{% endif %}</figcaption>
<img src="{{ strip.image.uri }}" alt="{{ strip.image.alt }}"></figure>
{% endfor %}
{% if c.clusters and c.clusters.rows | length > strips | length %}
<p class="soft">{{ c.clusters.rows | length - strips | length }} larger clusters are not shown.</p>
{% endif %}
{% if images.outliers %}
<h3>Farthest from everything else</h3><figure class="strip">
<img src="{{ images.outliers.uri }}" alt="{{ images.outliers.alt }}"></figure>
{% endif %}</section>
{% endif %}

{% if c.balance %}
<section aria-labelledby="balance"><h2 id="balance">Training set balance</h2>
<p>With their weights, {{ c.balance.images | count }} training images say as much as
{{ c.balance.effective | count }} equal ones; the largest weight is
{{ c.balance.largest_weight | number }}.</p>
{{ plot(images.balance) }}</section>
{% endif %}
"""

TRAINING = """
{% if c.augmented %}
<section aria-labelledby="training"><h2 id="training">Training</h2>
<p>The segmenter sees each training image changed in ways in which images of one eye differ.
In brackets: in how many of the images. White lines are the mask's borders, which move with the
image.</p>
{{ plot(images.augmented) }}</section>
{% endif %}
"""

MODELS = """
{% if c.metrics %}
<section aria-labelledby="metrics"><h2 id="metrics">Models</h2>
{% for model, rows in c.reference_points.items() %}
<h3>The {{ model }} and what it is held against</h3>
{{ plot(images["yardsticks_" + model]) }}
{{ table("reference_points", rows, model) }}
{% if "people" in rows | map(attribute="who") %}
<p class="soft">People: each labeler judged by the other labelers' words on the same image; beside
them the present model, judged by those very words.</p>
{% else %}
<p class="soft">No human level: no test image was labelled by several people. A batch with
annotations.csv takes the words of each.</p>
{% endif %}
{% endfor %}
{% if c.classes %}
<h3>Classes</h3>
{{ table("classes", c.classes) }}
{% endif %}
<h3>All metrics</h3>
{{ table("metrics", c.metrics) }}
{% for model, cells in c.confusion.items() %}
<h3>Confusion of the {{ model }}</h3>
<div class="scroll" tabindex="0" role="group" aria-label="Table: confusion of the {{ model }}">
<table class="confusion">
<caption>Rows: what it is. Columns: what the {{ model }} said. Shares are of the row
{%- if model == "segmenter" %}, counts are pixels{% endif %}.</caption>
<thead><tr><td></td>
{% for name in cells.classes %}<th scope="col">{{ name }}</th>{% endfor %}</tr></thead><tbody>
{% for name in cells.classes %}
{% set row = loop.index0 %}{% set total = cells.counts[row] | sum %}
<tr><th scope="row">{{ name }}</th>
{% for n in cells.counts[row] %}{% set share = n / total if total else 0 %}
<td{% if loop.index0 == row %} class="right"{% endif %}
 style="background: rgb(var(--cell) / {{ '%.2f' | format(0.5 * share) }})">
{% if total %}{{ share | percent }}{% endif %}<br><span>{{ n | count }}</span></td>
{% endfor %}</tr>
{% endfor %}</tbody></table></div>
{% endfor %}</section>
{% endif %}

{% if c.passing %}
<section aria-labelledby="passing"><h2 id="passing">What the filter lets pass</h2>
<p>{{ c.passing.passed | count }} images pass, {{ c.passing.rejected | count }} are rejected. The
threshold, {{ c.passing.threshold | number }}, is where lost irises and failed segmentations cost
least on the validation images; with perfectly calibrated probabilities it would be
{{ c.passing.break_even | number }}.</p>
{{ plot(images.threshold, "The band is the 95% interval of the cost, over subjects.") }}
{% if c.passing.to_label %}
<h3>Rejected, and never labelled: {{ c.passing.rejected_unlabelled | count }}</h3>
<p>The least sure first. A label on these teaches the filter most.</p>
{% call(row) gallery(c.passing.to_label) %}
<b>{{ row.predicted }}</b>, usable {{ row.usable_score | percent }}, {{ row.batch or "no batch" }}
{% endcall %}
{% endif %}</section>
{% endif %}

{% if c.slices %}
<section aria-labelledby="slices"><h2 id="slices">By slice</h2>
<p>Lines are 95% intervals, the dashed line is the overall value. Slices with too few held-out
images are grey and hollow: do not read them as findings.</p>
{% for model, rows in c.slices.items() %}
<h3>{{ model | capitalize }}</h3>
{{ plot(images["slices_" + model]) }}
{{ folded("The " + model + " by slice as a table", "slices", rows) }}
{% endfor %}</section>
{% endif %}

{% if c.failures and (c.failures.segmenter or c.failures.filter) %}
<section aria-labelledby="failures"><h2 id="failures">Failures</h2>
<p>Held-out images to look at first. Some may be errors of the label rather than of the model.</p>
{% if c.failures.segmenter %}
<h3>Segmenter: lowest {{ c.failures.segmenter[0].metric }}</h3>
{% call(row) gallery(c.failures.segmenter) %}
<b>{{ row.value | number }}</b> {{ row.label or "no label" }}, {{ row.batch or "no batch" }}
{% endcall %}
{% endif %}
{% if c.failures.filter %}
<h3>Filter: surest contradictions of the label</h3>
{% call(row) gallery(c.failures.filter) %}
<b>{{ row.predicted }} {{ row.confidence | percent }}</b>, labelled {{ row.label }},
{{ row.batch or "no batch" }}
{% endcall %}
{% endif %}</section>
{% endif %}

{% if c.explanations %}
<section aria-labelledby="explanations"><h2 id="explanations">Where the models looked</h2>
<p>The hardest images, and beside each which parts counted: parts were hidden one after another, and
a part counts what the model's word loses by it. White lines are what is true: for the filter the
eye, for the segmenter the class. Orange lines are where the segmenter saw the class. Colours are on
each image's own scale.</p>
{% for model, rows in c.explanations.images.items() %}
<h3>{{ model | capitalize }}</h3>
{{ plot(images["legend_" + model]) }}
{% call(row) gallery(rows, explained[model], "wide") %}
{{ row.caption }}; {{ row.batch or "no batch" }}
{% endcall %}
{% endfor %}
<h3>Does it look at the eye, and is that so</h3>
<p>Over a sample of right and of wrong predictions: the share of what counted that lies on the eye,
beside the eye's share of the image, which is what chance has there. The deletion gain says whether
this is true of the model: how much smaller the area under its curve is while the parts that counted
most are hidden first than while parts are hidden by chance. At 0 the images above mean
nothing.</p>
{{ table("explanations", c.explanations.measures) }}</section>
{% endif %}

{% if c.versions %}
<section aria-labelledby="versions"><h2 id="versions">Versions</h2>
<p>Every registered version and the present models, on the same test images; on none of these was
any version trained or chosen.</p>
{{ plot(images.versions) }}
{{ table("versions", c.versions.rows) }}
{% if c.versions.refusals %}<h3>Refused by the promotion gate</h3><ul>
{% for words in c.versions.refusals %}<li>{{ words }}</li>{% endfor %}</ul>{% endif %}
</section>
{% endif %}

{% if c.robustness %}
<section aria-labelledby="robustness"><h2 id="robustness">Robustness</h2>
{{ plot(images.robustness, "Bands are 95% intervals.") }}
{{ folded("Losses as a table", "robustness", c.robustness) }}
{% if c.robustness_groups %}
<h3>By group</h3>
{{ plot(images.robustness_groups) }}
{{ folded("Groups as a table", "robustness_groups", c.robustness_groups) }}
{% endif %}</section>
{% endif %}

{% if c.drift %}
<section aria-labelledby="drift"><h2 id="drift">Drift</h2>
<p>{{ c.drift.n_current | count }} images of batch {{ c.drift.batch }} against
{{ c.drift.n_reference | count }} training images of older batches. A feature moved where its
distance is above the limit: the set threshold, or what chance gives for so many images, whichever
is larger.</p>
{{ plot(images.drift) }}
{{ table("drift", c.drift["columns"]) }}
{% if c.drift.not_compared %}
<details><summary>Not compared: {{ c.drift.not_compared | length }} features</summary><ul>
{% for row in c.drift.not_compared %}<li>{{ row.name }}: {{ row.reason }}</li>
{% endfor %}</ul></details>
{% endif %}</section>
{% endif %}
"""

FOOT = """
<footer>Intervals are 95%. Drawn from the recorded results of the asset graph alone; this page
loads nothing.</footer></main></div></body></html>
"""

TEMPLATE = MACROS + HEAD + DATA + TRAINING + MODELS + FOOT
