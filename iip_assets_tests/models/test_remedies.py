"""MinDiff and rate constraints: the measure, the game, and what they do to a planted gap."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from iip_assets.models.fair_task import Scored, log_odds
from iip_assets.models.mindiff import MinDiff, mmd2
from iip_assets.models.rate_constraint import Multipliers, RateConstraint, targets
from iip_assets_tests.models.planted import USABLE, planted, trained
from iip_assets_tests.training.small_training import digest

KERNELS = ("gaussian", "laplace")
MINDIFF = MinDiff(1.0, "gaussian", USABLE)
FLOOR = RateConstraint((0.8,), USABLE)


def reference(first, second, kernel, bandwidth):
    """The definition, pair by pair, in double precision."""

    def near(one, other):
        distance = np.sqrt(((one - other) ** 2).sum())
        return np.exp(-((distance / bandwidth) ** (2 if kernel == "gaussian" else 1)))

    def mean(these, those):
        return np.mean([[near(one, other) for other in those] for one in these])

    return mean(first, first) + mean(second, second) - 2 * mean(first, second)


def samples(count=9, dimensions=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, dimensions)), rng.normal(0.7, 1.5, (count + 4, dimensions))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("bandwidth", [0.1, 0.7, 3.0])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_discrepancy_is_that_of_its_definition(kernel, bandwidth, dtype):
    first, second = samples()
    found = mmd2(torch.tensor(first).to(dtype), torch.tensor(second).to(dtype), kernel, bandwidth)
    assert float(found) == pytest.approx(reference(first, second, kernel, bandwidth), abs=1e-6)


@pytest.mark.parametrize("kernel", KERNELS)
def test_its_gradient_is_right_also_where_a_point_meets_itself(kernel):
    pair = [torch.tensor(one, requires_grad=True) for one in samples(4, 2)]
    assert gradcheck(lambda first, second: mmd2(first, second, kernel, 0.8), pair)
    alike = torch.zeros(3, 1, dtype=torch.float64, requires_grad=True)
    mmd2(alike, alike + 1, kernel, 0.8).backward()
    assert torch.isfinite(alike.grad).all()


@pytest.mark.parametrize("kernel", KERNELS)
def test_alike_samples_have_none_and_a_side_without_images_counts_nothing(kernel):
    scores = torch.tensor([0.1, 0.2, 0.1, 0.2, 0.5])
    sides = torch.tensor([[1, 1], [1, 0], [-1, 0], [-1, 0], [0, 0]])
    fair = MinDiff(2.0, kernel)
    assert float(fair.penalty(scores, sides)) == pytest.approx(0, abs=1e-6)
    apart = fair.penalty(scores, sides[:, :1].roll(1, 0))
    assert float(apart) > 0.001
    both = fair.penalty(scores, sides[:, :1].roll(1, 0).repeat(1, 2))
    assert float(both) == pytest.approx(2 * float(apart))


def test_log_odds_are_above_0_where_the_right_classes_have_half_of_the_probability():
    logits = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    right = torch.tensor([True, False, True, False])
    shares = logits.softmax(1)[:, right].sum(1)
    odds = log_odds(logits, right.expand_as(logits))
    torch.testing.assert_close(odds.sigmoid(), shares)


def test_an_image_of_which_nothing_counts_stands_on_no_side():
    odds = torch.tensor([[1.0, -1.0, 9.0], [1.0, 1.0, 1.0]])
    counted = torch.tensor([[True, True, False], [False, False, False]])
    scored = Scored.of(odds, counted, torch.ones(2, 1))
    assert scored.sides.tolist() == [[1], [0]]
    assert float(scored.scores[0]) == pytest.approx(0.5)
    assert scored.right[0] == 0.5
    # The logistic loss in bits is nowhere below the share that is wrong.
    assert scored.errors[0] >= 0.5


def test_multipliers_grow_while_recall_is_too_low_and_never_below_0():
    players = Multipliers((0.9, 0.5, 0.8))
    members = torch.tensor([[True, True, False]] * 100)
    low = players.follow(torch.tensor([1.0] * 70 + [0.0] * 30), members)
    assert low == pytest.approx(float(targets((0.9,), torch.tensor([100]))) - 0.7, abs=1e-5)
    grown = players.multiplier.weight.tolist()
    assert grown[0] > 0
    assert grown[1:] == [0, 0]
    assert players.follow(torch.ones(100), members) == 0
    assert players.multiplier.weight[0] < grown[0]


def test_the_price_of_a_subset_is_its_errors_times_its_multiplier():
    players = Multipliers((0.75,))
    players.multiplier.weight.data.fill_(2.0)
    errors = torch.tensor([1.0, 0.0, 4.0], requires_grad=True)
    members = torch.tensor([[True], [True], [False]])
    found = players.lagrangian(torch.tensor(3.0), errors, members)
    assert float(found.detach()) == pytest.approx(3 + 2 * (0.5 - 0.25))
    found.backward()
    assert errors.grad.tolist() == [1, 1, 0]
    # The multiplier is the other player's, and follows the validation alone.
    assert players.multiplier.weight.grad is None


def test_few_images_ask_for_a_wider_margin():
    few, many = targets((0.9,), torch.tensor([30])), targets((0.9,), torch.tensor([3000]))
    assert 0.9 < float(many) < float(few) <= 1


@pytest.mark.parametrize("kernel", KERNELS)
def test_mindiff_halves_a_planted_gap(kernel):
    _, _, (rare, others, _) = trained(None)
    _, how, (fair_rare, fair_others, _) = trained(MinDiff(1.0, kernel, USABLE))
    assert others - rare > 0.15
    assert abs(fair_others - fair_rare) < 0.5 * (others - rare)
    assert {"validation_goal", "validation_mindiff"} <= how.history[0].keys()


def test_a_floor_is_reached_on_held_out_images():
    reached = [trained(FLOOR, seed)[2][0] for seed in range(5)]
    before = [trained(None, seed)[2][0] for seed in range(5)]
    assert max(before) < 0.8 <= min(reached)


def test_the_best_epoch_is_one_that_reaches_the_floor():
    _, how, _ = trained(FLOOR)
    missed = [row["validation_missed_recall"] for row in how.history]
    assert missed[0] > 0 == missed[how.best_epoch]
    lowest = min(range(len(missed)), key=lambda at: how.history[at]["validation_loss"])
    assert missed[lowest] > 0


@pytest.mark.parametrize("fair", [MINDIFF, FLOOR], ids=["mindiff", "rate constraint"])
def test_the_same_seed_gives_the_same_bits(fair):
    one, other = (trained(fair, epochs=3)[0] for _ in range(2))
    assert digest(one) == digest(other) != digest(trained(None, epochs=3)[0])


def test_sides_change_nothing_where_there_is_no_remedy():
    examples, _ = planted(300, 0)
    bare = type(examples)(examples.embeddings, examples.classes, examples.weights)
    one, other = (trained(None, training=given, epochs=2)[0] for given in (examples, bare))
    assert digest(one) == digest(other)
    with pytest.raises(ValueError, match="needs the sides"):
        trained(MINDIFF, training=bare)
