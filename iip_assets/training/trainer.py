"""Training with Lightning: seeded, resumable, alike in one process and in several.

It leaves nothing behind but the weights and the epochs' numbers.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytorch_lightning as lightning
import torch
from numpy.typing import NDArray
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import Logger
from pytorch_lightning.strategies import DDPStrategy, ModelParallelStrategy, Strategy
from torch.distributed.fsdp import fully_shard
from torch.utils.data import DataLoader

from iip_assets.embeddings.device import Device, core_count, resolve_device
from iip_assets.settings import ComputeSettings, TrainingSettings
from iip_assets.training.callbacks import History, KeepBest, SeedSteps, StopEarly
from iip_assets.training.processes import EpochOrder, in_order, in_processes, whole_state
from iip_assets.training.progress import Progress, Watched, no_progress, silent, to_stderr

_CHECKPOINT = "last"
_VALIDATION_BATCH = 16


@dataclass(frozen=True)
class Machine:
    """What a training runs on.

    Attributes:
        device: Processor or GPU.
        threads: On the processor.
        training: The settings. The precision `auto` mixes in 16 bits on a GPU that can and nowhere
            else. Processes, on GPUs one each, share every batch; each of them holds all weights
            (`ddp`) or a part of them (`fsdp`).
    """

    device: Device
    threads: int
    training: TrainingSettings = field(default_factory=TrainingSettings)


@dataclass(frozen=True)
class TrainingRun:
    """What one training is given besides its data.

    Attributes:
        machine: What it runs on.
        progress: Shows how far it is, in steps.
        scratch: A folder of this training alone, which takes a checkpoint after each epoch. What
            lies there is gone on with.
        logger: Takes the numbers as they come.
        log: Takes words for people.
    """

    machine: Machine
    progress: Progress = no_progress
    scratch: Path | None = None
    logger: Logger | None = None
    log: Callable[[str], None] = silent


@dataclass(frozen=True)
class Schedule:
    """How long and how fast a network learns.

    Attributes:
        epochs: The most passes over the images.
        patience: Epochs without a better validation after which training ends.
        learning_rate: The highest.
        weight_decay: Of AdamW.
        batch_size: Images a step, over all processes.
        seed: Of order, augmentation and whatever else is drawn.
    """

    epochs: int
    patience: int
    learning_rate: float
    weight_decay: float
    batch_size: int
    seed: int


@dataclass(frozen=True)
class Trained:
    """How a training went.

    Attributes:
        history: The numbers of each epoch, by name.
        best_epoch: The epoch whose weights were kept, from 0; the last where nothing was judged.
    """

    history: list[dict[str, float]]
    best_epoch: int


class Task(lightning.LightningModule):
    """What a step is. A network whose weights are shared out is so before its optimizer is made.

    Attributes:
        network: What is trained.
        monitor: The number of its validation by which the best epoch is told.
        mode: Whether less or more of it is better.
    """

    monitor = "validation_loss"
    mode: Literal["min", "max"] = "min"

    def __init__(self, network: torch.nn.Module, schedule: Schedule, *, steps: int) -> None:
        super().__init__()
        self.network = network
        self._schedule = schedule
        self._steps = steps

    def configure_model(self) -> None:
        """Shards the weights where the strategy is the one that does."""
        if isinstance(self.trainer.strategy, ModelParallelStrategy):
            # It shards contiguous weights alone.
            self.network.to(memory_format=torch.contiguous_format)
            mesh = self.trainer.strategy.device_mesh["data_parallel"]
            fully_shard(self.network, mesh=mesh)

    def configure_optimizers(self) -> Any:
        """AdamW at the schedule's learning rate."""
        return torch.optim.AdamW(
            self.network.parameters(),
            lr=self._schedule.learning_rate,
            weight_decay=self._schedule.weight_decay,
        )


def train_network(network: torch.nn.Module, *, run: TrainingRun, **given: Any) -> Trained:
    """Calls `train`, here or in as many processes as the machine says.

    Args:
        network: What is trained; it infers afterwards.
        run: Where. Several processes tell of their epochs on standard error alone.
        given: What else `train` takes. With several processes it must survive pickling.

    Raises:
        ValueError: Several processes are to share out batches whose images a remedy compares.
    """
    if run.machine.training.processes > 1 and given.get("sides") is not None:
        raise ValueError(
            "a remedy compares the images of a batch, which several processes share out; set "
            "training.processes = 1"
        )
    if run.machine.training.processes == 1:
        trained = train(network, run=run, **given)
    else:
        unseen = replace(run, progress=no_progress, logger=None, log=to_stderr)
        found = in_processes(
            _one_of_several,
            {**given, "network": network, "run": unseen},
            processes=run.machine.training.processes,
            device=run.machine.device,
        )
        network.load_state_dict(found.pop("state"))
        trained = Trained(**found)
    network.eval()
    return trained


def _one_of_several(network: torch.nn.Module, **given: Any) -> dict[str, Any]:
    # What processes are given lies in memory that they share: each trains a copy of its own.
    network = copy.deepcopy(network)
    trained = train(network, **given)
    return {"state": whole_state(network), **asdict(trained)}


def train(
    network: torch.nn.Module,
    *,
    task: Callable[..., Task],
    examples: Any,
    validation: Any,
    schedule: Schedule,
    run: TrainingRun,
    label: str,
    validation_batch: int = _VALIDATION_BATCH,
    collate: Callable[[Any], Any] | None = None,
    sides: NDArray[np.int8] | None = None,
    drawn: NDArray[np.float64] | None = None,
) -> Trained:
    """Trains the network in place; the epoch that the task calls the best is kept.

    Args:
        network: What is trained.
        task: Makes the task of the network, the schedule and the number of `steps`.
        examples: A data set to learn from, whose items are (epoch, place).
        validation: Likewise, not augmented; without it, or of nothing, the last epoch counts.
        schedule: How long and how fast.
        run: Where, watched by whom.
        label: What is being trained, in words.
        validation_batch: Images of the validation at a time.
        collate: Makes a batch of what a data set gives; stacks it by default.
        sides: (N, G) of which every batch of examples is to hold each side (`EpochOrder`).
        drawn: (N,) by which examples are drawn, where each is not to come once an epoch.
    """
    machine, scratch = run.machine, run.scratch
    with seeded(schedule.seed, threads=machine.threads), _quiet():
        order = EpochOrder(
            len(examples),
            batch_size=schedule.batch_size,
            seed=schedule.seed,
            sides=sides,
            drawn=drawn,
        )
        steps = schedule.epochs * len(order)
        batches = DataLoader(examples, batch_sampler=order, collate_fn=collate)
        held_out = None
        if validation is not None and len(validation):
            parts = in_order(len(validation), validation_batch)
            held_out = DataLoader(validation, batch_sampler=parts, collate_fn=collate)
        # Convolutions run faster on a CPU, too, with a pixel's channels beside one another.
        network.to(memory_format=torch.channels_last)
        module = task(network, schedule, steps=steps)
        watched = Watched(run.progress, run.log, steps=steps, epochs=schedule.epochs, label=label)
        history = History()
        callbacks: list[lightning.Callback] = [watched, SeedSteps(schedule.seed), history]
        keep = KeepBest(module.monitor, module.mode)
        if held_out is not None:
            stop = StopEarly(module.monitor, mode=module.mode, patience=schedule.patience)
            callbacks += [keep, stop]
        if scratch is not None:
            callbacks.append(
                ModelCheckpoint(
                    scratch,
                    filename=_CHECKPOINT,
                    enable_version_counter=False,
                    save_on_train_epoch_end=True,
                )
            )
        trainer = lightning.Trainer(
            accelerator="cpu" if machine.device == "cpu" else "gpu",
            devices=machine.training.processes,
            strategy=_strategy(machine),
            precision=_precision(machine),
            max_epochs=schedule.epochs,
            logger=run.logger or False,
            log_every_n_steps=10,
            enable_checkpointing=scratch is not None,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            # Every process looks at all validation images; EpochOrder shares out the others.
            use_distributed_sampler=False,
            callbacks=callbacks,
        )
        trainer.fit(module, batches, held_out, ckpt_path=_resumable(scratch), weights_only=True)
        keep.put_back(module)
        module.to("cpu")
        if machine.training.precision == "64-true":
            module.float()  # as every file of a model and whoever reads it has it
    last = len(history.epochs) - 1
    return Trained(history.epochs, last if keep.epoch is None else keep.epoch)


@contextmanager
def seeded(seed: int, *, threads: int) -> Iterator[None]:
    """Everything torch draws inside comes from the seed; all is put back afterwards.

    On one machine, with one thread count, the same seed gives the same bits on the CPU. A GPU has
    operators without a deterministic form, which then differ in the last bits.
    """
    strict, only_warns = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    threads_before = torch.get_num_threads()
    switches: Any = torch.utils.deterministic  # its class has no annotations
    fills = switches.fill_uninitialized_memory
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(mode=True, warn_only=torch.cuda.is_available())
        # It costs a sixth of the time and guards against code that reads what it never wrote.
        switches.fill_uninitialized_memory = False
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(mode=strict, warn_only=only_warns)
            switches.fill_uninitialized_memory = fills
            torch.set_num_threads(threads_before)


def _resumable(scratch: Path | None) -> Path | None:
    """The checkpoint of a training that was killed; a damaged one is as good as none."""
    file = scratch / f"{_CHECKPOINT}.ckpt" if scratch else None
    if file is None or not file.is_file():
        return None
    try:
        torch.load(file, map_location="cpu", weights_only=True)
    except Exception:
        file.unlink()
        return None
    return file


def _strategy(machine: Machine) -> Strategy | str:
    if machine.training.processes == 1:
        return "auto"
    if machine.training.sharing == "fsdp":
        return ModelParallelStrategy(
            data_parallel_size=machine.training.processes,
            tensor_parallel_size=1,
            save_distributed_checkpoint=False,
        )
    return DDPStrategy()


def _precision(machine: Machine) -> str:
    if machine.training.precision != "auto":
        return machine.training.precision
    if machine.device == "cpu":
        return "32-true"
    return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's advertisements and its advice about workers and loggers."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"pytorch_lightning\..*")
            warnings.filterwarnings("ignore", message=r".*does not have many workers.*")
            yield
    finally:
        logger.setLevel(level)


def machine_of(compute: ComputeSettings, training: TrainingSettings) -> Machine:
    """The machine that the settings mean."""
    return Machine(
        resolve_device(compute.device, found=compute.device_found),
        core_count(compute.threads),
        training,
    )
