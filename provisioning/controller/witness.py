"""The controller as a witness of the boxes' journals (c2sp.org/tlog-witness): what it saw last and a request -> its word. Pure.

A journal's key is believed at first sight and pinned. From then on each checkpoint must go on from the one countersigned last; one that
does not is a fork, and nothing of that journal is countersigned any more until an operator has looked and said so.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from appliance.identity.keys import PrivateKey
from appliance.journal import note
from appliance.journal.proofs import is_consistent
from appliance.journal.verify import WITNESS, Checkpoint, Damaged, parse_key
from appliance.runtime.errors import Corrupt
from appliance.telemetry.sparkplug import Value

REMEMBERED = 16  # heads before the last one that a late message may still tell
STICKY = frozenset({"forked", "rolled-back"})  # what only an operator can clear
MOST_JOURNALS = 8  # of one box

_METRIC = re.compile(r"journal/([a-z][a-z0-9-]{0,31})/(key|checkpoint)")


@dataclass(frozen=True)
class Seen:
    """What is known of a journal: its pinned key, the head countersigned last and a few before, and what is wrong with it."""

    key: str
    size: int
    root: str  # base64
    recent: tuple[tuple[int, str], ...] = ()
    fault: str = ""
    told: str = ""


@dataclass(frozen=True)
class Countersign:
    """It goes on from what was seen: ``head`` may be countersigned, with the lines that it came with."""

    head: Checkpoint


@dataclass(frozen=True)
class Remind:
    """The request starts elsewhere: ``size`` entries were countersigned last."""

    size: int


@dataclass(frozen=True)
class Alarm:
    """It is not what a sound journal would send; ``reason`` is the word for metric and alert."""

    reason: str  # other-key, not-signed, forked, rolled-back
    sentence: str


Verdict = Countersign | Remind | Alarm


@dataclass(frozen=True)
class Witness:
    """Who countersigns."""

    name: str
    key: PrivateKey

    @property
    def verifier(self) -> str:
        """The public key as auditors take it: ``name+hash+base64``."""
        return note.verifier(parse_key(f"{self.name}={self.key.public}", kind=WITNESS))

    def countersign(self, head: Checkpoint, time: int) -> str:
        """Return the line that says it."""
        return note.cosignature(head, self.name, self.key, time)

    @classmethod
    def named(cls, name: str, key: PrivateKey) -> Witness:
        """Return the witness, whose name must be fit for a signed note.

        Raises:
            Corrupt: it is not.
        """
        try:
            parse_key(f"{name}={key.public}", kind=WITNESS)
        except Damaged as error:
            raise Corrupt(f"'{name}' is no name of a witness") from error
        return cls(name, key)


def judge(seen: Seen | None, key: str, request: str) -> Verdict:
    """Return the word on a request of the journal that says it has ``key``."""
    if seen is not None and seen.fault in STICKY:
        return Alarm(seen.fault, seen.told)
    if seen is not None and seen.key and key != seen.key:
        return Alarm("other-key", f"it is signed with another key ({key[:100]}) than the one known ({seen.key})")
    try:
        asked = note.parse_request(request.encode(errors="replace"))
        head = note.open_note(asked.note, note.parse_verifier(key))
    except Corrupt as error:
        return Alarm("not-signed", f"what the box sent is no signed checkpoint: {error}")
    if seen is None or not seen.key:
        return Remind(0) if asked.old else Countersign(head)
    root = base64.b64encode(head.root).decode()
    if head.size < seen.size:
        if (head.size, root) in seen.recent:  # a message that was late
            return Remind(seen.size)
        return Alarm(
            "rolled-back", f"it has {head.size} entries, {seen.size} were countersigned: entries were taken away"
        )
    if head.size == seen.size:
        return Countersign(head) if root == seen.root else _forked(head.size, seen)
    if asked.old != seen.size:
        return Remind(seen.size)
    if not is_consistent(seen.size, base64.b64decode(seen.root), head.size, head.root, asked.proof):
        return _forked(head.size, seen)
    return Countersign(head)


def after(seen: Seen | None, key: str, verdict: Verdict) -> Seen:
    """Return what is known of the journal after ``verdict``."""
    before = seen or Seen("", 0, "")
    match verdict:
        case Countersign(head):
            root = base64.b64encode(head.root).decode()
            known = (
                (*before.recent, (before.size, before.root))
                if before.key and head.size > before.size
                else before.recent
            )
            return Seen(key, head.size, root, known[-REMEMBERED:])
        case Alarm(reason, sentence):
            return Seen(before.key, before.size, before.root, before.recent, reason, sentence)
        case Remind():
            return before


def asked_in(metrics: Mapping[str, Value], changed: Iterable[str]) -> list[tuple[str, str, str]]:
    """Return name, key and request of the journals of which one of the metrics ``changed``."""
    names = dict.fromkeys(found[1] for name in changed if (found := _METRIC.fullmatch(name)))
    told = [(name, metrics.get(f"journal/{name}/key"), metrics.get(f"journal/{name}/checkpoint")) for name in names]
    return [(name, key, text) for name, key, text in told if isinstance(key, str) and isinstance(text, str)][
        :MOST_JOURNALS
    ]


def _forked(size: int, seen: Seen) -> Alarm:
    return Alarm(
        "forked", f"its {size} entries do not go on from the {seen.size} that were countersigned: its past was changed"
    )
