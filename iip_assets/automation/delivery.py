"""Delivery of alarms: each sink is told at least once, and one that is down keeps nobody waiting.

A process may be killed between telling a sink and writing that down; then the sink is told again,
under the same id.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from iip_assets.automation.alarms import Alarm, AlarmBox, told

Sink = Callable[[Alarm], None]

# A tick of a sensor has a minute; whoever does not answer in this time is asked on the next one.
_ANSWER_WITHIN_S = 5.0
_DELIVER_WITHIN_S = 20.0

_WRONG_WEBHOOK = (
    "the webhook is no valid address; write one such as https://example.org/path to alarms.webhook "
    "in iip.toml or to IIP_ALARMS__WEBHOOK, or leave it empty if the log is enough"
)


class SinkDownError(RuntimeError):
    """A sink cannot be reached: no use in trying it with another alarm now."""


class AlarmRefusedError(RuntimeError):
    """A sink is there and did not take this alarm."""


def deliver(box: AlarmBox, sinks: Mapping[str, Sink], *, log: Callable[[str], None]) -> int:
    """Tells the sinks of every alarm that waits; gives the number that still do.

    Args:
        box: The alarms.
        sinks: By name.
        log: Told why an alarm still waits.
    """
    box.folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(box.folder / "lock", timeout=0):
            return _deliver(box, sinks, log)
    except Timeout:
        return len(box.pending())  # another process is at it


def _deliver(box: AlarmBox, sinks: Mapping[str, Sink], log: Callable[[str], None]) -> int:
    until = time.monotonic() + _DELIVER_WITHIN_S
    down: set[str] = set()
    left = 0
    for waiting in box.pending():
        alarm = waiting
        for name, sink in sinks.items():
            if name in alarm.delivered or name in down or time.monotonic() > until:
                continue
            try:
                sink(alarm)
            except AlarmRefusedError as error:
                log(f"alarm {alarm.id} waits: {error}")
            except SinkDownError as error:
                down.add(name)
                log(f"alarms wait: {error}")
            else:
                alarm = told(alarm, name)
                box.keep(alarm)
        if sinks.keys() <= set(alarm.delivered):
            box.mark_sent(alarm)
        else:
            left += 1
    return left


def sinks_of(webhook: str, *, log: Callable[[str], None]) -> dict[str, Sink]:
    """The log, and the webhook if there is one."""
    sinks: dict[str, Sink] = {"log": lambda alarm: log(in_words(alarm))}
    if webhook:
        sinks["webhook"] = lambda alarm: post(webhook, alarm)
    return sinks


def in_words(alarm: Alarm) -> str:
    """The alarm in a line."""
    return f"{alarm.kind.replace('_', ' ')}: {alarm.text}"


def post(url: str, alarm: Alarm) -> None:
    """Sends the alarm as JSON to an http or https address; any answer of 2xx means that it arrived.

    Raises:
        SinkDownError: Nobody answers there, or it is no such address.
        AlarmRefusedError: The answer is another.
    """
    host = _host(url)  # the rest of the address may hold a key
    body = json.dumps(alarm.as_json()).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "iip"}
    request = urllib.request.Request(url, body, headers, method="POST")  # noqa: S310 - see _host
    try:
        with _OPENER.open(request, timeout=_ANSWER_WITHIN_S):
            return
    except urllib.error.HTTPError as error:
        error.close()
        raise AlarmRefusedError(f"the webhook at {host} answered {error.code}") from None
    except (http.client.InvalidURL, UnicodeError):
        raise SinkDownError(_WRONG_WEBHOOK) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        kind = type(reason).__name__ if isinstance(reason, BaseException) else reason
        raise SinkDownError(f"the webhook at {host} cannot be reached ({kind})") from None


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts.hostname
    except ValueError:
        pass  # brackets or a port that are none
    raise SinkDownError(_WRONG_WEBHOOK)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST becomes a GET without the alarm, and would count as delivered."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)
