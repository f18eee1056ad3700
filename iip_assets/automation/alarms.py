"""Alarms: what a person should hear of, kept in files until everybody who should know was told.

An alarm has an id of what it is about, so that finding the same thing again raises nothing new.

A process may be killed between telling a sink and writing that down; then the sink is told again,
under the same id.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict

from iip_assets.engine.atomic import write_text_whole
from iip_assets.engine.hashing import digest_json

Kind = Literal["run_failure", "asset_failure", "batch_rejected", "ingest_broken", "check_failed"]

_LONGEST_TEXT = 500
_LONGEST_DETAIL = 200
_MOST_DETAILS = 20
# What stands in addresses and messages and is nobody's business: of each, what is kept of it.
_SECRETS = (
    # Of a web address all but its host: the path of a webhook is its key (Slack, Teams, Discord).
    (re.compile(r"(?i)\b(https?://)(?:[^/\s@]+@)?([^\s/?#'\"<>()]+)[/?#][^\s'\"<>()]*"), r"\1\2/…"),
    (re.compile(r"(?i)(\bwith url: |\b(?:hooks?\.|webhooks?\.)[\w.-]+)/[^\s'\"<>()]+"), r"\1/…"),
    (re.compile(r"(://)[^/\s@]+(?=@)"), r"\1…"),
    (re.compile(r"(\w://[^\s?]+\?)\S+"), r"\1…"),
    (
        re.compile(
            r"((?i:token|key|secret|password|passwd|passphrase|pwd|sig|signature|credentials?"
            r"|webhook)(?:['\"]?\s*=\s*|['\"]\s*:\s*)['\"]?)[^&\s'\"]+"
        ),
        r"\1…",
    ),
    (
        re.compile(r"(?i)\b(authorization['\"]?\s*[:=]\s*['\"]?)(?:\w+\s+)?[^\s'\",;]+"),
        r"\1…",
    ),
    (re.compile(r"(?i)\b(bearer\s+)[^\s'\",;]+"), r"\1…"),
    # What is known by how it begins: Slack's, GitHub's and GitLab's tokens, AWS keys, JSON tokens.
    (
        re.compile(
            r"\b(xox[a-z]-|xapp-|gh[a-z]_|github_pat_|glpat-|AKIA|ASIA|eyJ|sk-)[\w.+/=-]{8,}"
        ),
        r"\1…",
    ),
)

# A tick of a sensor has a minute; whoever does not answer in this time is asked on the next one.
_ANSWER_WITHIN_S = 5.0
_DELIVER_WITHIN_S = 20.0
_WRONG_WEBHOOK = (
    "the webhook is no valid address; write one such as https://example.org/path to alarms.webhook "
    "in iip.toml or to IIP_ALARMS__WEBHOOK, or leave it empty if the log is enough"
)


class Alarm(BaseModel):
    """Something that a person should hear of."""

    model_config = ConfigDict(frozen=True)

    id: str  # hash of kind, subject and version: the same thing found again is the same alarm
    kind: Kind  # what kind of thing
    subject: str  # the run, asset, batch or check
    text: str  # what happened and what to do, in words
    details: dict[str, str]  # more of it, by name
    at: str  # when it was found, ISO 8601 in UTC
    delivered: tuple[str, ...] = ()  # names of those who were told

    def as_json(self) -> dict[str, Any]:
        """The alarm as it is sent: without who was told."""
        return self.model_dump(exclude={"delivered"})


def make_alarm(
    kind: Kind,
    subject: str,
    text: str,
    *,
    version: str,
    details: Mapping[str, object] | None = None,
) -> Alarm:
    """An alarm of now, cut to a size that anyone can take and without passwords in it.

    The same thing at another `version` is another alarm; see `Alarm` for the rest.
    """
    shown = list((details or {}).items())[:_MOST_DETAILS]
    return Alarm(
        id=digest_json([kind, subject, version])[:32],
        kind=kind,
        subject=clean(subject, _LONGEST_DETAIL),
        text=clean(text, _LONGEST_TEXT),
        details={clean(name, 60): clean(str(value), _LONGEST_DETAIL) for name, value in shown},
        at=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )


def clean(text: str, longest: int) -> str:
    """Text from anywhere as one short, printable line without passwords."""
    # Cut first: a pattern need not run over a megabyte. A secret that is cut is still one.
    line = "".join(char if char.isprintable() else " " for char in text[: 4 * longest])
    for pattern, kept in _SECRETS:
        line = pattern.sub(kept, line)
    line = " ".join(line.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


@dataclass(frozen=True)
class AlarmBox:
    """Alarms of a workspace: those that somebody has yet to be told of, and those sent."""

    folder: Path  # where they lie, a file each in `pending/` or `sent/`

    @classmethod
    def of(cls, state: Path) -> AlarmBox:
        """The alarms of the workspace with this state folder."""
        return cls(state / "alarms")

    def add(self, alarm: Alarm) -> bool:
        """Keeps an alarm for delivery; False where it is known already."""
        if self._file("sent", alarm.id).exists() or _read(self._file("pending", alarm.id)):
            return False
        self.keep(alarm)
        return True

    def keep(self, alarm: Alarm) -> None:
        """Writes an alarm that waits, as it is now."""
        write_text_whole(self._file("pending", alarm.id), alarm.model_dump_json(indent=1))

    def mark_sent(self, alarm: Alarm) -> None:
        """Moves an alarm that everybody was told of."""
        target = self._file("sent", alarm.id)
        target.parent.mkdir(parents=True, exist_ok=True)
        self._file("pending", alarm.id).rename(target)

    def pending(self) -> list[Alarm]:
        """Alarms that wait for delivery, oldest first."""
        return self._all("pending")

    def sent(self) -> list[Alarm]:
        """Alarms that were delivered, oldest first."""
        return self._all("sent")

    def _all(self, place: str) -> list[Alarm]:
        found = [_read(file) for file in (self.folder / place).glob("*.json")]
        return sorted((alarm for alarm in found if alarm), key=lambda alarm: (alarm.at, alarm.id))

    def _file(self, place: str, alarm_id: str) -> Path:
        return self.folder / place / f"{alarm_id}.json"


def delivered_to(alarm: Alarm, name: str) -> Alarm:
    """The alarm with one more who was told."""
    return alarm.model_copy(update={"delivered": (*alarm.delivered, name)})


def _read(file: Path) -> Alarm | None:
    """The alarm in a file; None where there is none, or something else stands in it."""
    try:
        alarm = Alarm.model_validate_json(file.read_bytes())
    except (OSError, ValueError):
        return None
    return alarm if alarm.id == file.stem else None  # by its name it is found again


Sink = Callable[[Alarm], None]


class SinkDownError(RuntimeError):
    """A sink cannot be reached: no use in trying it with another alarm now."""


class AlarmRefusedError(RuntimeError):
    """A sink is there and did not take this alarm."""


def deliver(box: AlarmBox, sinks: Mapping[str, Sink], *, log: Callable[[str], None]) -> int:
    """Tells the sinks (by name) of every alarm that waits; gives the number that still do.

    Why one still waits is logged.
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
                alarm = delivered_to(alarm, name)
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

    Certificates are held against those of certifi, or of the file that REQUESTS_CA_BUNDLE names.

    Raises:
        SinkDownError: Nobody answers there, or it is no such address.
        AlarmRefusedError: The answer is another.
    """
    import requests
    from requests.exceptions import InvalidSchema, InvalidURL, MissingSchema
    from urllib3.exceptions import LocationParseError

    host = _host(url)  # the rest of the address may hold a key
    try:
        # A redirected POST becomes a GET without the alarm, and would count as delivered. What else
        # the answer says is not read.
        with requests.post(
            url,
            json=alarm.as_json(),
            headers={"User-Agent": "iip"},
            auth=lambda request: request,  # else a password of ~/.netrc would be sent
            timeout=_ANSWER_WITHIN_S,
            allow_redirects=False,
            stream=True,
        ) as answer:
            status = answer.status_code
    except (InvalidSchema, InvalidURL, MissingSchema, LocationParseError):
        raise SinkDownError(_WRONG_WEBHOOK) from None
    except (requests.RequestException, ValueError) as error:
        reason = getattr(error.args[0] if error.args else error, "reason", None) or error
        kind = type(reason).__name__
        raise SinkDownError(f"the webhook at {host} cannot be reached ({kind})") from None
    if not 200 <= status < 300:
        raise AlarmRefusedError(f"the webhook at {host} answered {status}")


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
        if parts.hostname and parts.username is None and parts.port != 0 and url.isascii():
            return parts.hostname
    except ValueError:
        pass  # brackets or a port that are none
    raise SinkDownError(_WRONG_WEBHOOK)
