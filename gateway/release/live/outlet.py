"""The channel's folder at an origin: each file with its ``.sig`` beside it, replaced whole, and removed once its signature has run out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import Refused
from appliance.runtime.files import write_atomic
from gateway.release.live import freshness, signing
from gateway.release.live.follow import Stamp
from gateway.release.live.signing import Claim
from gateway.release.manifest import Live


@dataclass
class _Put:
    claim: Claim
    stamp: Stamp | None  # of the packager's file; None after a restart, when only the origin's folder tells


class Outlet:
    """``origin``/releases/CODE/live; one signer works on it at a time."""

    def __init__(self, origin: Path, code: str, live: Live, key: PrivateKey) -> None:
        self.folder = origin / "releases" / code / signing.FOLDER
        self._code, self._live, self._key = code, live, key
        self._put: dict[str, _Put] = {}
        self._last = 0  # the greatest sequence that was signed

    def __len__(self) -> int:
        """Return how many files are at the origin."""
        return len(self._put)

    def begin(self) -> int:
        """Take up what an earlier signer left: what it signed goes on, what it left unfinished goes; return how many files go on."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in list(_files(self.folder)):
            name = path.relative_to(self.folder).as_posix()
            if path.name.startswith("."):
                path.unlink(missing_ok=True)
            elif not name.endswith(signing.SUFFIX):
                claim = self._signed(name)
                if claim is None:
                    path.unlink(missing_ok=True)
                else:
                    self._put[name] = _Put(claim, None)
                    self._last = max(self._last, claim.sequence)
        for path in list(_files(self.folder)):
            if path.name.endswith(signing.SUFFIX) and path.relative_to(self.folder).as_posix()[:-4] not in self._put:
                path.unlink(missing_ok=True)
        return len(self._put)

    def due(self, path: str, stamp: Stamp, now: float) -> bool:
        """Return whether ``path`` must be put: it is new, has changed, or half of its signature's time has passed."""
        put = self._put.get(path)
        if put is None or put.stamp != stamp:
            return True
        return now >= put.claim.created + freshness.life(self._live, path) / 2

    def put(self, path: str, data: bytes, stamp: Stamp, now: float) -> Claim:
        """Make ``path`` at the origin ``data``, then sign it.

        Raises:
            Refused: it is larger than the channel allows (``too-large``).
        """
        if len(data) > self._live.largest:
            raise Refused(
                "too-large", f"{path} has {len(data)} bytes; the channel's largest file has {self._live.largest}"
            )
        self._last = max(self._last + 1, int(now * 1000))
        created = int(now)
        claim = Claim(
            hashlib.sha256(data).hexdigest(), len(data), self._last, created, created + freshness.life(self._live, path)
        )
        target, put = self.folder / path, self._put.get(path)
        if put is None or put.claim.sha256 != claim.sha256 or put.stamp is None:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(target, data)
        write_atomic(_beside(target), signing.sign(self._key, self._code, path, claim))
        self._put[path] = _Put(claim, stamp)
        return claim

    def sweep(self, now: float) -> int:
        """Remove what no box would take any more; return how many files."""
        gone = [path for path, put in self._put.items() if put.claim.expires <= now]
        for path in gone:
            _beside(self.folder / path).unlink(missing_ok=True)  # first: without it the file is nothing
            (self.folder / path).unlink(missing_ok=True)
            del self._put[path]
        return len(gone)

    def _signed(self, path: str) -> Claim | None:
        try:
            fields = _beside(self.folder / path).read_bytes()
            return signing.verify(fields, self._key.public, self._code, path)
        except (FileNotFoundError, Refused):
            return None


def _beside(path: Path) -> Path:
    return path.with_name(path.name + signing.SUFFIX)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
