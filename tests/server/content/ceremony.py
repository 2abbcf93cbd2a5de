"""A trust repository begun in a folder: one holder of each kind, the library admitted, nothing listed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from appliance.identity.keys import PrivateKey
from gateway.release import paths
from gateway.release.trust import drafts, metadata, repository
from gateway.release.trust.delegate import Delegate


@dataclass(frozen=True)
class Repository:
    """The folder, the SHA-256 of its first root, the centre's key and the library's."""

    folder: Path
    pin: str
    online: PrivateKey
    library: PrivateKey

    def list(self, release: Path) -> None:
        """List the release in the folder ``release``, whose name is its code."""
        envelope = (release / paths.MANIFEST).read_bytes()
        repository.list_release(self.folder, "library", release.name, envelope, self.library, self.online)


def begin(folder: Path, library: PrivateKey) -> Repository:
    """Hold the ceremony."""
    folder.mkdir()
    root, operator, online = (PrivateKey.generate() for _ in range(3))
    now = datetime.now(UTC)
    holders = drafts.Holders((root.public,), 1, (operator.public,), 1, (online.public,))
    body = Delegate("library", (library.public,), ("isli:999999-1",), ("share",), 4)
    for draft, key in ((drafts.root(holders, 1, now), root), (drafts.targets(None, [body], now), operator)):
        repository.put(folder, f"1.{draft.signed.type}.json", metadata.written(metadata.sign(draft, key)))
    repository.refresh(folder, online)
    return Repository(folder, hashlib.sha256((folder / "1.root.json").read_bytes()).hexdigest(), online, library)
