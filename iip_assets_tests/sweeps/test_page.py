from __future__ import annotations

from iip_assets.sweeps.page import sweep_page
from iip_assets.sweeps.plan import Plan
from iip_assets.sweeps.study import Done


def test_the_page_names_every_trial_and_escapes_what_failed() -> None:
    plan = Plan(name="first", model="segmenter", space={"segmenter.encoder": ("a", "b")})
    good = Done(0, {"segmenter.encoder": "a"}, 0.7123, 0.6, 0.8, 12.34, 9.0, "k", None, best=True)
    bad = Done(1, {"segmenter.encoder": "b"}, *[None] * 6, "<b> is no encoder", best=False)
    page = sweep_page(plan, [good, bad], {"segmenter.encoder": 1.0})
    for said in ("0.712", "0.600 to 0.800", "12.3", "&lt;b&gt; is no encoder", "100%"):
        assert said in page
    assert "<b> is" not in page
