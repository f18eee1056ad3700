"""A training that takes a second: dark squares on noise, a network of two convolutions."""

import hashlib
import time
from dataclasses import dataclass, replace

import numpy as np
import torch

from iip_assets.inference.frame import Frame
from iip_assets.models.segmenter import SegmenterTask
from iip_assets.models.training_images import MaskedImages
from iip_assets.training.trainer import Machine, Schedule, TrainingRun, seeded, train_network

SIDE = 32


def logged(wandb_folder, run, *words):
    """The run's folder, once W&B's own process has written the words, a moment later."""
    (found,) = wandb_folder.glob(f"offline-run-*-{run}")
    (record,) = found.glob("*.wandb")
    until = time.monotonic() + 20
    while not all(word in record.read_bytes() for word in words):
        assert time.monotonic() < until, f"{words} are not all in {record}"
        time.sleep(0.2)
    return found


SCHEDULE = Schedule(
    epochs=4, patience=9, learning_rate=0.01, weight_decay=0.01, batch_size=8, seed=0
)


@dataclass(frozen=True)
class Squares:
    """Image and mask by place; survives pickling."""

    def __call__(self, place):
        rng = np.random.default_rng(place)
        image = rng.integers(100, 255, (SIDE, SIDE, 3), dtype=np.uint8)
        mask = np.zeros((SIDE, SIDE), np.uint8)
        top, left = rng.integers(4, SIDE - 16, 2)
        mask[top : top + 12, left : left + 12] = 1
        image[mask == 1] //= 3
        return image, mask


def small_network(seed=0):
    """Convolutions with batch normalization between them, as a U-Net has."""
    with seeded(seed, threads=1):
        return torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, padding=1),
            torch.nn.BatchNorm2d(8),
            torch.nn.ReLU(),
            torch.nn.Dropout(0.1),
            torch.nn.Conv2d(8, 2, 3, padding=1),
        )


def examples(count=24, *, augmented=True, kind=MaskedImages):
    return kind(
        Squares(),
        frame=Frame(SIDE, SIDE),
        weights=[1.0 + place % 3 for place in range(count)],
        seed=0,
        threads=1,
        augmented=augmented,
    )


class Watched(MaskedImages):
    """Examples that note which (epoch, place) they were asked for."""

    asked = ()

    def __getitem__(self, item):
        self.asked = (*self.asked, item)
        return super().__getitem__(item)


def train_segmenter(network, images, validation, schedule, *, run):
    return train_network(
        network,
        task=SegmenterTask,
        examples=images,
        validation=validation,
        schedule=schedule,
        run=run,
        label="training the segmenter",
    )


def train_small(*, machine=None, network=None, scratch=None, progress=None, images=None, **changes):
    """The trained network and how it went."""
    network = small_network() if network is None else network
    run = TrainingRun(machine or Machine("cpu", threads=1), scratch=scratch)
    if progress is not None:
        run = replace(run, progress=progress)
    trained = train_segmenter(
        network,
        images or examples(),
        examples(10, augmented=False),
        replace(SCHEDULE, **changes),
        run=run,
    )
    return network, trained


def digest(network):
    tensors = [value.numpy().tobytes() for _, value in sorted(network.state_dict().items())]
    return hashlib.sha256(b"".join(tensors)).hexdigest()
