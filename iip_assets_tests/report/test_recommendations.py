"""Hints name what the numbers support, and nothing else."""

from __future__ import annotations

import polars as pl

from iip_assets.engine.values import Report, Skipped
from iip_assets.report.sections.data import dataset
from iip_assets_tests.report.samples import (
    HOSTILE,
    class_table,
    content_of,
    drift_data,
    image_table,
    metrics_table,
    raw_tables,
    sample_inputs,
)


def titles(**changes):
    content = content_of(sample_inputs(**changes), edge_share=0.05)
    return [recommendation["title"] for recommendation in content["next_steps"]]


def evaluation(metrics):
    return sample_inputs().model_evaluation | {"metrics": metrics}


def test_a_slice_that_is_surely_worse_is_named():
    assert "The filter is weaker on lighting dark" in titles()
    assert "The segmenter is weaker on lighting dark" in titles()


def test_a_slice_that_chance_explains_among_so_many_is_not_called_weak():
    named = " ".join(title for title in titles() if "weaker" in title)
    assert "ethnicity" not in named
    assert "unknown" not in named
    assert "female" not in named
    chance = metrics_table().with_columns(p_holm=pl.col("p_holm").clip(lower_bound=0.06))
    assert not any("weaker" in title for title in titles(model_evaluation=evaluation(chance)))


def test_the_costliest_discovered_slice_is_named_with_the_command_that_accepts_it():
    steps = content_of(sample_inputs(), edge_share=0.05)["next_steps"]
    (step,) = [one for one in steps if one["section"] == "discovered"]
    assert step["title"] == "The filter fails on dark lighting"
    assert "0.500 (0.400 to 0.600), n = 40 of 10 subjects, against 0.100" in step["text"]
    assert "`iip slices accept 'dark lighting'`" in step["text"]


def test_a_model_no_better_than_one_that_never_looks_is_named_first():
    assert not any("not looking" in title for title in titles())
    blind = metrics_table().with_columns(
        low=pl.when(model="segmenter", axis="overall").then(0.29).otherwise("low")
    )
    first = titles(model_evaluation=evaluation(blind))[0]
    assert first == "The segmenter is not shown to be better than not looking at the image"


def test_rare_classes_are_named_and_whether_they_can_be_judged():
    found = [title for title in titles() if "class" in title and title.endswith("rare")]
    assert found == ["The filter's class none is rare"]
    classes = class_table().with_columns(rare=pl.lit(True), value=pl.lit(None, pl.Float64))
    content = content_of(
        sample_inputs(model_evaluation=sample_inputs().model_evaluation | {"classes": classes}),
        edge_share=0.05,
    )
    rare = [
        recommendation
        for recommendation in content["next_steps"]
        if "class" in recommendation["title"] and recommendation["title"].endswith("rare")
    ]
    assert len(rare) == 2
    assert all("no test image has it" in recommendation["text"] for recommendation in rare)


def test_only_gaps_beyond_the_tolerance_of_plot_and_check_are_coverage_hints():
    hints = {
        tolerance: [
            step["title"]
            for step in content_of(sample_inputs(), tolerance=tolerance)["next_steps"]
            if step["title"].startswith("Too few images of")
        ]
        for tolerance in (0.05, 0.5)
    }
    assert hints == {0.05: ["Too few images of gender female"], 0.5: []}


def test_only_moved_features_are_drift_hints():
    assert f"Batch {HOSTILE} differs in brightness" in titles()
    assert not any("gender" in t for t in titles() if t.startswith("Batch"))
    calm = drift_data()
    calm["columns"][0]["moved"] = False
    assert not any(t.startswith("Batch") for t in titles(drift_report=Report("", calm)))


def test_a_corruption_that_costs_little_is_not_named():
    assert "The filter suffers most from blur" in titles()
    tables = sample_inputs().robustness_benchmark
    mild = tables["curves"].filter(pl.col("corruption") == "noise")
    mild = {**tables, "curves": mild.with_columns(value=pl.lit(0.9))}
    assert not any("suffers" in title for title in titles(robustness_benchmark=mild))


def test_a_challenge_set_and_a_group_are_named_where_a_loss_is_shown():
    found = titles()
    assert "The challenge set india is harder for the filter" in found
    assert "The challenge set india is harder for the segmenter" not in found
    assert "The filter does not carry over to b" in found
    assert "The filter does not carry over to a" not in found


def test_a_model_that_looks_less_at_the_eye_where_it_is_wrong_is_named_if_that_is_clear():
    less = "Where the {} is wrong, it looks less at the eye"
    assert less.format("filter") in titles()
    assert less.format("segmenter") not in titles()
    tables = sample_inputs().model_explanations
    few = tables["measures"].with_columns(enough=pl.lit(False))
    assert less.format("filter") not in titles(model_explanations={**tables, "measures": few})


def test_without_an_image_the_first_step_is_to_take_a_batch():
    (step,) = dataset(raw_tables(image_table().clear())).steps
    assert "`iip ingest inbox/<batch>`" in step.text


def test_a_group_that_the_filter_fails_is_a_next_step():
    assert any("does worse on ethnicity" in title for title in titles())
    groups = sample_inputs().fairness_audit["groups"]
    alike = {"groups": groups.with_columns(verdict=pl.lit("no difference shown"))}
    found = titles(fairness_audit={**sample_inputs().fairness_audit, **alike})
    assert not any("does worse on" in title for title in found)


def test_a_remedy_that_lowers_the_gap_at_no_loss_is_a_next_step():
    found = content_of(sample_inputs(), edge_share=0.05)["next_steps"]
    texts = [step["text"] for step in found if "remedy" in step["title"]]
    for text, model in zip(texts, ("filter", "segmenter"), strict=True):
        command = f"iip fairness choose mindiff --model {model} --strength 0.3 --why TEXT"
        assert f"`{command}`" in text
    tables = sample_inputs().fairness_tradeoff
    for change in ({"gap_change_high": 0.01}, {"overall_change": -0.02}):
        points = tables["tradeoff"].with_columns(**{one: pl.lit(x) for one, x in change.items()})
        found = titles(
            fairness_tradeoff={**tables, "tradeoff": points}, segmenter_tradeoff=Skipped("x")
        )
        assert not any("remedy" in title for title in found)


def test_with_nothing_to_say_it_says_so():
    inputs = sample_inputs()
    images = inputs.raw_dataset["images"].with_columns(label=pl.lit("full"))
    assert titles(
        raw_dataset=raw_tables(images),
        quarantine=inputs.quarantine.clear(),
        demographic_stats=Skipped("x"),
        label_errors=inputs.label_errors.clear(),
        label_consistency=Skipped("x"),
        error_analysis=Skipped("x"),
        split_leaks=Skipped("x"),
        coverage_ledger=Skipped("x"),
        fairness_audit=Skipped("x"),
        fairness_tradeoff=Skipped("x"),
        segmenter_tradeoff=Skipped("x"),
        label_consensus=Skipped("x"),
        model_evaluation=Skipped("x"),
        model_explanations=Skipped("x"),
        discovered_slices=Skipped("x"),
        robustness_benchmark=Skipped("x"),
        challenge_results=Skipped("x"),
        group_holdout=Skipped("x"),
        compression_tradeoff=Skipped("x"),
        fairness_guarantee=Skipped("x"),
        drift_report=Skipped("x"),
        drift_history=Skipped("x"),
        serving_drift=Skipped("x"),
        drift_forecast=Skipped("x"),
        labeling_priorities=Skipped("x"),
    ) == ["Nothing stands out"]
