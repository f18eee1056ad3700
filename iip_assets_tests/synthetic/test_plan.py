from __future__ import annotations

import numpy as np
import pytest

from iip_assets.synthetic.parameters import EyeParameters, PlantedEffects
from iip_assets.synthetic.plan import Dataset, PlannedImage, plan_image, subject_number
from iip_assets.synthetic.population import HERITAGES, heritage_weights, sample_subject
from iip_assets.synthetic.render import render
from iip_assets.synthetic.write import spoiled_mask, written_label

IMAGES = 1500


def plans(effects: PlantedEffects, images: int = IMAGES, seed: int = 3) -> list[PlannedImage]:
    dataset = Dataset(images, seed, 4, effects)
    return [plan_image(dataset, index) for index in range(images)]


def share(flags: list[bool]) -> float:
    return sum(flags) / len(flags)


def within(observed: float, planted: float, n: int = IMAGES) -> bool:
    """Within four standard errors of a share."""
    return abs(observed - planted) <= 4 * (planted * (1 - planted) / n) ** 0.5


def test_an_image_does_not_depend_on_how_many_there_are():
    undrifted = PlantedEffects(label_errors=0.1, near_duplicates=0.1)
    few, many = Dataset(40, 5, 4, undrifted), Dataset(40 * 9, 5, 36, undrifted)
    for index in range(10):
        assert plan_image(few, index) == plan_image(many, index)


def test_planted_errors_change_no_image():
    clean, spoiled = (
        plans(effects, 60)
        for effects in (
            PlantedEffects(),
            PlantedEffects(label_errors=0.5, mask_errors=0.5, unclear=0.2, without_mask=0.3),
        )
    )
    assert [p.shot for p in clean] == [p.shot for p in spoiled]


def test_another_seed_gives_other_people():
    first, second = (plan_image(Dataset(4, seed, 1, PlantedEffects()), 0) for seed in (1, 2))
    assert first.subject.eyes != second.subject.eyes


def test_planted_shares_hold():
    effects = PlantedEffects(
        label_errors=0.1,
        mask_errors=0.15,
        unclear=0.08,
        unlabelled=0.05,
        without_mask=0.2,
        rare_modes=0.06,
        exact_duplicates=0.04,
        near_duplicates=0.07,
    )
    made = plans(effects)
    assert within(share([p.fate == "wrong" for p in made]), 0.1)
    assert within(share([p.fate == "unclear" for p in made]), 0.08)
    assert within(share([p.fate == "unlabelled" for p in made]), 0.05)
    assert within(share([p.mask_error is not None for p in made]), 0.15)
    assert within(share([not p.masked for p in made]), 0.2)
    assert within(share([p.rare_mode is not None for p in made]), 0.06)
    assert within(share([p.same_as is not None for p in made]), 0.04)
    assert within(share([p.nearly_as is not None for p in made]), 0.07)


def test_nothing_is_planted_by_default():
    for planned in plans(PlantedEffects(), 300):
        assert planned.fate == "right"
        assert planned.masked
        assert planned.mask_error is planned.rare_mode is None
        assert planned.same_as is planned.nearly_as is None


def test_the_rare_group_is_rarer_and_darker():
    rare = PlantedEffects(rare_group="asian", rare_group_share=0.05, rare_group_dimming=0.4)
    usual = plans(PlantedEffects())
    made = plans(rare)
    subjects = {p.subject.subject_id: p.subject.heritage for p in made}
    assert within(share([h == "asian" for h in subjects.values()]), 0.05, len(subjects))
    assert sum(heritage_weights(rare).values()) == pytest.approx(1)
    group, before = (
        np.mean([p.shot.parameters.light.exposure for p in some if p.subject.heritage == "asian"])
        for some in (made, usual)
    )
    assert group == pytest.approx(0.6 * before, rel=0.08)


def test_only_the_last_batch_drifts_and_its_device_is_new():
    made, usual = plans(PlantedEffects(drift=1.0), 400), plans(PlantedEffects(), 400)
    last = [p for p in made if p.batch == 3]
    earlier = [p for p in made if p.batch < 3]
    assert [p.shot for p in earlier] == [p.shot for p in usual if p.batch < 3]
    assert {p.device for p in last}.isdisjoint({p.device for p in earlier})
    mean = {
        name: [np.mean([read(p.shot.parameters) for p in some]) for some in (last, earlier)]
        for name, read in {
            "exposure": lambda e: e.light.exposure,
            "blur": lambda e: e.camera.blur_px,
            "warmth": lambda e: e.camera.cast_rgb[0] / e.camera.cast_rgb[2],
        }.items()
    }
    assert mean["exposure"][0] < 0.8 * mean["exposure"][1]
    assert mean["blur"][0] > mean["blur"][1] + 0.5
    assert mean["warmth"][0] > 1.2 * mean["warmth"][1]


def test_stronger_drift_is_darker():
    exposure = [
        np.mean(
            [p.shot.parameters.light.exposure for p in plans(PlantedEffects(drift=d), 200)[150:]]
        )
        for d in (0.2, 0.8, 1.6)
    ]
    assert exposure[0] > exposure[1] > exposure[2] > 0


def test_subjects_have_several_shots_and_a_few_return_in_later_batches():
    made = plans(PlantedEffects(), 1200)
    batches: dict[str, set[int]] = {}
    counts: dict[str, int] = {}
    for planned in made:
        batches.setdefault(planned.subject.subject_id, set()).add(planned.batch)
        counts[planned.subject.subject_id] = counts.get(planned.subject.subject_id, 0) + 1
    assert 4 < np.mean(list(counts.values())) < 10
    returning = share([len(seen) > 1 for seen in batches.values()])
    assert 0.02 < returning < 0.25


def test_one_subject_has_one_face():
    dataset = Dataset(60, 9, 2, PlantedEffects())
    faces: dict[tuple[int, str], object] = {}
    for index in range(60):
        planned = plan_image(dataset, index)
        key = (subject_number(9, index), planned.shot.side)
        anatomy = faces.setdefault(key, planned.shot.parameters.anatomy)
        assert planned.shot.parameters.anatomy == anatomy


def test_demographics_agree_with_what_is_rendered():
    people = [sample_subject(1, n, PlantedEffects()) for n in range(800)]
    tone = {
        name: np.mean([p.eyes["left"].skin_tone for p in people if p.heritage == name])
        for name in HERITAGES
    }
    assert tone["white"] < tone["asian"] < tone["indian"] < tone["black"]
    old, young = (
        [p.eyes["left"] for p in people if test(p.age_years)]
        for test in (lambda age: age > 65, lambda age: age < 30)
    )
    assert np.mean([e.wrinkles for e in old]) > np.mean([e.wrinkles for e in young]) + 0.3
    assert np.mean([e.droop for e in old]) > np.mean([e.droop for e in young]) + 0.2
    liner = {
        gender: np.mean([p.eyes["left"].liner for p in people if p.written_gender == gender])
        for gender in ("female", "male")
    }
    assert liner["female"] > liner["male"] + 0.1


def test_unknown_demographics_are_empty_at_their_share():
    people = [sample_subject(1, n, PlantedEffects(unknown_demographics=0.2)) for n in range(800)]
    assert within(share([p.written_age_years is None for p in people]), 0.2, 800)
    for name in ("gender", "ethnicity", "geography"):
        assert within(share([getattr(p, f"written_{name}") == "" for p in people]), 0.2, 800)


def test_an_exact_duplicate_renders_to_the_same_bytes_and_a_near_one_almost():
    dataset = Dataset(200, 2, 1, PlantedEffects(exact_duplicates=0.05, near_duplicates=0.05))
    made = [plan_image(dataset, index) for index in range(200)]
    exact = next(p for p in made if p.same_as is not None)
    near = next(p for p in made if p.nearly_as is not None)
    source = render(made[exact.same_as].shot.parameters).image
    np.testing.assert_array_equal(render(exact.shot.parameters).image, source)
    source = render(made[near.nearly_as].shot.parameters).image.astype(float)
    copy = render(near.shot.parameters).image.astype(float)
    assert 0 < np.abs(copy - source).mean() < 25
    assert np.corrcoef(copy.ravel(), source.ravel())[0, 1] > 0.99


def test_a_wrong_label_is_never_the_true_one():
    for truth in ("full", "partial", "none"):
        wrong = {written_label(truth, "wrong", seed) for seed in range(50)}
        assert wrong == {"full", "partial", "none"} - {truth}
        assert written_label(truth, "right", 0) == truth
        assert written_label(truth, "unclear", 0) == "unclear"
        assert written_label(truth, "unlabelled", 0) == ""


@pytest.mark.parametrize("error", ["shifted", "dilated", "eroded", "no_pupil", "no_sclera"])
def test_a_spoiled_mask_differs_and_says_how(error):

    mask = render(EyeParameters()).mask
    for seed in range(5):
        spoiled, said = spoiled_mask(mask, error, seed)
        assert said == error
        assert 0.002 < (spoiled != mask).mean() < 0.3
        assert spoiled.dtype == np.uint8
        assert spoiled.max() <= 3


def test_an_empty_mask_cannot_be_spoiled():
    mask = np.zeros((20, 20), np.uint8)
    assert spoiled_mask(mask, "dilated", 0) == (mask, None)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"label_errors": 1.2}, "label_errors is 1.2"),
        ({"label_errors": 0.6, "unclear": 0.6}, "expected at most 1"),
        ({"drift": 5.0}, "drift is 5.0"),
        ({"rare_group_dimming": 1.0}, "leaves no light"),
    ],
    ids=["share", "sum", "drift", "dimming"],
)
def test_impossible_effects_say_what_is_wrong(wrong, says):
    with pytest.raises(ValueError, match=says):
        PlantedEffects(**wrong)


def test_an_unknown_rare_group_names_the_known_ones():
    with pytest.raises(ValueError, match="expected one of white, black"):
        plans(PlantedEffects(rare_group="martian"), 4)
