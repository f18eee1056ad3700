from __future__ import annotations

from pathlib import Path

import pytest

from iip_assets.settings import Settings
from iip_assets.sweeps.plan import EXAMPLES, PlanError, Range, read_plan, settings_with

GOOD = 'model = "filter"\n[space]\n"filter.batch_size" = [16, 32]\n'


def written(folder: Path, text: str, name: str = "first.toml") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def test_a_plan_is_called_as_its_file(tmp_path: Path) -> None:
    plan = read_plan(written(tmp_path, GOOD), Settings())
    assert (plan.name, plan.sampler, plan.trials) == ("first", "tpe", 12)


def test_a_byte_order_mark_is_no_matter(tmp_path: Path) -> None:
    assert read_plan(written(tmp_path, "\ufeff" + GOOD), Settings()).model == "filter"


@pytest.mark.parametrize("model", ["filter", "segmenter"])
def test_the_examples_are_plans(tmp_path: Path, model: str) -> None:
    text = EXAMPLES[model].format(file="FILE.toml")
    assert read_plan(written(tmp_path, text), Settings()).model == model


def test_what_is_fixed_allows_a_choice(tmp_path: Path) -> None:
    """Architectures of a filter make sense of a whole network alone."""
    space = 'model = "filter"\n[space]\n"filter.network" = ["resnet18", "mobilenetv3_small_050"]\n'
    with pytest.raises(PlanError, match='are for train = "network"'):
        read_plan(written(tmp_path, space), Settings())
    plan = read_plan(written(tmp_path, space + '[fixed]\n"filter.train" = "network"\n'), Settings())
    assert plan.space == {"filter.network": ("resnet18", "mobilenetv3_small_050")}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('model = "filter"\n', "space"),
        ('model = "router"\n[space]\n"filter.batch_size" = [1]\n', "model"),
        (GOOD + '"filter.speed" = [1]\n', "there is no setting 'filter.speed'"),
        (GOOD + '"batch_size" = [1]\n', "there is no setting 'batch_size'"),
        (GOOD + '"filter.epochs" = [10, 0]\n', r"filter\.epochs = 0"),
        (GOOD + '"filter.epochs" = []\n', "name the values"),
        (GOOD + '"filter.epochs" = { low = 9, high = 3 }\n', "high must be above low"),
        (GOOD + '"filter.learning_rate" = { low = 0, high = 1, log = true }\n', "above 0"),
        (GOOD + '"filter.learning_rate" = { low = 0.1, high = nan }\n', "finite"),
        (GOOD + '[fixed]\n"filter.batch_size" = 8\n', "in space and in fixed"),
        ('sampler = "cmaes"\n' + GOOD, "cmaes chooses numbers"),
        ('objectives = ["latency"]\n' + GOOD, "objectives must be"),
        ('objectives = ["quality", "quality"]\n' + GOOD, "objectives must be"),
        (
            'sampler = "grid"\n' + GOOD + '"filter.learning_rate" = { low = 0.1, high = 0.2 }\n',
            r"filter\.learning_rate: a grid needs",
        ),
        ("model = ", "no valid TOML"),
    ],
)
def test_what_no_sweep_can_do_is_refused_by_name_before_anything_runs(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(PlanError, match=said) as refused:
        read_plan(written(tmp_path, text), Settings())
    assert "first.toml" in str(refused.value)


@pytest.mark.parametrize("name", ["a b.toml", ".toml", "ä.toml", f"{'x' * 80}.toml"])
def test_a_name_that_makes_no_good_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(PlanError, match="rename it"):
        read_plan(written(tmp_path, GOOD, name), Settings())


def test_settings_are_replaced_by_path_and_stay_settings() -> None:
    changed = settings_with(Settings(), {"segmenter.decoder_channels": [32, 24, 16, 16]})
    assert changed.segmenter.decoder_channels == (32, 24, 16, 16)
    assert changed.filter == Settings().filter
    with pytest.raises(ValueError, match=r"segmenter\.width = 100"):
        settings_with(Settings(), {"segmenter.width": 100})


@pytest.mark.parametrize(
    ("low", "high", "step"),
    [(0.1, 0.3, 0.1), (0.0, 1.0, 0.1), (0.7, 0.9, 0.05), (1e-5, 5e-5, 1e-5)],
)
def test_a_grid_by_steps_takes_the_numbers_as_written_up_to_its_end(low, high, step):
    values = Range(low=low, high=high, step=step).grid()
    assert values[0] == low
    assert values[-1] == high
    assert values == [float(str(round(one, 10))) for one in values]


@pytest.mark.parametrize("log", [False, True])
def test_a_grid_by_points_stays_within_its_ends(log):
    for low, high in ((0.1, 0.3), (1e-5, 3e-3), (0.7, 4.9)):
        values = Range(low=low, high=high, log=log, points=7).grid()
        assert (values[0], values[-1]) == (low, high)
