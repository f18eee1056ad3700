"""Values as a person sees them in an error or at a prompt."""

from iip_assets.engine.values import Files, Report


def test_files_are_shown_by_their_names_and_sizes():
    files = Files({"model.onnx": bytes(5000), "card.json": b"{}"})
    assert repr(files) == "Files(model.onnx: 5000 bytes, card.json: 2 bytes)"


def test_a_report_is_shown_by_its_title_and_length():
    html = "<!doctype html><title>Drift</title>" + "x" * 5000
    assert repr(Report(html, {})) == f"Report('Drift', {len(html)} characters)"
    assert repr(Report("", {})) == "Report('', 0 characters)"
