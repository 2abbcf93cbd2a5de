"""``quarantine/``: what was refused, with its reason beside it; bounded, the oldest goes first; closed to all but the exchange and root."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from appliance.runtime.files import write_atomic

MODE = 0o700
SHARE = (
    4  # one item takes no more than this part of the whole: the rest of it is cut off; nor do all live files together
)
MOST_ITEMS = 4096  # however small they are
BLOCK = 1 << 20  # bytes copied at once
NAME = re.compile(r"[0-9a-f]{32}", re.ASCII)
log = logging.getLogger("headgate.store")


@dataclass(frozen=True)
class _Item:
    size: int  # bytes on the disk, with what is told of it
    live: bool


class Quarantine:
    """The folder below ``root``; ``most`` bytes are kept."""

    def __init__(self, root: Path, most: int) -> None:
        self.folder, self.most, self._lock = root / "quarantine", most, threading.Lock()
        self._held: OrderedDict[str, _Item] | None = None  # the oldest first

    def prepare(self) -> None:
        """Make the folder, closed to everybody else, and throw away what was not finished."""
        self.folder.mkdir(mode=MODE, parents=True, exist_ok=True)
        if self.folder.stat().st_mode & 0o777 != MODE:
            self.folder.chmod(MODE)
        for path in self.folder.glob(".*"):
            path.unlink()

    def take(self, path: Path, told: Mapping[str, Any], *, live: bool = False) -> str:
        """Keep a copy of the file ``path``, and why it was refused; return the item's name, or nothing.

        The same bytes are one item that counts how often they were refused (``times``). What is ``live`` comes without end: it has a part
        of the room only. A disk that is full keeps nothing: the refusal stands anyhow.
        """
        with self._lock:
            try:
                with path.open("rb") as file:
                    return self._take(file, told, live=live)
            except OSError as error:
                log.warning("what was refused is not kept: %s", error)
                return ""

    def _take(self, file: BinaryIO, told: Mapping[str, Any], *, live: bool) -> str:
        came = os.fstat(file.fileno()).st_size
        size = min(came, self.most // SHARE)
        sha256 = _digest(file, size)
        name = sha256[:32]
        where, now = self.folder / f"{name}.bytes", datetime.now(UTC).isoformat()
        before = _told(self.folder / f"{name}.json") if where.exists() else {}
        if before:
            os.utime(where)  # the newest again
        else:
            self._copy(file, size, where)
        times = {"time": now, "first": before.get("first", now), "times": int(before.get("times", 0)) + 1}
        body = json.dumps({**times, **told, "sha256": sha256, "size": size, "came": came}, ensure_ascii=False).encode()
        write_atomic(self.folder / f"{name}.json", body, 0o600)
        held = self._index()
        held[name] = _Item(size + len(body), live)
        held.move_to_end(name)
        self._make_room(held)
        return name

    def _copy(self, file: BinaryIO, left: int, where: Path) -> None:
        copy = self.folder / ".coming"
        file.seek(0)
        with copy.open("wb") as to:
            copy.chmod(0o600)
            while left and (block := file.read(min(BLOCK, left))):
                to.write(block)
                left -= len(block)
        copy.rename(where)

    def _index(self) -> OrderedDict[str, _Item]:
        """Return what is held, read from the folder at first."""
        if self._held is None:
            self._held = OrderedDict()
            for path in sorted(self.folder.glob("*.bytes"), key=lambda path: path.stat().st_mtime_ns):
                about = self.folder / f"{path.stem}.json"
                if told := _told(about):
                    size = path.stat().st_size + about.stat().st_size
                    self._held[path.stem] = _Item(size, live=bool(told.get("live")))
                else:  # a crash came between the two
                    path.unlink(missing_ok=True)
        return self._held

    def _make_room(self, held: OrderedDict[str, _Item]) -> None:
        def over(items: list[_Item], most: int) -> bool:
            return sum(item.size for item in items) > most or len(items) > MOST_ITEMS * most // max(1, self.most)

        if not over(list(held.values()), self.most) and not over(_live(held), self.most // SHARE):
            return
        for name in [name for name in held if not (self.folder / f"{name}.bytes").exists()]:
            del held[name]  # root dropped it
        for live, most in ((True, self.most // SHARE), (False, self.most)):
            while over(_live(held) if live else list(held.values()), most):
                names = [name for name, item in held.items() if item.live or not live]
                if len(names) < 2:  # the newest stays
                    break
                drop(self.folder, names[0])
                del held[names[0]]


def _live(held: Mapping[str, _Item]) -> list[_Item]:
    return [item for item in held.values() if item.live]


def _digest(file: BinaryIO, left: int) -> str:
    digest = hashlib.sha256()
    while left and (block := file.read(min(BLOCK, left))):
        digest.update(block)
        left -= len(block)
    return digest.hexdigest()


def _told(path: Path) -> dict[str, Any]:
    """Return what is told of an item, or nothing."""
    try:
        told = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def drop(folder: Path, name: str) -> bool:
    """Remove an item; return whether it was there."""
    there = (folder / f"{name}.json").exists()
    for ending in ("bytes", "json"):
        (folder / f"{name}.{ending}").unlink(missing_ok=True)
    return there


def items(folder: Path) -> list[dict[str, Any]]:
    """Return what is told of each item, the newest first."""
    found = [
        {"name": path.stem, **told}
        for path in folder.glob("*.json")
        if NAME.fullmatch(path.stem) and (told := _told(path))
    ]
    return sorted(found, key=lambda item: str(item.get("time", "")), reverse=True)
