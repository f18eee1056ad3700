"""The two models: an image's cost in each, retraining after new labels, training beside its floor.

    python benchmarks/models.py [--workspace DIR] [--images N] [--runs N] [--threads N]
        [--epochs N] [--processor] [--json FILE]

Without a workspace that was computed, rendered eyes of 320×240 make one. Three questions:

- what the filter costs beside the segmenter, from an image's array to its verdict or mask, one at
  a time and sixteen at once, each beside the bare forward pass of its network and beside decoding;
- what a retrained filter costs after 1% of the labels, or of the images, are new, beside
  embedding all of them first, and beside training the whole network for `--epochs`;
- how many images a second the segmenter learns from, beside the bare passes of its network on
  tensors that are there.

No speed depends on what the weights are: the models timed are built again by the settings. With
`--processor` the seconds are those that processors worked, of all threads together: on a machine
that has other work to do, only these can be compared.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from computed import Clock, Ready, Works, make_workspace, timed
from numpy.typing import NDArray
from turns import show

from iip_assets.embeddings.embedder import embed_chunk, open_embedder
from iip_assets.embeddings.onnx_export import export_onnx
from iip_assets.embeddings.onnx_session import open_session, run
from iip_assets.images.decode import NOT_LABELLED, decode_image, image_reader
from iip_assets.inference.filter import FilterFromPixels
from iip_assets.inference.frame import Frame
from iip_assets.inference.segmenter import Segmenter, eye_classes, prior_png
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.models.filter import build_filter
from iip_assets.models.filter_network import (
    FilterHead,
    build_classifier,
    filter_onnx,
    head_onnx,
    network_onnx,
)
from iip_assets.models.segmentation_model import Pairs, schedule_of
from iip_assets.models.segmenter import (
    SegmenterTask,
    build_network,
    has_packaged_weights,
    segmentation_loss,
)
from iip_assets.models.training_images import MaskedImages
from iip_assets.settings import FilterSettings
from iip_assets.training.processes import EpochOrder
from iip_assets.training.trainer import Machine, TrainingRun, seeded, train_network

BATCHES = (1, 16)

Images = Sequence[NDArray[np.uint8]]
Rows = list[dict[str, Any]]


def head_filter(ready: Ready) -> dict[str, bytes]:
    """A filter with a head, from pixels."""
    card = json.loads(ready.backbone["card.json"])
    with seeded(0, threads=1):
        head = FilterHead(card["dimensions"], len(FILTER_CLASSES))
    state = {name: value.numpy() for name, value in head.state_dict().items()}
    onnx_file = filter_onnx(ready.backbone["backbone.onnx"], head_onnx(state, 1.0))
    return {"filter.onnx": onnx_file, "card.json": ready.backbone["card.json"]}


def network_filter(ready: Ready) -> dict[str, bytes]:
    """A filter that is a network of its own, at the size of the settings."""
    size = {
        "input_width": ready.settings.filter.width,
        "input_height": ready.settings.filter.height,
    }
    card = {**json.loads(ready.backbone["card.json"]), **size}
    network = build_classifier(ready.backbone, len(FILTER_CLASSES), seed=0)
    onnx_file = network_onnx(network, 1.0, Frame.of_card(card))
    return {"filter.onnx": onnx_file, "card.json": json.dumps(card).encode()}


def segmenter_network(ready: Ready) -> torch.nn.Module:
    """The segmenter as it is before its training."""
    recipe = ready.settings.segmenter
    return build_network(
        recipe.encoder,
        classes=len(ready.settings.dataset.mask_classes),
        decoder_channels=recipe.decoder_channels,
        pretrained=has_packaged_weights(recipe.encoder),
        seed=recipe.seed,
    )


def segmenter_files(ready: Ready) -> dict[str, bytes]:
    """A segmenter at the size of the settings."""
    recipe, classes = ready.settings.segmenter, ready.settings.dataset.mask_classes
    frame = Frame(recipe.width, recipe.height)
    card = {
        "classes": list(classes),
        "input_width": frame.width,
        "input_height": frame.height,
        "mean": list(frame.mean),
        "std": list(frame.std),
        # Of noise it always sees some eye, so the second look is always taken.
        "two_pass": recipe.two_pass and bool(eye_classes(classes)),
    }
    blank = np.zeros((frame.height, frame.width), np.uint8)
    return {
        "segmenter.onnx": export_onnx(
            segmenter_network(ready),
            (3, frame.height, frame.width),
            input_name="image",
            output_name="logits",
        ),
        "prior.png": prior_png([blank], len(classes)),
        "card.json": json.dumps(card).encode(),
    }


def forward_only(model: bytes, frame: Frame, *, images: int, size: int, threads: int) -> Any:
    """The bare network on tensors that are there, so many at a time."""
    session = open_session(model, threads=threads)
    shape = (images, 3, frame.height, frame.width)
    tensors = np.random.default_rng(0).normal(size=shape).astype(np.float32)

    def work() -> None:
        for start in range(0, images, size):
            run(session, tensors[start : start + size])

    return work


def in_batches(call: Callable[[Images], object], images: Images, size: int) -> None:
    for start in range(0, len(images), size):
        call(images[start : start + size])


def costs(ready: Ready, *, images: int, threads: int, clock: Clock) -> Rows:
    """What an image costs in each model, beside the network alone, and beside decoding."""
    ids = ready.labelled["image_id"].head(images).to_list()
    files = [ready.store.read(image_id) for image_id in ids]
    decode = partial(decode_image, max_megapixels=ready.megapixels)
    arrays = [decode(data) for data in files]

    def decode_all() -> None:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(decode, files))

    head, network, masks = head_filter(ready), network_filter(ready), segmenter_files(ready)
    works: Works = {"decoding": decode_all}
    sizes: dict[str, str] = {}
    for name, parts, call in (
        ("segmenter", masks, Segmenter(masks, threads=threads).segment),
        ("filter, head", head, FilterFromPixels(head, threads=threads).probabilities),
        ("filter, network", network, FilterFromPixels(network, threads=threads).probabilities),
    ):
        frame = Frame.of_card(json.loads(parts["card.json"]))
        onnx_file = next(data for file, data in parts.items() if file.endswith(".onnx"))
        sizes[name] = f"{name} {frame.width}×{frame.height}"
        for size in BATCHES:
            works[f"{name}|{size}"] = partial(in_batches, call, arrays, size)
            works[f"{name}|{size}|bare"] = forward_only(
                onnx_file, frame, images=len(arrays), size=size, threads=threads
            )
    seconds = {name: took / len(arrays) for name, took in clock(works).items()}
    rows: Rows = [
        {
            "what": "decoding the files",
            "ms": 1000 * seconds["decoding"],
            "images/s": 1 / seconds["decoding"],
        }
    ]
    for name, words in sizes.items():
        for size in BATCHES:
            took, bare = seconds[f"{name}|{size}"], seconds[f"{name}|{size}|bare"]
            rows.append(
                {
                    "what": words,
                    "at once": size,
                    "ms": 1000 * took,
                    "images/s": 1 / took,
                    "bare ms": 1000 * bare,
                    "of bare speed": bare / took,
                    "times cheaper than the segmenter": seconds[f"segmenter|{size}"] / took,
                }
            )
    return rows


def retraining(ready: Ready, *, epochs: int, threads: int, clock: Clock) -> Rows:
    """A retrained filter, from what little is new and from everything."""
    images = ready.labelled
    new = max(1, images.height // 100)
    flipped = images.with_row_index().with_columns(
        label=pl.when(pl.col("index") < new).then(pl.col("label").reverse()).otherwise("label")
    )
    run = TrainingRun(Machine("cpu", threads))
    settings = ready.settings.filter
    head = settings.model_copy(update={"train": "head"})
    network = settings.model_copy(update={"train": "network", "network_epochs": epochs})
    embedder = open_embedder(
        ready.backbone, device="cpu", batch_size=ready.settings.embeddings.batch_size
    )
    load = image_reader(ready.root, images["image_id"], ready.megapixels)

    def train(recipe: FilterSettings) -> None:
        build_filter(flipped.drop("index"), ready.backbone, recipe, load=load, run=run)

    def embed_and_train(count: int) -> None:
        embed_chunk(
            images.select("image_id").head(count).to_dicts(),
            max_megapixels=ready.megapixels,
            embedder=embedder,
            store=ready.store,
            threads=threads,
        )
        train(head)

    total = images.height
    works: Works = {
        f"head, {new} labels of {total} new": partial(train, head),
        f"head, {new} images of {total} new": partial(embed_and_train, new),
        f"head, all {total} images embedded": partial(embed_and_train, total),
        f"network, {epochs} epochs on all": partial(train, network),
    }
    seconds = clock(works)
    first = next(iter(seconds.values()))
    return [
        {"what": f"filter's {name}", "s": took, "times the first": took / first}
        for name, took in seconds.items()
    ]


def training(ready: Ready, *, images: int, threads: int, clock: Clock) -> Rows:
    """An epoch of the segmenter beside the bare passes on tensors that are there."""
    recipe, classes = ready.settings.segmenter, ready.settings.dataset.mask_classes
    schedule = replace(schedule_of(recipe), epochs=1)
    rows = ready.masked.filter(pl.col("split") == "train").head(images).to_dicts()
    examples = MaskedImages(
        Pairs(ready.store, rows, len(classes), ready.megapixels),
        frame=Frame(recipe.width, recipe.height),
        weights=[1.0] * len(rows),
        seed=schedule.seed,
        threads=threads,
        eye=eye_classes(classes) if recipe.two_pass else (),
    )
    batches = list(EpochOrder(len(rows), batch_size=schedule.batch_size, seed=schedule.seed))
    tensors = [
        tuple(torch.stack(parts) for parts in zip(*(examples[item] for item in batch), strict=True))
        for batch in batches
    ]
    network = segmenter_network(ready).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=schedule.learning_rate)

    def learn() -> None:
        run = TrainingRun(Machine("cpu", threads))
        train_network(
            network,
            task=SegmenterTask,
            examples=examples,
            validation=None,
            schedule=schedule,
            run=run,
            label="training the segmenter",
        )

    def bare(*, whole_step: bool) -> None:
        with seeded(0, threads=threads):
            for inputs, masks, weights in tensors:
                logits = network(inputs.contiguous(memory_format=torch.channels_last))
                if whole_step:
                    loss = segmentation_loss(logits, masks, weights, ignored=NOT_LABELLED)
                else:
                    loss = logits.mean()
                loss.backward()
                if whole_step:
                    optimizer.step()
                optimizer.zero_grad()

    def examples_alone() -> None:
        for batch in batches:
            for item in batch:
                examples[item]

    works: Works = {
        "bare forward and backward": partial(bare, whole_step=False),
        "with loss and optimizer": partial(bare, whole_step=True),
        "our training": learn,
        "its inputs alone, changed and standardised": examples_alone,
    }
    seconds = clock(works)
    floor = seconds["bare forward and backward"]
    return [
        {
            "what": f"segmenter {recipe.width}×{recipe.height}: {name}",
            "images/s": sum(map(len, batches)) / took,
            "of bare speed": floor / took,
        }
        for name, took in seconds.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workspace", type=Path)
    for name, default in {"images": 128, "runs": 3, "threads": 2, "epochs": 1}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--processor", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    ready = Ready.open((options.workspace or make_workspace(600)).resolve())
    clock = partial(timed, runs=options.runs, processor=options.processor)
    how = {"threads": options.threads, "clock": clock}
    kept: Rows = []
    for part in (
        partial(costs, images=options.images),
        partial(retraining, epochs=options.epochs),
        partial(training, images=options.images),
    ):
        rows = part(ready, **how)
        show(rows, None)
        print(flush=True)
        kept += rows
    if options.json:
        options.json.write_text(json.dumps(kept, indent=1))


if __name__ == "__main__":
    main()
