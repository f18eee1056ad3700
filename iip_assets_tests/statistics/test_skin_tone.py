"""Skin tone is a word for a subject's images, darker skin below lighter."""

import polars as pl

from iip_assets.statistics.skin_tone import SKIN_TONES, skin_tones


def tones(*rows):
    images = pl.DataFrame(
        [{"image_id": name, "subject_id": subject} for name, subject, *_ in rows],
        schema={"image_id": pl.String, "subject_id": pl.String},
    )
    measured = [
        {"image_id": name, "background_brightness": light, "background_yellow_blue": 15.0}
        for name, _, light in rows
        if light is not None
    ]
    schema = {
        "image_id": pl.String,
        "background_brightness": pl.Float64,
        "background_yellow_blue": pl.Float64,
    }
    return dict(skin_tones(images, pl.DataFrame(measured, schema=schema)).iter_rows())


def test_brighter_skin_of_one_hue_is_never_darker():
    found = tones(*((f"i{light}", f"S{light}", float(light)) for light in range(20, 240, 5)))
    places = [SKIN_TONES.index(one) for one in found.values()]
    assert places == sorted(places)
    assert set(places) == set(range(len(SKIN_TONES)))


def test_all_images_of_a_subject_have_the_tone_of_its_median():
    found = tones(("a", "S1", 40.0), ("b", "S1", 200.0), ("c", "S1", 205.0), ("d", "S2", 40.0))
    assert found == {"a": "very light", "b": "very light", "c": "very light", "d": "dark"}


def test_what_was_not_measured_is_unknown_and_a_subject_unknown_is_its_own():
    found = tones(("a", None, 40.0), ("b", None, 200.0), ("c", "S1", None))
    assert found == {"a": "dark", "b": "very light", "c": None}
