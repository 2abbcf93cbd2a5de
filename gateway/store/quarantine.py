"""``quarantine/``: what was refused, with its reason beside it; bounded, the oldest goes first; closed to all but the exchange and root."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import re
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from appliance.runtime.files import write_atomic

MODE = 0o700
SHARE = 4  # one item takes no more than this part of the whole: the rest of it is cut off
BLOCK = 1 << 20  # bytes copied at once
NAME = re.compile(r"[0-9a-f]{32}", re.ASCII)
log = logging.getLogger("headgate.store")


class Quarantine:
    """The folder below ``root``; ``most`` bytes are kept."""

    def __init__(self, root: Path, most: int) -> None:
        self.folder, self.most, self._lock = root / "quarantine", most, threading.Lock()

    def prepare(self) -> None:
        """Make the folder, closed to everybody else."""
        self.folder.mkdir(mode=MODE, parents=True, exist_ok=True)
        if self.folder.stat().st_mode & 0o777 != MODE:
            self.folder.chmod(MODE)

    def take(self, path: Path, told: Mapping[str, Any]) -> str:
        """Keep a copy of the incoming file ``path``, and why it was refused; return the item's name, or nothing.

        The same bytes are one item, however often they are refused. A disk that is full keeps nothing: the refusal stands anyhow.
        """
        with self._lock:
            try:
                return self._take(path, told)
            except OSError as error:
                log.warning("what was refused is not kept: %s", error)
                return ""

    def _take(self, path: Path, told: Mapping[str, Any]) -> str:
        size, digest = path.stat().st_size, hashlib.sha256()
        left = kept = min(size, self.most // SHARE)
        copy = self.folder / ".coming"
        with path.open("rb") as file, copy.open("wb") as to:
            copy.chmod(0o600)
            while left and (block := file.read(min(BLOCK, left))):
                digest.update(block)
                to.write(block)
                left -= len(block)
        sha256 = digest.hexdigest()
        name = sha256[:32]
        copy.rename(self.folder / f"{name}.bytes")
        body = {"time": datetime.now(UTC).isoformat(), **told, "sha256": sha256, "size": kept, "came": size}
        write_atomic(self.folder / f"{name}.json", json.dumps(body, ensure_ascii=False).encode(), 0o600)
        self._make_room()
        return name

    def _make_room(self) -> None:
        held = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in self.folder.glob("*.bytes"))
        total = sum(size for _, size, _ in held)
        for _, size, path in held[:-1]:
            if total <= self.most:
                break
            drop(self.folder, path.stem)
            total -= size


def drop(folder: Path, name: str) -> bool:
    """Remove an item; return whether it was there."""
    there = (folder / f"{name}.json").exists()
    for ending in ("bytes", "json"):
        (folder / f"{name}.{ending}").unlink(missing_ok=True)
    return there


def items(folder: Path) -> list[dict[str, Any]]:
    """Return what is told of each item, the newest first."""
    found = []
    for path in folder.glob("*.json"):
        if NAME.fullmatch(path.stem):
            with contextlib.suppress(OSError, ValueError):
                found.append({"name": path.stem, **json.loads(path.read_bytes())})
    return sorted(found, key=lambda item: str(item.get("time", "")), reverse=True)
