"""What the operator asks: the digest of each box's policy, and which bodies are admitted. Touches the folder of wanted policies."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping
from pathlib import Path

from appliance.identity.keys import PublicKey
from appliance.runtime.errors import ConfigError
from gateway.isolation import policy as policies
from gateway.isolation.sources import LONGEST_POLICY

log = logging.getLogger("headgate.controller")

MOST = 10_000
_NAME = re.compile(r"([a-z][a-z0-9-]{0,62})\.yaml")


class Wanted:
    """The folder of ``SITE.yaml`` at ``folder``; a file is read again when it changed."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._known: dict[str, tuple[tuple[int, int, int], str]] = {}
        self._ordering: tuple[dict[str, str], list[Mapping[str, PublicKey]]] = ({}, [])
        self._admitted: tuple[dict[str, str], dict[str, tuple[str, ...]]] = ({}, {})
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

    def bodies(self) -> dict[str, tuple[str, ...]]:
        """Return body -> leading parts of the codes that it may register, of all policies together; empty without any policy."""
        digests = self.read()
        if self._folder is not None and digests != self._admitted[0]:
            found: dict[str, tuple[str, ...]] = {}
            for site in digests:
                for name, body in self._bodies_of(self._folder / f"{site}.yaml").items():
                    found[name] = tuple(dict.fromkeys([*found.get(name, ()), *body.identifiers]))
            self._admitted = (digests, found)
        return self._admitted[1]

    def order_keys(self) -> list[Mapping[str, PublicKey]]:
        """Return who may order releases to be withdrawn, by name, of each policy that names somebody."""
        digests = self.read()
        if self._folder is not None and digests != self._ordering[0]:
            found: list[Mapping[str, PublicKey]] = []
            for site in digests:
                try:
                    told = policies.load(self._folder / f"{site}.yaml").orders
                except ConfigError as error:
                    log.error("%s names nobody who gives orders, since it is no valid policy:\n%s", site, error)
                    continue
                if told is not None and told.keys not in found:
                    found.append(told.keys)
            self._ordering = (digests, found)
        return self._ordering[1]

    def _bodies_of(self, path: Path) -> Mapping[str, policies.Body]:
        try:
            return policies.load(path).bodies
        except ConfigError as error:
            log.error("%s admits nobody, since it is no valid policy:\n%s", path, error)
            return {}

    def _digest(self, site: str, path: Path) -> tuple[tuple[int, int, int], str]:
        status = path.stat()
        mark = (status.st_ino, status.st_mtime_ns, status.st_size)
        known = self._known.get(site)
        if known is not None and known[0] == mark:
            return known
        with path.open("rb") as file:
            return mark, hashlib.sha256(file.read(LONGEST_POLICY + 1)).hexdigest()
