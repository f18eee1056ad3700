"""The labeling instructions that go with rendered batches: the words of `masks.label_of`."""

from __future__ import annotations

LABELING = """# How these images are labelled

One image shows one eye, or the place where one was expected.
Cells of `labels.csv` are empty where nothing is known.

## Filter label

- `full`: at least 60% of the whole iris disc (pupil included) can be seen, and it does not touch
  the border of the image.
- `partial`: some iris or pupil can be seen, but under 60% of the disc, or it touches the border.
- `none`: iris and pupil together are under 0.1% of the pixels: closed eyes, skin, hair, off frame.
- `unclear`: you cannot tell; somebody else will look at it.

What covers the iris counts as not seen: lids, hair, the rim of glasses.
Lashes, a glint or a reflection on the eye do not cover it.

## Mask

A single-channel PNG of the image's size: 0 background, 1 sclera, 2 iris, 3 pupil;
255 where you leave a pixel out. A pixel belongs to what fills more than half of it.
The pink inner corner (caruncle) and the wet edge of the lid are background.
"""
