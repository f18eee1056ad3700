"""Alarms: what a person should hear of, kept in files until everybody who should know was told.

An alarm has an id of what it is about, so that finding the same thing again raises nothing new.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from iip_assets.engine.atomic import write_text_whole
from iip_assets.engine.hashing import digest_json

Kind = Literal["run_failure", "asset_failure", "batch_rejected", "ingest_broken", "check_failed"]

_LONGEST_TEXT = 500
_LONGEST_DETAIL = 200
_MOST_DETAILS = 20
# What stands in addresses and messages and is nobody's business.
_SECRET = re.compile(
    r"(://)[^/\s@]+(?=@)"
    r"|((?i:token|key|secret|password|signature)(?:['\"]?\s*=\s*|['\"]\s*:\s*)['\"]?)[^&\s'\"]+"
)


@dataclass(frozen=True)
class Alarm:
    """Something that a person should hear of.

    Attributes:
        id: Hash of kind, subject and version: the same thing found again is the same alarm.
        kind: What kind of thing.
        subject: The run, asset, batch or check.
        text: What happened and what to do, in words.
        details: More of it, by name.
        at: When it was found, ISO 8601 in UTC.
        delivered: Names of those who were told.
    """

    id: str
    kind: Kind
    subject: str
    text: str
    details: Mapping[str, str]
    at: str
    delivered: tuple[str, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """The alarm as it is sent: without who was told."""
        fields = asdict(self)
        del fields["delivered"]
        return fields


def make_alarm(
    kind: Kind,
    subject: str,
    text: str,
    *,
    version: str,
    details: Mapping[str, object] | None = None,
) -> Alarm:
    """An alarm of now, cut to a size that anyone can take and without passwords in it.

    Args:
        kind: What kind of thing.
        subject: The run, asset, batch or check.
        text: What happened and what to do.
        version: Which time it is: the same thing at another version is another alarm.
        details: More of it, by name.
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
    line = " ".join(_SECRET.sub(r"\1\2…", line).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


@dataclass(frozen=True)
class AlarmBox:
    """Alarms of a workspace: those that somebody has yet to be told of, and those that were sent.

    Attributes:
        folder: Where they lie, a file each in `pending/` or `sent/`.
    """

    folder: Path

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
        write_text_whole(self._file("pending", alarm.id), json.dumps(asdict(alarm), indent=1))

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


def told(alarm: Alarm, name: str) -> Alarm:
    """The alarm with one more who was told."""
    return replace(alarm, delivered=(*alarm.delivered, name))


def _read(file: Path) -> Alarm | None:
    """The alarm in a file; None where there is none, or something else stands in it."""
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
        alarm = Alarm(**{**fields, "delivered": tuple(fields.get("delivered", ()))})
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return None
    texts = (alarm.id, alarm.kind, alarm.subject, alarm.text, alarm.at, *alarm.delivered)
    sound = all(isinstance(text, str) for text in texts) and isinstance(alarm.details, dict)
    # The name is what it is found by again.
    return alarm if sound and alarm.id == file.stem and alarm.kind in get_args(Kind) else None
