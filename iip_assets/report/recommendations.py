"""What the numbers suggest doing next: hints that name their evidence and claim no cause."""

from __future__ import annotations

from typing import Any

from iip_assets.audit.explained_words import APART, RIGHT, WRONG
from iip_assets.evaluation.evaluation_rows import UNKNOWN
from iip_assets.metrics.display_names import spelled
from iip_assets.report.formats import interval, number

MOST_OF_A_KIND = 2

Record = dict[str, Any]


def next_steps(content: Record) -> list[Record]:
    """Hints: weak slices, rare classes, where models look, coverage, drift, robustness, labels.

    Args:
        content: The report's numbers, of `report_content`.

    Returns:
        Records of title and text, and the id of the section with the evidence.
    """
    recommendations = [
        *_weak_slices(content),
        *_rare_classes(content),
        *_looks_elsewhere(content),
        *_coverage_gaps(content),
        *_drift(content),
        *_robustness(content),
        *_labels(content),
        *_files(content),
        *_small_slices(content),
    ]
    if not recommendations:
        recommendations.append(
            {
                "title": "Nothing stands out",
                "text": "No slice, coverage gap or moved feature is clear enough to act on. More "
                "test images narrow the intervals.",
                "section": "slices",
            }
        )
    return recommendations


def _weak_slices(content: Record) -> list[Record]:
    found = []
    for model, rows in content.get("slices", {}).items():
        overall = next((h for h in content["headlines"] if h["model"] == model), None)
        if overall is None or overall["value"] is None:
            continue
        # Only where the whole interval lies below: a low value of few images is often luck.
        weak = [
            row
            for row in rows
            if row["enough"]
            and row["slice"] != UNKNOWN
            and row["high"] is not None
            and row["high"] < overall["value"]
        ]
        weak.sort(key=lambda row: (row["value"], row["axis"], row["slice"]))
        found += [
            {
                "title": f"The {model} is weaker on {row['axis']} {row['slice']}",
                "text": f"{spelled(row['metric'])} {row['value']:.3f} ({row['low']:.3f} to "
                f"{row['high']:.3f}, n = {row['n_images']}) against {overall['value']:.3f} "
                "overall. Many slices are compared, so a few of them lie low by chance: look at "
                "the failures before labeling more of these.",
                "section": "slices",
            }
            for row in weak[:MOST_OF_A_KIND]
        ]
    return found


def _rare_classes(content: Record) -> list[Record]:
    rare = [row for row in content.get("classes", []) if row["rare"]]
    rare.sort(key=lambda row: (row["train_subjects"], row["model"], row["class"]))
    return [
        {
            "title": f"The {row['model']}'s class {row['class']} is rare",
            "text": f"{row['train_images']} training images of {row['train_subjects']} subjects "
            f"({row['train_share']:.1%}); "
            + (
                "no test image has it."
                if row["value"] is None
                else f"{spelled(row['metric'])} {number(row['value'])} ({interval(row)}, "
                f"n = {row['test_images']}"
                + (")." if row["enough"] else ", too few subjects to judge).")
            ),
            "section": "metrics",
        }
        for row in rare[:MOST_OF_A_KIND]
    ]


def _looks_elsewhere(content: Record) -> list[Record]:
    """Models that look at the eye less where they are wrong than where they are right."""
    rows = (content.get("explanations") or {}).get("measures", [])
    # Beyond chance: where the eye is small, little lies on it anyway.
    gains = [row for row in rows if row["metric"] == "share_gain" and row["enough"]]
    found = []
    for row in gains:
        if row["predictions"] != APART or row["low"] is None or row["low"] <= 0:
            continue
        mean = {one["predictions"]: one["value"] for one in gains if one["model"] == row["model"]}
        found.append(
            {
                "title": f"Where the {row['model']} is wrong, it looks less at the eye",
                "text": f"The share of what counted that lies on the eye is {mean[RIGHT]:.2f} "
                f"above chance where it is right, {mean[WRONG]:.2f} where it is wrong (difference "
                f"{row['low']:.2f} to {row['high']:.2f}, n = {row['n_images']} each at least). "
                "See what it looked at instead, and whether the labels are right.",
                "section": "explanations",
            }
        )
    return found


def _coverage_gaps(content: Record) -> list[Record]:
    rows = [
        row
        for row in content.get("coverage", [])
        if row["target"] is not None and (row["gap"] or 0) < 0
    ]
    rows.sort(key=lambda row: (row["gap"], row["axis"], row["value"]))
    return [
        {
            "title": f"Too few images of {row['axis']} {row['value']}",
            "text": f"{row['share']:.1%} of the images where it is known (n = {row['n']}), the "
            f"target is {row['target']:.1%}."
            + (f" {row['needed']} more would reach it." if row["needed"] else ""),
            "section": "coverage",
        }
        for row in rows[:MOST_OF_A_KIND]
        if row["share"] is not None
    ]


def _drift(content: Record) -> list[Record]:
    drift = content.get("drift")
    if drift is None:
        return []
    moved = [column for column in drift["columns"] if column["moved"]]
    return [
        {
            "title": f"Batch {drift['batch']} differs in {spelled(column['name'])}",
            "text": f"{column['change']}; distance {column['score']:.2f}, from "
            f"{column['threshold']:.2f} it counts as moved. If images will look like this from "
            f"now on, test images should too.",
            "section": "drift",
        }
        for column in moved[:MOST_OF_A_KIND]
    ]


def _robustness(content: Record) -> list[Record]:
    found = []
    for model in dict.fromkeys(row["model"] for row in content.get("robustness", [])):
        rows = [row for row in content["robustness"] if row["model"] == model and row["loss"]]
        worst = max(rows, key=lambda row: (row["loss"], row["corruption"]), default=None)
        if worst is None or worst["loss"] < 0.05:
            continue
        found.append(
            {
                "title": f"The {model} suffers most from {spelled(worst['corruption'])}",
                "text": f"{spelled(worst['metric'])} falls by {worst['loss']:.3f} at severity "
                f"{worst['severities'][-1]} (n = {worst['n_images']}). Augmentation or more such "
                f"images may help, if they occur in use.",
                "section": "robustness",
            }
        )
    return found


def _labels(content: Record) -> list[Record]:
    labels = content["counts"]["labels"]
    found = []
    if labels.get("unclear"):
        found.append(
            {
                "title": "Labels to discuss",
                "text": f"{labels['unclear']} images are labelled unclear; none of them trains "
                "a model.",
                "section": "dataset",
            }
        )
    if labels.get("no label"):
        found.append(
            {
                "title": "Images without a label",
                "text": f"{labels['no label']} of {content['counts']['images']} images have none.",
                "section": "dataset",
            }
        )
    return found


def _files(content: Record) -> list[Record]:
    total = content["quarantine"]["total"] if content.get("quarantine") else 0
    if not total:
        return []
    return [
        {
            "title": "Files and rows that could not be used",
            "text": f"In quarantine: {total}, each with how to fix it.",
            "section": "quarantine",
        }
    ]


def _small_slices(content: Record) -> list[Record]:
    small = {
        (row["axis"], row["slice"])
        for rows in content.get("slices", {}).values()
        for row in rows
        if not row["enough"] and row["slice"] != UNKNOWN
    }
    if not small:
        return []
    named = ", ".join(f"{axis} {name}" for axis, name in sorted(small)[:5])
    more = f" and {len(small) - 5} more" if len(small) > 5 else ""
    return [
        {
            "title": "Slices too small to judge",
            "text": f"Too few held-out images in {named}{more}.",
            "section": "slices",
        }
    ]
