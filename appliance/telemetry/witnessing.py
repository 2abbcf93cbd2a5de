"""A journal's checkpoint on its way to the witnesses, and their word on its way back.

The journal's daemon writes what it asks into ``/run/headgate/journal/NAME/checkpoint`` (``Outlet``); telemetry reports it as metrics
``journal/NAME/{key,checkpoint}``, of which only the latest matters: it proves that it goes on from what was countersigned last.
The controller answers on ``headgate/v1/SITE/witness``; telemetry leaves the answer in ``/run/headgate/witness/NAME``.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.journal.log import Journal
from appliance.journal.note import LONGEST
from appliance.runtime.errors import Corrupt, HeadgateError
from appliance.runtime.files import write_atomic
from appliance.telemetry.exposition import read_plain
from appliance.telemetry.records import plain_json, to_json

EVERY = 10.0  # seconds between two checkpoints that leave the box, but at once after what ``hurry`` says
LARGEST = 16 << 10  # bytes of either file
MOST_JOURNALS = 8
LONGEST_KEY = 300

_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
log = logging.getLogger("headgate.journal")


@dataclass(frozen=True)
class Asked:
    """What a journal asks of its witnesses: its verifier key, and the request (c2sp.org/tlog-witness, ``add-checkpoint``)."""

    key: str
    request: str

    def encode(self) -> bytes:
        """Return the file's text."""
        return to_json({"key": self.key, "request": self.request})


@dataclass(frozen=True)
class Answer:
    """A witness's word on ``journal``: lines for the head of ``size`` entries and ``root``, or none where ``size`` is what it saw."""

    journal: str
    size: int
    root: str = ""  # base64
    signatures: tuple[str, ...] = ()

    def encode(self) -> bytes:
        """Return the message's text."""
        return to_json({**vars(self), "signatures": list(self.signatures)})


class Outlet:
    """Publishes ``journal`` (called ``name``) below ``run``, and takes in what the witnesses answered."""

    def __init__(self, journal: Journal, name: str, run: Path) -> None:
        self._journal = journal
        self._out, self._back = run / "journal" / name / "checkpoint", run / "witness" / name
        self._name, self._told, self._mark = name, b"", (0, 0)
        self._seen: int | None = None  # entries that the witness says it saw, where that is not what we know
        self._due = 0.0

    def look(self, *, hurry: bool = False) -> None:
        """Publish what is new, if it is time or there is ``hurry``; a failure is told in the log and tried again."""
        try:
            changed = self._take()
            now = time.monotonic()
            if hurry or changed or now >= self._due:
                self._due = now + EVERY
                self._give()
        except (HeadgateError, OSError) as error:
            log.warning("the checkpoint of the journal '%s' stays on the box for now: %s", self._name, error)

    def _give(self) -> None:
        self._journal.publish()
        request = self._journal.request(self._journal.witnessed if self._seen is None else self._seen)
        told = Asked(self._journal.verifier, request.decode()).encode()
        if told != self._told:
            self._out.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(self._out, told)
            self._told = told

    def _take(self) -> bool:
        try:
            status = self._back.lstat()
        except FileNotFoundError:
            return False
        mark = (status.st_ino, status.st_mtime_ns)
        if mark == self._mark:
            return False
        self._mark = mark
        answer = parse_answer(read_plain(self._back, LARGEST))
        if answer.signatures:
            self._seen = None
            return self._journal.countersigned(answer.size, answer.root, answer.signatures)
        self._seen = answer.size if answer.size <= self._journal.size else None
        return True


def read_asked(run: Path) -> Mapping[str, Asked]:
    """Return what the journals of the box ask, by their names; what cannot be read is passed over."""
    found: dict[str, Asked] = {}
    for folder in sorted((run / "journal").iterdir()) if (run / "journal").is_dir() else ():
        if len(found) < MOST_JOURNALS and _NAME.fullmatch(folder.name):
            try:
                found[folder.name] = parse_asked(read_plain(folder / "checkpoint", LARGEST))
            except FileNotFoundError:
                continue
            except (Corrupt, OSError) as error:
                log.warning("the checkpoint of the journal '%s' cannot be read: %s", folder.name, error)
    return found


def parse_asked(data: bytes) -> Asked:
    """Return what a journal asks.

    Raises:
        Corrupt: this is none.
    """
    told = plain_json(data)
    key, request = (told.get(name) for name in ("key", "request")) if isinstance(told, dict) else (None, None)
    good = isinstance(key, str) and isinstance(request, str) and len(key) <= LONGEST_KEY and len(request) <= LONGEST
    if not good or "\0" in f"{key}{request}":
        raise Corrupt("this is no checkpoint on its way to a witness")
    return Asked(str(key), str(request))


def parse_answer(data: bytes) -> Answer:
    """Return a witness's answer.

    Raises:
        Corrupt: this is none.
    """
    told: Any = plain_json(data) if len(data) <= LARGEST else None
    if isinstance(told, dict) and told.keys() == {"journal", "size", "root", "signatures"}:
        name, size, root, lines = (told[part] for part in ("journal", "size", "root", "signatures"))
        good = isinstance(name, str) and _NAME.fullmatch(name) and type(size) is int and 0 <= size < 1 << 62
        if good and isinstance(lines, list) and all(isinstance(text, str) for text in (root, *lines)):
            return Answer(name, size, root, tuple(lines))
    raise Corrupt("this is no answer of a witness")


def keep_answer(run: Path, data: bytes) -> None:
    """Leave a witness's answer for the journal that it speaks of.

    Raises:
        Corrupt: this is no answer.
    """
    answer = parse_answer(data)
    (run / "witness").mkdir(parents=True, exist_ok=True)
    write_atomic(run / "witness" / answer.journal, answer.encode())
