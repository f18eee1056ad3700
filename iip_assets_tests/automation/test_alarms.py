"""An alarm is kept once, whole, of a bearable size, and without anybody's password."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iip_assets.automation.alarms import Alarm, AlarmBox, make_alarm, told
from iip_assets.engine import atomic


def an_alarm(subject: str = "a", version: str = "1", text: str = "it broke") -> Alarm:
    return make_alarm("run_failure", subject, text, version=version)


@pytest.fixture
def box(tmp_path: Path) -> AlarmBox:
    return AlarmBox.of(tmp_path)


def test_the_same_thing_found_again_is_the_same_alarm(box: AlarmBox) -> None:
    assert box.add(an_alarm())
    assert not box.add(an_alarm(text="in other words"))
    assert box.add(an_alarm(version="2"))
    assert [alarm.text for alarm in box.pending()] == ["it broke", "it broke"]


def test_what_was_sent_is_not_raised_again(box: AlarmBox) -> None:
    box.add(an_alarm())
    box.mark_sent(box.pending()[0])
    assert not box.add(an_alarm())
    assert (box.pending(), len(box.sent())) == ([], 1)


def test_a_kill_while_it_is_written_leaves_no_alarm_or_a_whole_one(
    box: AlarmBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as killing:
        killing.setattr(atomic.os, "fsync", killed)
        with pytest.raises(KeyboardInterrupt):
            box.add(an_alarm())
    assert box.pending() == []
    assert box.add(an_alarm())
    assert len(box.pending()) == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'{"id": 3}', b"\xff\xfe", b"[" * 100_000],
    ids=["empty", "cut", "list", "null", "fields", "binary", "deep"],
)
def test_a_damaged_file_is_no_alarm_and_does_not_keep_it_from_being_raised(
    box: AlarmBox, content: bytes
) -> None:
    box.add(an_alarm())
    file = next((box.folder / "pending").iterdir())
    file.write_bytes(content)
    assert box.pending() == []
    assert box.add(an_alarm())
    assert box.pending()[0].text == "it broke"


def test_a_file_under_another_name_is_not_believed(box: AlarmBox) -> None:
    """It could be delivered and never be moved away."""
    box.add(an_alarm())
    file = next((box.folder / "pending").iterdir())
    file.rename(file.with_name("other.json"))
    assert box.pending() == []


@settings(max_examples=60, derandomize=True, deadline=None)
@given(text=st.text(max_size=3000), detail=st.text(max_size=600), many=st.integers(0, 40))
def test_any_text_makes_a_small_alarm_that_is_json_and_one_line(
    text: str, detail: str, many: int
) -> None:
    details = {f"{detail}{number}": detail for number in range(many)}
    alarm = make_alarm("check_failed", text, text, version=detail, details=details)
    sent = json.dumps(alarm.as_json()).encode()
    assert len(sent) < 40_000
    assert alarm.text.isprintable()
    assert len(alarm.text) <= 500
    assert len(alarm.details) <= 20


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("cannot reach https://me:hunter2@example.org/x", "hunter2"),
        ("PUT https://bucket/x?X-Amz-Signature=abc123&y=1", "abc123"),
        ("api_key=abc123 was refused", "abc123"),
        ("password='abc123'", "abc123"),
        ('{"token": "abc123"}', "abc123"),
        ("TOKEN=abc123", "abc123"),
    ],
)
def test_passwords_are_left_out(text: str, secret: str) -> None:
    alarm = make_alarm("run_failure", "a", text, version="1", details={"error": text})
    assert secret not in json.dumps(alarm.as_json())
    assert "…" in alarm.text


def test_it_is_kept_who_was_told_and_not_sent(box: AlarmBox) -> None:
    box.keep(told(an_alarm(), "log"))
    assert box.pending()[0].delivered == ("log",)
    assert "delivered" not in box.pending()[0].as_json()
