import math
from dataclasses import replace
from functools import partial

import pytest
import torch

from iip_assets.models.segmenter import segmentation_loss
from iip_assets.settings import TrainingSettings
from iip_assets.training.preflight import CannotLearnError, log_absent, start_of
from iip_assets.training.start_checks import Start
from iip_assets.training.trainer import Machine
from iip_assets_tests.training.small_training import SCHEDULE, digest, examples, small_network


def batch():
    images, masks, weights = (
        torch.stack(part)
        for part in zip(*[examples()[0, place] for place in range(4)], strict=True)
    )
    return images, masks, weights


def look(network, *parts, checks="always"):
    items = {(0, place): one for place, one in enumerate(zip(*parts, strict=True))}
    found = start_of(
        network,
        items,
        replace(SCHEDULE, learning_rate=0.02),
        Machine("cpu", 1, TrainingSettings(checks=checks)),
        classes=2,
        ignored=255,
        loss_of=partial(segmentation_loss, ignored=255),
        what="segmenter",
    )
    return found and Start(**found)


def test_a_network_that_knows_nothing_starts_near_the_logarithm_of_its_classes_and_learns():
    network = small_network()
    before = digest(network)
    start = look(network, *batch())
    assert start.expected_loss == math.log(2)
    assert start.sound
    assert start.learned_to < start.learned_from / 2
    assert digest(network) == before
    assert look(network, *batch(), checks="long") is look(network, *batch(), checks="never") is None


def test_a_network_that_is_sure_of_something_wrong_is_told():
    network = small_network()
    with torch.no_grad():
        network[4].bias += torch.tensor([0.0, 4.0])
    assert not look(network, *batch()).sound


def test_masks_that_do_not_belong_to_their_images_are_refused():
    images, masks, weights = batch()
    dice = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 2, masks.shape, generator=dice)
    with pytest.raises(CannotLearnError, match="belong to their images"):
        look(small_network(), images, noise, weights)


def test_classes_that_a_split_lacks_are_named():
    counts = {"train": {"iris": 3, "pupil": 2}, "validation": {"iris": 1, "pupil": 0}}
    told = []
    log_absent(counts, ("iris", "pupil"), log=told.append)
    assert told == ["classes without an image: iris (in test), pupil (in validation, test)"]
    whole = {split: {"iris": 1} for split in ("train", "validation", "test")}
    log_absent(whole, ("iris",), log=told.append)
    assert len(told) == 1
    # Calibration images are for promises: no model misses what they lack.
    log_absent({**whole, "calibration": {"pupil": 1}}, ("iris",), log=told.append)
    assert len(told) == 1
