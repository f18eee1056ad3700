import pytest
import torch
from torch.nn import functional

from iip_assets.models.losses import cross_entropy, dice_loss, segmentation_loss


def perfect(masks, classes=3):
    return functional.one_hot(masks, classes).movedim(-1, 1).float() * 50


def test_a_perfect_answer_costs_nothing_and_a_wrong_one_much():
    masks = torch.randint(0, 3, (2, 8, 8), generator=torch.Generator().manual_seed(0))
    ones = torch.ones(2)
    assert float(segmentation_loss(perfect(masks), masks, ones, ignored=255)) < 1e-3
    assert float(segmentation_loss(perfect((masks + 1) % 3), masks, ones, ignored=255)) > 10


def test_cross_entropy_is_torchs():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, generator=generator)
    masks = torch.randint(0, 3, (2, 4, 5), generator=generator)
    expected = functional.cross_entropy(logits, masks)
    found = cross_entropy(logits, masks, torch.ones(2, 4, 5))
    torch.testing.assert_close(found, expected)


def test_pixels_that_nobody_labelled_have_no_part_in_loss_or_gradient():
    logits = torch.randn(1, 3, 6, 6, generator=torch.Generator().manual_seed(0), requires_grad=True)
    masks = torch.zeros(1, 6, 6, dtype=torch.int64)
    masks[:, :, 3:] = 255
    segmentation_loss(logits, masks, torch.ones(1), ignored=255).backward()
    assert logits.grad[..., :3].abs().min() > 0
    assert logits.grad[..., 3:].abs().max() == 0


def test_a_batch_that_nobody_labelled_costs_nothing():
    masks = torch.full((2, 4, 4), 255)
    logits = torch.randn(2, 3, 4, 4)
    assert float(segmentation_loss(logits, masks, torch.ones(2), ignored=255)) == 0


def test_an_image_of_weight_two_counts_as_if_it_were_there_twice():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 4, generator=generator)
    masks = torch.randint(0, 3, (2, 4, 4), generator=generator)
    twice = torch.tensor([0, 1, 1])
    for loss in (cross_entropy, dice_loss):
        weights = torch.tensor([1.0, 2.0])[:, None, None].expand(2, 4, 4)
        options = {"smooth": 0.0} if loss is dice_loss else {}
        torch.testing.assert_close(
            loss(logits, masks, weights, **options),
            loss(logits[twice], masks[twice], torch.ones(3, 4, 4), **options),
        )


def test_dice_of_a_known_overlap():
    # Half of the class is found, nothing else is claimed: Dice 2/3 for it, 4/5 for the rest.
    masks = torch.zeros(1, 2, 4, dtype=torch.int64)
    masks[0, 0] = 1
    said = torch.zeros(1, 2, 4, dtype=torch.int64)
    said[0, 0, :2] = 1
    loss = dice_loss(perfect(said, 2), masks, torch.ones(1, 2, 4), smooth=0.0)
    assert float(loss) == pytest.approx(1 - (2 / 3 + 4 / 5) / 2, abs=1e-5)
