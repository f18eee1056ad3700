"""Remedies in the training of a segmenter and of a filter that is a whole network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import polars as pl
import pytest
import torch

from iip_assets.inference.frame import Frame
from iip_assets.models.fair_task import log_doubts, remedy_of
from iip_assets.models.mindiff import MinDiff
from iip_assets.models.rate_constraint import RateConstraint
from iip_assets.models.segmenter import SegmenterTask
from iip_assets.models.training_images import MaskedImages
from iip_assets.training.trainer import Machine, TrainingRun, train_network
from iip_assets_tests.training.small_training import (
    SCHEDULE,
    SIDE,
    Squares,
    digest,
    small_network,
)

SQUARE = (1,)
MINDIFF = MinDiff(0.3, "gaussian", SQUARE)
FLOOR = RateConstraint((0.8,), SQUARE)


@dataclass(frozen=True)
class DimSquares(Squares):
    """Every fourth square is hardly darker than what is around it."""

    first: int

    def __call__(self, place):
        image, mask = super().__call__(self.first + place)
        if place % 4 == 0:
            image[mask == 1] = np.minimum(255, image[mask == 1].astype(int) * 2.2)
        return image, mask


def squares(count, first, *, augmented=False, sides=True):
    dim = np.where(np.arange(count) % 4, -1, 1)[:, None].astype(np.int8)
    return MaskedImages(
        DimSquares(first),
        frame=Frame(SIDE, SIDE),
        weights=[1.0] * count,
        seed=0,
        threads=1,
        augmented=augmented,
        sides=dim if sides else None,
    ), dim


def trained(fair, *, epochs=20, run=None, **changes):
    network = small_network()
    examples, sides = squares(48, 0, sides=fair is not None)
    how = train_network(
        network,
        task=partial(SegmenterTask, fair=fair),
        examples=examples,
        validation=squares(32, 100, sides=fair is not None)[0],
        schedule=replace(SCHEDULE, epochs=epochs, patience=epochs, **changes),
        run=run or TrainingRun(Machine("cpu", threads=1)),
        label="",
        sides=sides if fair else None,
    )
    return network, how


def pixel_recalls(network):
    """Of the dim squares' pixels and of the others', on images of neither training nor choice."""
    examples, sides = squares(80, 500)
    found = []
    with torch.inference_mode():
        for place in range(len(examples)):
            image, mask, *_ = examples[0, place]
            found.append((network(image[None]).argmax(1)[0] == 1)[mask == 1].float().mean())
    recalls = torch.stack(found).numpy()
    return recalls[sides[:, 0] > 0].mean(), recalls[sides[:, 0] < 0].mean()


def test_a_remedy_lessens_the_gap_of_pixel_recall():
    plain, how = trained(None)
    assert "validation_goal" not in how.history[0]
    dim, others = pixel_recalls(plain)
    assert others - dim > 0.1
    for fair in (MINDIFF, FLOOR):
        network, how = trained(fair)
        assert "validation_goal" in how.history[0]
        fair_dim, fair_others = pixel_recalls(network)
        assert fair_others - fair_dim < 0.7 * (others - dim), fair
        assert fair_dim > dim
    assert fair_dim >= 0.8


class KilledError(Exception):
    pass


def killed(items, *, total, label):
    for done, item in enumerate(items):
        if done == 20:
            raise KilledError
        yield item


def test_a_killed_training_goes_on_with_its_multipliers(tmp_path):
    whole, _ = trained(FLOOR, epochs=6)
    run = TrainingRun(Machine("cpu", threads=1), scratch=tmp_path)
    with pytest.raises(KilledError):
        trained(FLOOR, epochs=6, run=replace(run, progress=killed))
    resumed, how = trained(FLOOR, epochs=6, run=run)
    assert len(how.history) == 6
    assert digest(resumed) == digest(whole)


def test_examples_say_which_remedy_a_model_is_trained_with():
    asked = '{"method": "rate_constraint", "floors": [0.9], "usable": ["iris"]}'
    rows = pl.DataFrame({"remedy": [asked]})
    assert remedy_of(rows, ["background", "iris"]) == RateConstraint((0.9,), (1,))
    asked = '{"method": "mindiff", "weight": 2.0, "kernel": "laplace", "usable": []}'
    rows = pl.DataFrame({"remedy": [asked]})
    assert remedy_of(rows, ["background", "iris"], eye=(1,)) == MinDiff(2.0, "laplace", (1,))
    assert remedy_of(pl.DataFrame({"image_id": ["a"]}), ["iris"]) is None


def test_few_images_of_a_side_or_a_small_network_are_told_before_training():
    told = []
    sides = np.full((1000, 1), -1, np.int8)
    sides[:10] = 1
    log_doubts(MINDIFF, sides, torch.nn.Linear(10, 10), told.append)
    assert "has 10 images to train on" in told[0]
    assert "110 weights for 1,000 images" in told[1]
    sides[:500] = 1
    log_doubts(MINDIFF, sides, torch.nn.Linear(100, 100), told.append)
    log_doubts(FLOOR, sides[:3], torch.nn.Linear(1, 1), told.append)
    assert len(told) == 2
