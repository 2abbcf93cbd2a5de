"""What a box has verified, on its disk: it protects from being shown older metadata after a restart, and lets known releases play on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from appliance.identity.keys import PublicKey
from appliance.runtime.files import sync_folder, write_atomic
from gateway.release import paths
from gateway.release.trust import layout
from gateway.release.trust.delegate import Delegate
from gateway.release.trust.listing import Entry


class Kept(Protocol):
    """Where verified metadata stays: by file name (only roots with their version), and what was listed by code."""

    def read(self, file: str) -> bytes | None:
        """Return a file that was written before, or None."""

    def write(self, file: str, data: bytes) -> None:
        """Keep a file durably."""

    def remove(self, file: str) -> None:
        """Forget a file."""


class Folder:
    """A folder of its own for each first root, so that a policy that names another one begins anew."""

    def __init__(self, base: Path, pinned: str) -> None:
        self._folder = base / pinned

    def read(self, file: str) -> bytes | None:
        """Return a file that was written before, or None."""
        try:
            with (self._folder / file).open("rb") as opened:
                return opened.read(max(layout.LARGEST.values()) + 1)
        except FileNotFoundError:
            return None

    def write(self, file: str, data: bytes) -> None:
        """Keep a file durably."""
        path = self._folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, data, 0o640)

    def remove(self, file: str) -> None:
        """Forget a file."""
        path = self._folder / file
        if path.exists():
            path.unlink()
            sync_folder(path.parent)


class Memory:
    """In memory, for looking at a repository once (``headgate release trust verify``)."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}

    def read(self, file: str) -> bytes | None:
        """Return a file that was written before, or None."""
        return self._files.get(file)

    def write(self, file: str, data: bytes) -> None:
        """Keep a file until the process ends."""
        self._files[file] = data

    def remove(self, file: str) -> None:
        """Forget a file."""
        self._files.pop(file, None)


@dataclass(frozen=True)
class Remembered:
    """What was listed when a release was looked up last: by whom, by which key, and whose material it uses."""

    entry: Entry
    delegate: Delegate
    by: PublicKey | None
    givers: tuple[Delegate, ...]


def remember(kept: Kept, found: Remembered) -> None:
    """Keep what was listed, for the time when the origin is away; a known listing is not written again."""
    entry = found.entry
    told = {
        "sha256": entry.sha256,
        "length": entry.length,
        "version": entry.version,
        "signer": str(entry.signer),
        "by": str(found.by) if found.by else None,
        "body": _told(found.delegate),
        "givers": [_told(giver) for giver in found.givers],
    }
    data = json.dumps(told).encode()
    if kept.read(_file(entry.code)) != data:
        kept.write(_file(entry.code), data)


def remembered(kept: Kept, code: str) -> Remembered | None:
    """Return what was listed as ``code`` when it was looked up last, or None where nothing was (or the file is damaged)."""
    data = kept.read(_file(code))
    try:
        told = json.loads(data or b"null")
        entry = Entry(code, told["sha256"], told["length"], told["version"], PublicKey.parse(told["signer"]))
        by = PublicKey.parse(told["by"]) if told["by"] else None
        return Remembered(entry, _delegate(told["body"]), by, tuple(_delegate(giver) for giver in told["givers"]))
    except (ValueError, KeyError, TypeError):
        return None


def forget(kept: Kept, code: str) -> None:
    """Forget what was listed as ``code``."""
    kept.remove(_file(code))


def _told(delegate: Delegate) -> dict[str, Any]:
    keys = [str(key) for key in delegate.keys]
    return {
        "name": delegate.body,
        "keys": keys,
        "identifiers": list(delegate.leading),
        "acts": list(delegate.acts),
        "bits": delegate.bits,
    }


def _delegate(told: Any) -> Delegate:
    keys = tuple(PublicKey.parse(key) for key in told["keys"])
    return Delegate(told["name"], keys, tuple(told["identifiers"]), tuple(told["acts"]), told["bits"])


def _file(code: str) -> str:
    return f"listed/{paths.code_of(code)}.json"
