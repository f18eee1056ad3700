"""An alarm is kept once, whole, of a bearable size, and without anybody's password."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st

from iip_assets.automation import alarms
from iip_assets.automation.alarms import (
    Alarm,
    AlarmBox,
    deliver,
    delivered_to,
    make_alarm,
    sinks_of,
)
from iip_assets.engine import atomic
from iip_assets.settings_file import read_settings
from iip_assets_tests.automation.webhook import Webhook, webhook_server


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
        ("PUT https://store.example.org/c/x.png?sv=2024&sig=aB%2Fc123%3D failed", "c123"),
        ("az://box/x?sig=abc123", "abc123"),
        ("sig=abc123", "abc123"),
        ("Authorization: Bearer abc123", "abc123"),
        ("{'Authorization': 'Bearer abc123'}", "abc123"),
        ("authorization: basic dXNlcjpwdw==", "dXNlcjpwdw"),
        ("POST https://hooks.slack.com/services/T00/B00/abc123 gave 404", "abc123"),
        ("no answer from hooks.slack.com/services/T00/B00/abc123", "abc123"),
        ("Max retries exceeded with url: /services/T00/B00/abc123 (Caused by", "abc123"),
        ("https://x.webhook.office.com/webhookb2/abc123@t/IncomingWebhook/u", "abc123"),
        ("HTTPS://discord.com/api/webhooks/1/abc123", "abc123"),
        ("xoxb-123456789-abc123 is no token", "abc123"),
        ("ghp_0123456789abc123", "abc123"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc123", "abc123"),
    ],
)
def test_passwords_are_left_out(text: str, secret: str) -> None:
    alarm = make_alarm("run_failure", "a", text, version="1", details={"error": text})
    assert secret not in json.dumps(alarm.as_json())
    assert "…" in alarm.text


@pytest.mark.parametrize(
    "text",
    [
        "s3://bucket/artifacts cannot be reached",
        "the webhook at hooks.slack.com answered 404",
        "labels.csv, row 3, age_years: is negative",
        "W&B at https://api.wandb.ai did not answer",
        "the basic check failed: keypoints: 3",
    ],
)
def test_words_without_a_secret_stay(text: str) -> None:
    assert make_alarm("run_failure", "a", text, version="1").text.startswith(text[:23])


def test_it_is_kept_who_was_told_and_not_sent(box: AlarmBox) -> None:
    box.keep(delivered_to(an_alarm(), "log"))
    assert box.pending()[0].delivered == ("log",)
    assert "delivered" not in box.pending()[0].as_json()


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook_server() as server:
        yield server


class Desk:
    """A box of two alarms and a person who reads the log."""

    def __init__(self, folder: Path, url: str) -> None:
        self.box = AlarmBox.of(folder)
        self.url = url
        self.log: list[str] = []
        self.said: list[str] = []
        for number in (1, 2):
            self.box.add(make_alarm("run_failure", "a", f"number {number}", version=f"{number}"))

    def tick(self) -> int:
        return deliver(self.box, sinks_of(self.url, log=self.log.append), log=self.said.append)

    @property
    def ids(self) -> list[str]:
        return [alarm.id for alarm in (*self.box.sent(), *self.box.pending())]


@pytest.fixture
def desk(tmp_path: Path, hook: Webhook) -> Desk:
    return Desk(tmp_path, hook.url)


def test_each_arrives_once(desk: Desk, hook: Webhook) -> None:
    assert desk.tick() == 0
    assert desk.tick() == 0
    assert sorted(hook.ids()) == sorted(desk.ids)
    assert [alarm["text"] for alarm in hook.taken] == ["number 1", "number 2"]
    assert desk.log == ["run failure: number 1", "run failure: number 2"]


def test_without_a_webhook_the_log_is_enough(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "")
    assert desk.tick() == 0
    assert len(desk.log) == 2


def test_a_refused_one_is_sent_again_and_holds_up_no_other(desk: Desk, hook: Webhook) -> None:
    hook.answers = [500]
    assert desk.tick() == 1
    assert [alarm["text"] for alarm in hook.taken] == ["number 2"]
    assert desk.tick() == 0
    assert [alarm["text"] for alarm in hook.taken] == ["number 2", "number 1"]
    assert len(desk.log) == 2


@pytest.mark.parametrize("answer", [301, 302, 404])
def test_a_redirect_or_an_error_is_no_delivery(desk: Desk, hook: Webhook, answer: int) -> None:
    hook.answers = [answer, answer]
    assert desk.tick() == 2
    assert hook.asked == 2
    assert str(answer) in desk.said[0]


def test_one_that_hangs_is_given_up_soon_and_asked_once(
    desk: Desk, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarms, "_ANSWER_WITHIN_S", 0.2)
    hook.answers = [0]
    started = time.monotonic()
    assert desk.tick() == 2
    assert time.monotonic() - started < 5
    assert hook.asked == 1
    assert len(desk.log) == 2
    assert desk.tick() == 0
    assert sorted(hook.ids()) == sorted(desk.ids)


def test_nobody_there_is_said_without_the_key_in_the_address(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    desk = Desk(tmp_path, f"http://127.0.0.1:{port}/key-1234")
    assert desk.tick() == 2
    assert "127.0.0.1" in desk.said[0]
    assert "key-1234" not in " ".join(desk.said)


@pytest.mark.parametrize(
    "url",
    [
        "https://",
        "key-1234",
        "file:///key-1234",
        "http://[::1/key-1234",
        "https://host:99999/key-1234",
        "http://host:key-1234/",
        "http:// host/key-1234",
        "http://me:key-1234@host/",
        "http://127.0.0.1/ü?key-1234",
    ],
)
def test_a_webhook_that_is_no_address_keeps_no_alarm_out_of_the_log(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "iip.toml").touch()
    monkeypatch.setenv("IIP_ALARMS__WEBHOOK", url)
    desk = Desk(tmp_path, read_settings(tmp_path).alarms.webhook)
    assert desk.tick() == 2
    assert len(desk.log) == 2
    (said,) = desk.said
    assert "alarms.webhook in iip.toml" in said
    assert "key-1234" not in said


def test_a_kill_after_it_arrived_and_before_that_is_written_sends_it_again(
    desk: Desk, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = AlarmBox.keep

    def killed_for_the_webhook(box: AlarmBox, alarm: Alarm) -> None:
        if "webhook" in alarm.delivered:
            raise KeyboardInterrupt
        keep(box, alarm)

    with monkeypatch.context() as killing:
        killing.setattr(AlarmBox, "keep", killed_for_the_webhook)
        with pytest.raises(KeyboardInterrupt):
            desk.tick()
    first = hook.ids()[0]
    assert desk.tick() == 0
    assert hook.ids().count(first) == 2
    assert set(hook.ids()) == set(desk.ids)


def test_a_kill_before_it_is_moved_away_tells_nobody_twice(
    desk: Desk, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as killing:
        killing.setattr(AlarmBox, "mark_sent", killed)
        with pytest.raises(KeyboardInterrupt):
            desk.tick()
    assert desk.tick() == 0
    assert sorted(hook.ids()) == sorted(desk.ids)


def test_two_processes_do_not_send_at_once(desk: Desk, hook: Webhook) -> None:
    with FileLock(desk.box.folder / "lock"):
        assert desk.tick() == 2
    assert hook.asked == 0
    assert desk.tick() == 0
