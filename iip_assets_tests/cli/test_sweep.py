"""What a person at a terminal of 80 columns sees of a sweep."""

from __future__ import annotations

import pytest

from iip_assets.cli.sweep import print_trials
from iip_assets.sweeps.plan import Plan
from iip_assets.sweeps.study import Done

ENCODERS = ("tf_efficientnet_lite0", "mobilenetv3_small_050")
REASON = "ValueError: the loss is no number after step 14 of the first epoch"


def test_no_value_and_no_reason_is_cut_off(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    space = {"segmenter.learning_rate": {"low": 1e-4, "high": 1e-1}, "segmenter.encoder": ENCODERS}
    plan = Plan.model_validate({"name": "first", "model": "segmenter", "space": space, "trials": 2})
    values = [dict(zip(space, (0.0006354, encoder), strict=True)) for encoder in ENCODERS]
    judged = Done(0, values[0], 0.7398, 0.725, 0.755, 4.12, 101.9, "key", None, best=True)
    failed = Done(1, values[1], None, None, None, None, None, None, REASON, best=False)
    print_trials(plan, [judged, failed], {"segmenter.encoder": 0.75})

    shown = capsys.readouterr().out
    assert "…" not in shown
    assert "mean IoU" in shown
    assert "0.0006354" in shown
    assert "0.72 to 0.76" in shown
    assert "over 1 trials: segmenter.encoder 75%" in " ".join(shown.split())
    table = [line.split("│")[1:-1] for line in shown.splitlines() if line.startswith("│")]
    columns = ["".join(line[place].strip() for line in table) for place in range(len(table[0]))]
    assert columns[2] == "".join(ENCODERS)
    assert columns[-1].replace(" ", "") == f"bestfailed:{REASON}".replace(" ", "")
