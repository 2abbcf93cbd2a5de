"""The watched folder: what lies there whole and unchanged for a moment is brought in. It is looked at every few seconds, since a file share
of another kernel tells no inotify."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from appliance.runtime.errors import HeadgateError, Refused
from appliance.runtime.files import write_atomic
from gateway.publish.desk import Desk
from gateway.publish.exchange import passing
from gateway.publish.folders import bring, read
from gateway.release import paths
from gateway.release.manifest import Release
from gateway.release.reading import Tree

EVERY = 2.0  # seconds between two looks
QUIET = 4.0  # seconds that a folder stays as it is before it is taken
PATIENCE = 3600.0  # seconds that an unchanged folder may lack files before it is refused, and that a busy exchange is asked again
MOST = 1000  # names that are looked at
LONGEST_NAME = 80  # bytes
_DONE = re.compile(r".*\.(taken|refused)-\d{8}T\d{6}", re.ASCII)

log = logging.getLogger("headgate.publish")
Look = tuple[tuple[int, int], ...]


@dataclass
class Seen:
    """A folder as it was at a look, and since when."""

    look: Look
    since: float  # monotonic seconds
    complete: bool
    release: Release | None = None
    lacking: Refused | None = None
    told: bool = False  # that it waits


class Inbox:
    """The folder ``root``; ``run`` looks at it for ever."""

    def __init__(
        self,
        root: Path,
        desk: Desk,
        clock: Callable[[], float],
        *,
        quiet: float = QUIET,
        patience: float = PATIENCE,
    ) -> None:
        self._root, self._desk, self._clock = root, desk, clock
        self._quiet, self._patience = quiet, patience
        self._seen: dict[str, Seen] = {}
        self._told: set[str] = set()

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            await self.look()
            await asyncio.sleep(EVERY)

    async def look(self) -> None:
        """Look once, and bring in what is ready; one folder's fault is told beside it, and the others go on."""
        names = await asyncio.to_thread(self._names)
        for gone in set(self._seen) - set(names):
            del self._seen[gone]
        for name in names:
            try:
                await self._look_at(name)
            except OSError as error:
                log.warning("the folder '%s' cannot be looked at: %s", name, error)

    async def _look_at(self, name: str) -> None:
        try:
            with await asyncio.to_thread(Tree, self._root / name) as tree:
                await self._consider(name, tree)
        except HeadgateError as error:
            await self._end(name, {"state": "refused", **_reason(error)})

    async def _consider(self, name: str, tree: Tree) -> None:
        known = self._seen.get(name)
        seen = await self._seen_now(tree, known)
        if seen is None:
            return
        if known is None or known.look != seen.look:
            self._seen[name] = seen
            return
        still = self._clock() - known.since
        if still < (self._quiet if seen.complete else self._patience):
            return
        if seen.lacking is not None:
            raise seen.lacking
        upload = await bring(self._desk, tree, self._patience)
        if upload.listing and upload.refusal is None:
            await self._tell_waiting(name, upload.told())
            return
        await self._end(name, upload.told())

    async def _seen_now(self, tree: Tree, known: Seen | None) -> Seen | None:
        """Return how the folder stands now, or None before it has a release.json, which comes last as it should."""
        try:
            head = await asyncio.to_thread(tree.look, paths.MANIFEST)
        except Refused as error:
            if error.reason == "absent":
                return None
            raise
        release = known.release if known is not None and known.look[0] == head else None
        if release is None:
            try:
                _, release = await read(tree)
            except Refused as error:  # perhaps it is being written still
                return Seen((head,), self._clock(), True, None, error)
        return await asyncio.to_thread(_look, tree, head, release, self._clock())

    async def _tell_waiting(self, name: str, told: dict[str, Any]) -> None:
        """Say beside the folder, once, that it waits for the centre; it is looked at again."""
        if self._seen[name].told:
            return
        self._seen[name].told = True
        log.info("the folder '%s': %s", name, told.get("waits", ""))
        data = json.dumps(told, ensure_ascii=False, indent=2).encode() + b"\n"
        await asyncio.to_thread(write_atomic, self._root / f"{name}.result.json", data)

    async def _end(self, name: str, told: dict[str, Any]) -> None:
        self._seen.pop(name, None)
        now = datetime.now(UTC)
        told = {**told, "time": now.isoformat(timespec="seconds")}
        word = "taken" if told["state"] == "accepted" else "refused"
        log.info("the folder '%s': %s %s", name, word, told.get("error", ""))
        await asyncio.to_thread(self._mark, name, told, f"{name}.{word}-{now:%Y%m%dT%H%M%S}")

    def _mark(self, name: str, told: dict[str, Any], moved: str) -> None:
        data = json.dumps(told, ensure_ascii=False, indent=2).encode() + b"\n"
        write_atomic(self._root / f"{name}.result.json", data)
        with contextlib.suppress(FileNotFoundError):  # taken away meanwhile
            (self._root / name).rename(self._root / moved)

    def _names(self) -> list[str]:
        """Return the folders that are to be looked at, and say once which names cannot be."""
        names = []
        with os.scandir(self._root) as entries:
            for entry in entries:
                if _DONE.fullmatch(entry.name) or entry.name.startswith(".") or not _folder(entry):
                    continue
                if paths.fault_in(entry.name) or len(entry.name.encode("utf-8", "replace")) > LONGEST_NAME:
                    if len(self._told) < MOST and entry.name not in self._told:
                        self._told.add(entry.name)
                        log.warning(
                            "a folder in the inbox is left where it is: %a is no name for one", entry.name[:100]
                        )
                    continue
                names.append(entry.name)
                if len(names) >= MOST:
                    break
        return sorted(names)


def _folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def _look(tree: Tree, head: tuple[int, int], release: Release, now: float) -> Seen:
    """Return how the folder stands: release.json and every file that it names, by size and time."""
    looks, lacking = [head], None
    for path, file in release.files.items():
        try:
            looks.append(tree.look(path))
        except Refused as error:
            if error.reason == "no-plain-file":
                return Seen(tuple(looks), now, True, release, error)
            lacking = lacking or error
            looks.append((-1, 0))
            continue
        if looks[-1][0] < file.size:
            lacking = lacking or Refused("absent", f"'{path}' has {looks[-1][0]} of its {file.size} bytes")
    return Seen(tuple(looks), now, lacking is None, release, lacking)


def _reason(error: HeadgateError) -> dict[str, str]:
    reason = error.reason if isinstance(error, Refused) else "unreachable" if passing(error) else "corrupt"
    return {"reason": reason, "error": str(error)}
