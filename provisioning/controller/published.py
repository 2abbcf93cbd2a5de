"""The releases that lie in the origin's folder: read again where they changed. Touches that folder and the database."""

from __future__ import annotations

import logging
from pathlib import Path

from appliance.runtime.errors import Corrupt
from appliance.telemetry.records import Record
from gateway.release import manifest, paths, signed
from gateway.release.manifest import Release
from provisioning.controller import content
from provisioning.controller.store import Store

MOST = 200_000  # releases in the folder
TOGETHER = 200  # releases stored in one transaction

log = logging.getLogger("headgate.controller")


class Published:
    """The folder of ``CODE/release.json`` at ``folder``; nobody is believed: what is shown is what the folder claims."""

    def __init__(self, folder: Path, store: Store) -> None:
        self._folder, self._store = folder, store
        self._seen: dict[str, tuple[int, int]] = {}

    def changed(self) -> list[Release]:
        """Return the releases that are new or changed since the last look, at most ``TOGETHER`` of them."""
        found: list[Release] = []
        try:
            entries = sorted(self._folder.iterdir())[:MOST]
        except OSError as error:
            log.debug("the origin's folder cannot be read: %s", error)
            return []
        for entry in entries:
            try:
                status = (entry / paths.MANIFEST).stat()
                mark = (status.st_ino, status.st_mtime_ns)
                if self._seen.get(entry.name) == mark:
                    continue
                self._seen[entry.name] = mark
                with (entry / paths.MANIFEST).open("rb") as file:
                    release = signed.claimed(file.read(signed.LONGEST + 1))
            except (OSError, Corrupt) as error:
                log.debug("%s holds no release: %s", entry, error)
                continue
            if release.code == entry.name:
                found.append(release)
                if len(found) >= TOGETHER:
                    break
        return found

    def forget(self) -> None:
        """Read everything again at the next look."""
        self._seen.clear()

    async def keep(self, found: list[Release]) -> None:
        """Store what was found.

        Raises:
            Unreachable: the database is away.
        """
        time = Record.new("event", "controller", {}).told()["time"]
        async with self._store.begin() as connection:
            for release in found:
                told = {
                    "body": release.body,
                    "title": release.title,
                    "labels": list(release.labels),
                    "zones": list(release.rights.zones),
                    "digest": manifest.digest(release),
                    "files": len(release.files),
                    "bytes": sum(file.size for file in release.files.values()),
                }
                await content.published(connection, self._store.insert, release.code, release.version, str(time), told)
