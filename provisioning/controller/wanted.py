"""What the operator asks: the digest of each box's policy, and which bodies are admitted. Touches the folder of wanted policies."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from appliance.identity.keys import PublicKey
from appliance.runtime.errors import ConfigError
from gateway.isolation import policy as policies
from gateway.isolation.sources import LONGEST_POLICY
from gateway.release.trust.admitting import within
from provisioning.registry.delegations import Delegated
from provisioning.registry.judging import Admitted

log = logging.getLogger("headgate.controller")

MOST = 10_000
NOBODY = Delegated()
_NAME = re.compile(r"([a-z][a-z0-9-]{0,62})\.yaml")


class Wanted:
    """The folder of ``SITE.yaml`` at ``folder``; a file is read again when it changed."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._known: dict[str, tuple[tuple[int, int, int], str]] = {}
        self._ordering: tuple[dict[str, str], list[Mapping[str, PublicKey]]] = ({}, [])
        self._admitted: tuple[object, Mapping[str, Admitted]] = (None, {})
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

    def admitted(self, trust: Delegated = NOBODY) -> Mapping[str, Admitted]:
        """Return body -> keys and codes, of all policies together; of a policy that names a trust only what ``trust`` admits too."""
        digests = self.read()
        if self._folder is not None and (digests, trust) != self._admitted[0]:
            policies_read = [self._policy_of(self._folder / f"{site}.yaml") for site in digests]
            self._admitted = ((digests, trust), together([p for p in policies_read if p is not None], trust))
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

    def _policy_of(self, path: Path) -> policies.Policy | None:
        try:
            return policies.load(path)
        except ConfigError as error:
            log.error("%s admits nobody, since it is no valid policy:\n%s", path, error)
            return None

    def _digest(self, site: str, path: Path) -> tuple[tuple[int, int, int], str]:
        status = path.stat()
        mark = (status.st_ino, status.st_mtime_ns, status.st_size)
        known = self._known.get(site)
        if known is not None and known[0] == mark:
            return known
        with path.open("rb") as file:
            return mark, hashlib.sha256(file.read(LONGEST_POLICY + 1)).hexdigest()


def together(asked: Iterable[policies.Policy], trust: Delegated) -> dict[str, Admitted]:
    """Return what all policies together admit; a body without a key that anybody named can sign nothing."""
    found: dict[str, Admitted] = {}
    for policy in asked:
        for name, body in policy.bodies.items():
            if policy.trust is not None:
                if policy.trust.root != trust.pin or name not in trust.bodies:
                    continue
                allowed = within(body, trust.bodies[name])
            else:
                allowed = body
            before = found.get(name, Admitted((), ()))
            found[name] = Admitted(
                tuple(dict.fromkeys([*before.keys, *allowed.keys])),
                tuple(dict.fromkeys([*before.identifiers, *allowed.identifiers])),
            )
    return found
