"""Which bodies the operator's trust metadata admits, and under which keys: the same that boxes verify releases by. Touches that folder."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tuf.api.metadata import Snapshot, Targets, Timestamp

from appliance.runtime.errors import Corrupt, HeadgateError
from gateway.release.trust import judging, metadata, repository, summary
from gateway.release.trust.delegate import Delegate, delegates_of
from gateway.release.trust.files import Files
from gateway.release.trust.layout import SNAPSHOT, TARGETS, TIMESTAMP, Name

log = logging.getLogger("headgate.registry")


@dataclass(frozen=True)
class Delegated:
    """The SHA-256 of the first root, and what the newest targets that it leads to delegate."""

    pin: str = ""
    bodies: Mapping[str, Delegate] = field(default_factory=dict)


class Delegations:
    """The trust repository in ``files``, read again when it changed."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._known: tuple[object, Delegated] = (None, Delegated())

    def read(self, now: datetime) -> Delegated:
        """Return who is admitted; nobody where that cannot be verified."""
        try:
            newest = _named(self._files)
            mark = (newest, now.date())  # metadata expires
            if mark != self._known[0]:
                self._known = (mark, _read(self._files, newest, now))
        except (HeadgateError, OSError) as error:
            log.error("the trust metadata admits nobody: %s", error)
            self._known = (None, Delegated())
        return self._known[1]


def _named(files: Files) -> int:
    """Return the version of the targets that the newest snapshot names: others may lie there that were not let in."""
    data = files.read(Name(TIMESTAMP, None))
    if data is None:
        return 0
    version = metadata.read(data, Timestamp, "timestamp.json").signed.snapshot_meta.version
    data = files.read(Name(SNAPSHOT, version))
    if data is None:
        raise Corrupt(f"version {version} of the snapshot is missing")
    named = metadata.read(data, Snapshot, f"{version}.snapshot.json").signed.meta.get("targets.json")
    return named.version if named else 0


def _read(files: Files, version: int, now: datetime) -> Delegated:
    data = files.read(Name(TARGETS, version)) if version else None
    if data is None:
        return Delegated()
    found = metadata.read(data, Targets, f"{version}.targets.json")
    judging.targets_follow(repository.root_of(files).signed, found, now)
    return Delegated(summary.pin(files), delegates_of(found.signed))
