import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from iip_assets.models.segmenter import SegmenterTask
from iip_assets.settings import TrainingSettings
from iip_assets.training import progress as training_progress
from iip_assets.training.processes import EpochOrder, _batch_norm, in_order
from iip_assets.training.trainer import Machine, TrainingRun, train_network
from iip_assets_tests.training.small_training import (
    SCHEDULE,
    Watched,
    digest,
    examples,
    small_network,
    train_segmenter,
    train_small,
)

ONE = Machine("cpu", threads=1)


def on(**training):
    return Machine("cpu", 1, TrainingSettings(**training))


class KilledError(Exception):
    pass


def killed_after(steps):
    """Progress that fails after so many steps, as a training does whose process is killed."""

    def progress(items, *, total, label):
        del total, label
        for done, item in enumerate(items):
            if done == steps:
                raise KilledError
            yield item

    return progress


def test_each_epoch_that_takes_long_is_told_with_its_numbers_and_the_time_left(monkeypatch):
    monkeypatch.setattr(training_progress, "_LINE_EVERY_S", 0.0)
    told = []
    run = TrainingRun(ONE, log=told.append)
    train_segmenter(small_network(), examples(), examples(10, augmented=False), SCHEDULE, run=run)
    assert len(told) == SCHEDULE.epochs
    first = r"training the segmenter: epoch 1 of 4, loss [\d.]+, validation loss [\d.]+, .* left"
    assert re.fullmatch(first, told[0])
    assert told[-1].startswith("training the segmenter: epoch 4 of 4, loss ")
    assert "left" not in told[-1]


@pytest.fixture(scope="module")
def whole():
    network, trained = train_small()
    return digest(network), trained


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(whole):
    torch.manual_seed(99)
    again, trained = train_small()
    assert (digest(again), trained) == whole
    other, _ = train_small(seed=1)
    assert digest(other) != whole[0]


@pytest.mark.parametrize("steps", [1, 4, 7, 11])
def test_a_killed_training_goes_on_and_ends_as_if_nothing_had_happened(whole, tmp_path, steps):
    with pytest.raises(KilledError):
        train_small(scratch=tmp_path, progress=killed_after(steps))
    # Three steps are an epoch, after each of which a checkpoint is written.
    assert (tmp_path / "last.ckpt").exists() == (steps > 3)
    told = []

    def progress(items, *, total, label):
        told.append(total)
        yield from items

    network, trained = train_small(scratch=tmp_path, progress=progress)
    assert (digest(network), trained) == whole
    assert told == [12 - steps // 3 * 3 if steps % 3 else 12 - (steps // 3 - 1) * 3]


@pytest.mark.slow
def test_a_process_that_is_killed_in_its_training_leaves_what_is_gone_on_with(whole, tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from iip_assets_tests.training.small_training import train_small\n"
        "def progress(items, *, total, label):\n"
        "    for done, item in enumerate(items):\n"
        "        if done == 8:\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "        yield item\n"
        "train_small(scratch=Path(sys.argv[1]), progress=progress)\n"
    )
    done = subprocess.run(
        [sys.executable, "-Wignore", "-c", code, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        check=False,
        timeout=300,
    )
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "last.ckpt").is_file()
    network, trained = train_small(scratch=tmp_path)
    assert (digest(network), trained) == whole


def test_every_epoch_has_an_order_and_images_of_its_own_also_after_a_kill(tmp_path):
    images = examples(kind=Watched)
    train_small(images=images)
    epochs = [images.asked[first : first + 24] for first in range(0, 96, 24)]
    assert [{epoch for epoch, _ in one} for one in epochs] == [{0}, {1}, {2}, {3}]
    assert len({tuple(place for _, place in one) for one in epochs}) == 4

    with pytest.raises(KilledError):
        train_small(scratch=tmp_path, progress=killed_after(7))
    rest = examples(kind=Watched)
    train_small(scratch=tmp_path, images=rest)
    assert rest.asked == images.asked[48:]


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 half a file"], ids=["empty", "cut"])
def test_a_damaged_checkpoint_is_as_good_as_none(whole, tmp_path, damage):
    (tmp_path / "last.ckpt").write_bytes(damage)
    network, trained = train_small(scratch=tmp_path)
    assert (digest(network), trained) == whole


def test_a_checkpoint_that_holds_code_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "evil"),))

    torch.save({"state_dict": Evil()}, tmp_path / "last.ckpt")
    train_small(scratch=tmp_path, epochs=1)
    assert not (tmp_path / "evil").exists()


def test_the_best_epoch_is_kept_and_training_ends_where_nothing_gets_better():
    network, trained = train_small(epochs=40, patience=3, learning_rate=1e-6)
    scores = [row["validation_mean_iou"] for row in trained.history]
    assert len(trained.history) < 40
    assert trained.best_epoch == int(np.argmax(scores))
    assert len(scores) == trained.best_epoch + 1 + 3
    shorter, _ = train_small(epochs=40, patience=len(scores), learning_rate=1e-6)
    assert digest(shorter) != digest(small_network())
    del network


def test_a_training_that_stopped_early_does_not_go_on_when_asked_again(tmp_path):
    _, trained = train_small(scratch=tmp_path, epochs=40, patience=2, learning_rate=1e-6)
    _, again = train_small(scratch=tmp_path, epochs=40, patience=2, learning_rate=1e-6)
    assert again == trained


def test_a_training_that_is_asked_again_after_its_end_gives_the_best_weights_again(tmp_path):
    """As after a kill between the training's last epoch and the model's record."""
    first, trained = train_small(scratch=tmp_path, epochs=6, learning_rate=0.5)
    assert trained.best_epoch < len(trained.history) - 1
    again, told = train_small(scratch=tmp_path, epochs=6, learning_rate=0.5)
    assert (digest(again), told) == (digest(first), trained)


def test_a_network_that_was_trained_in_double_precision_is_given_back_in_single():
    network, _ = train_small(machine=on(precision="64-true"), epochs=1)
    assert {value.dtype for value in network.parameters()} == {torch.float32}


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_the_norm_of_several_processes_counts_in_single_precision(kind):
    """Of one image there are more numbers here than sixteen bits can count."""
    rng = torch.Generator().manual_seed(0)
    means = torch.tensor([5.0, 0.0, -5.0])
    values = torch.randn(2, 3, 200, 200, generator=rng) + means[:, None, None]
    running = [torch.zeros(3), torch.ones(3)]
    found = _batch_norm(values.to(kind), *running, training=True)
    wanted = torch.nn.functional.batch_norm(values, None, None, training=True)
    assert found.dtype == kind
    torch.testing.assert_close(found.float(), wanted, atol=0.1, rtol=0)
    torch.testing.assert_close(running[0], means / 10, atol=0.01, rtol=0)


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("sharing", "precision"),
    [("ddp", "64-true"), ("ddp", "32-true"), ("fsdp", "32-true")],
    ids=["ddp in double precision", "ddp", "fsdp"],
)
def test_two_processes_have_the_losses_of_one(sharing, precision):
    losses = {}
    for processes in (1, 2):
        machine = on(processes=processes, sharing=sharing, precision=precision)
        network = small_network()
        network[3].p = 0.0  # the processes draw what they drop each for themselves
        _, trained = train_small(machine=machine, network=network)
        losses[processes] = np.array([row["loss"] for row in trained.history])
        losses[f"validation {processes}"] = [row["validation_loss"] for row in trained.history]
    np.testing.assert_allclose(losses[2], losses[1], atol=1e-4)
    # Adam blows up the last bits of tiny gradients, which the batches' statistics hide in training.
    np.testing.assert_allclose(losses["validation 2"], losses["validation 1"], atol=0.01)
    assert losses[1][-1] < losses[1][0]


def test_every_place_comes_once_an_epoch_in_an_order_of_its_own():
    order = EpochOrder(10, batch_size=5, seed=3)
    seen = []
    for epoch in (0, 1, 0):
        order.sampler.set_epoch(epoch)
        batches = list(order)
        assert len(batches) == len(order) == 2
        assert sorted(place for batch in batches for _, place in batch) == list(range(10))
        assert {one for batch in batches for one, _ in batch} == {epoch}
        seen.append([place for batch in batches for _, place in batch])
    assert seen[0] == seen[2] != seen[1]


def test_a_last_batch_that_is_not_full_is_left_out_unless_it_is_the_only_one():
    assert [len(batch) for batch in EpochOrder(11, batch_size=5, seed=0)] == [5, 5]
    assert [len(batch) for batch in EpochOrder(3, batch_size=5, seed=0)] == [3]
    assert in_order(3, 2) == [[(0, 0), (0, 1)], [(0, 2)]]


def batches_of(sides, *, size, epoch=0, **given):
    order = EpochOrder(len(sides), batch_size=size, seed=3, sides=sides, **given)
    order.sampler.set_epoch(epoch)
    return [[place for _, place in batch] for batch in order]


def test_every_batch_holds_both_sides_of_every_pair_and_every_image_once():
    sides = np.zeros((200, 2), np.int8)
    sides[:20, 0], sides[20:150, 0] = 1, -1
    sides[100:120, 1], sides[130:, 1] = 1, -1
    batches = batches_of(sides, size=20)
    assert sorted(place for batch in batches for place in batch) == list(range(200))
    for batch in batches:
        assert {1, -1} <= {*sides[batch, 0]}
        assert {1, -1} <= {*sides[batch, 1]}
        # Dealt evenly: as many in one batch as in the next, but for rounding.
        assert 1 <= (sides[batch, 0] == 1).sum() <= 3
    assert batches == batches_of(sides, size=20) != batches_of(sides, size=20, epoch=1)


def test_images_of_a_side_that_has_fewer_than_there_are_batches_come_again():
    sides = np.full((100, 1), -1, np.int8)
    sides[:3] = 1
    batches = batches_of(sides, size=10)
    assert all((sides[batch] == 1).any() for batch in batches)
    seen = [place for batch in batches for place in batch]
    assert sorted({*seen}) == list(range(100))
    assert all(seen.count(place) == 1 for place in range(3, 100))
    assert {len(batch) for batch in batches} == {10, 11}


def test_a_side_of_which_nobody_is_there_is_asked_for_in_no_batch():
    sides = np.ones((20, 1), np.int8)
    assert [len(batch) for batch in batches_of(sides, size=5)] == [5] * 4


def test_resampled_places_come_as_often_as_they_weigh():
    weights = np.array([0.1] * 50 + [2.0] * 50)
    order = EpochOrder(100, batch_size=10, seed=0, drawn=weights)
    counts = np.zeros(100)
    for epoch in range(200):
        order.sampler.set_epoch(epoch)
        seen = np.bincount([place for batch in order for _, place in batch], minlength=100)
        assert seen.sum() == 100
        assert set(seen) <= {0, 1, 2}
        counts += seen
    np.testing.assert_allclose(counts / 200, weights * 100 / weights.sum(), atol=0.1)


def test_a_remedy_in_several_processes_is_refused_with_the_mend():
    with pytest.raises(ValueError, match=r"set training\.processes = 1"):
        train_network(
            small_network(),
            task=SegmenterTask,
            examples=examples(),
            validation=None,
            schedule=SCHEDULE,
            run=TrainingRun(on(processes=2)),
            label="",
            sides=np.ones((24, 1), np.int8),
        )


def test_what_a_training_has_around_it_is_quiet_by_default():
    assert list(TrainingRun(ONE).progress([1, 2], total=2, label="")) == [1, 2]
