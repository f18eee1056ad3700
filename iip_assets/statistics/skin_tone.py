"""How light the skin around the eyes is, measured in the images."""

from __future__ import annotations

import polars as pl

from iip_assets.statistics.demographics import with_subject

SKIN_TONE_AXIS = "skin_tone"
MEASURED_AXES = ("lighting", "background", SKIN_TONE_AXIS)
"""What is measured in images, unlike what a batch says of them."""

SKIN_TONES = ("dark", "brown", "tan", "intermediate", "light", "very light")
_FROM_DEGREES = (-30.0, 10.0, 28.0, 41.0, 55.0)
"""Where each but the first begins (Del Bino and Bernerd 2013)."""


def typology_angle(brightness: pl.Expr, yellow_blue: pl.Expr) -> pl.Expr:
    """The individual typology angle in degrees, of the skin around the eye (Chardon et al. 1991).

    From mean luma, 0 to 255, taken for a grey's, and mean b* of CIELAB: light skin is above 41
    degrees, dark skin below -30.
    """
    share = brightness / 255
    linear = (
        pl.when(share <= 0.04045).then(share / 12.92).otherwise(((share + 0.055) / 1.055) ** 2.4)
    )
    cube = linear ** (1 / 3)
    lightness = pl.when(linear > 216 / 24389).then(116 * cube - 16).otherwise(linear * 24389 / 27)
    return pl.arctan2(lightness - 50, yellow_blue).degrees()


def skin_tones(images: pl.DataFrame, statistics: pl.DataFrame) -> pl.DataFrame:
    """`image_id`, `skin_tone`: a word of `SKIN_TONES`, the same for all images of a subject.

    By the median angle of the subject's images. Their light and white balance are not known, so
    that it tells images of lighter and darker skin apart and names nobody's type of skin.

    Args:
        images: `image_id`, `subject_id`; an image of an unknown subject is a subject of its own.
        statistics: `image_id`, `background_brightness`, `background_yellow_blue`.
    """
    angle = typology_angle(pl.col("background_brightness"), pl.col("background_yellow_blue"))
    measured = with_subject(images).join(
        statistics.select("image_id", degrees=angle), on="image_id", how="left"
    )
    degrees = pl.col("degrees").median().over("subject")
    step = pl.sum_horizontal((degrees >= one).cast(pl.Int8) for one in _FROM_DEGREES)
    word = step.replace_strict(dict(enumerate(SKIN_TONES)), return_dtype=pl.String)
    return measured.select(
        "image_id", pl.when(degrees.is_not_null()).then(word).alias(SKIN_TONE_AXIS)
    )
