"""What is asked of each box: the digests of the policies in the operator's folder. Touches that folder."""

from __future__ import annotations

import hashlib
import logging
import re
from pathlib import Path

log = logging.getLogger("headgate.controller")

LARGEST = 1 << 20  # bytes of a policy
MOST = 10_000
_NAME = re.compile(r"([a-z][a-z0-9-]{0,62})\.yaml")


class Wanted:
    """The folder of ``SITE.yaml`` at ``folder``; a file is read again when it changed."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._known: dict[str, tuple[tuple[int, int, int], str]] = {}
        self._told = ""

    def read(self) -> dict[str, str]:
        """Return the digest asked of each site: SHA-256 of its policy's bytes, in hex; a folder that is away changes nothing."""
        if self._folder is None:
            return {}
        try:
            found = {match[1]: path for path in self._folder.iterdir() if (match := _NAME.fullmatch(path.name))}
            self._known = {site: self._digest(site, path) for site, path in sorted(found.items())[:MOST]}
            self._told = ""
        except OSError as error:
            if self._told != str(error):
                log.warning("the folder of wanted policies cannot be read, the last digests stay: %s", error)
            self._told = str(error)
        return {site: digest for site, (_, digest) in self._known.items()}

    def _digest(self, site: str, path: Path) -> tuple[tuple[int, int, int], str]:
        status = path.stat()
        mark = (status.st_ino, status.st_mtime_ns, status.st_size)
        known = self._known.get(site)
        if known is not None and known[0] == mark:
            return known
        with path.open("rb") as file:
            return mark, hashlib.sha256(file.read(LARGEST)).hexdigest()
