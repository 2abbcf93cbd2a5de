"""A repository with its ceremony done: three root keys of which two sign, one operator's key, a centre, and a library."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from appliance.identity.keys import PrivateKey
from gateway.release import signed
from gateway.release.manifest import File, Release, Rights
from gateway.release.trust import drafts, metadata, repository
from gateway.release.trust.delegate import Delegate, delegates_of
from gateway.release.trust.files import Files

NOW = datetime(2026, 10, 1, 12, tzinfo=UTC)
CODES = ("999999-100000000000001-4", "999999-100000000000002-3")
MUSEUM_CODE = "999999-200000000000001-3"


@dataclass
class Operation:
    """Everybody's keys, the folder, and the time."""

    folder: Path
    now: datetime = NOW
    roots: list[PrivateKey] = field(default_factory=lambda: [PrivateKey.generate() for _ in range(3)])
    operator: PrivateKey = field(default_factory=PrivateKey.generate)
    online: PrivateKey = field(default_factory=PrivateKey.generate)
    library: PrivateKey = field(default_factory=PrivateKey.generate)
    museum: PrivateKey = field(default_factory=PrivateKey.generate)
    stranger: PrivateKey = field(default_factory=PrivateKey.generate)

    @property
    def files(self) -> Files:
        return Files(self.folder)

    def pass_time(self, **told: float) -> None:
        self.now += timedelta(**told)

    def holders(self, **told: Any) -> drafts.Holders:
        fields: dict[str, Any] = {
            "root": tuple(key.public for key in self.roots),
            "threshold": 2,
            "operator": (self.operator.public,),
            "operator_threshold": 1,
            "online": (self.online.public,),
        }
        return drafts.Holders(**{**fields, **told})

    def put_root(self, *signers: PrivateKey, **told: Any) -> bytes:
        version = self.files.newest().get("root", 0) + 1
        data = metadata.written(metadata.sign(drafts.root(self.holders(**told), version, self.now), *signers))
        repository.put(self.folder, f"{version}.root.json", data, now=self.now)
        return data

    def delegate(self, body: str = "library", **told: Any) -> Delegate:
        fields: dict[str, Any] = {
            "library": {"keys": (self.library.public,), "leading": ("isli:999999-1",)},
            "museum": {"keys": (self.museum.public,), "leading": ("isli:999999-2",)},
        }[body]
        return Delegate(**{"body": body, "acts": ("share",), "bits": 4, **fields, **told})

    def put_targets(self, *bodies: Delegate, signer: PrivateKey | None = None) -> None:
        newest = self.files.newest().get("targets", 0)
        old = repository.targets_of(self.files).signed if newest else None
        new = metadata.sign(drafts.targets(old, bodies, self.now), signer or self.operator)
        repository.put(self.folder, f"{newest + 1}.targets.json", metadata.written(new), now=self.now)

    def bodies(self) -> dict[str, Delegate]:
        return delegates_of(repository.targets_of(self.files).signed)

    def envelope(
        self, code: str = CODES[0], version: int = 1, body: str = "library", key: Any = None, sources: Any = ()
    ) -> bytes:
        release = Release(
            identifier=f"isli:{code}",
            version=version,
            body=body,
            title="刘三姐",
            rights=Rights(zones=("bigscreen",)),
            entry="film.mp4",
            files={"film.mp4": File(sha256="0" * 64, size=1, type="video/mp4")},
            sources=sources,
        )
        return signed.seal(release, key or {"library": self.library, "museum": self.museum}.get(body, self.stranger))

    def publish(self, code: str = CODES[0], version: int = 1, body: str = "library", **told: Any) -> bytes:
        key = told.pop("key", None) or {"library": self.library, "museum": self.museum}[body]
        envelope = self.envelope(code, version, body, told.pop("signed_by", None) or key, told.pop("sources", ()))
        repository.list_release(
            self.folder, body, code, envelope, key, told.pop("online", self.online), now=self.now, **told
        )
        return envelope

    def refresh(self, **told: Any) -> repository.Refreshed:
        return repository.refresh(self.folder, told.pop("key", self.online), now=self.now, **told)


@pytest.fixture
def operation(tmp_path: Path) -> Operation:
    """A repository in which the library and the museum are admitted and nothing is listed."""
    folder = tmp_path / "trust"
    folder.mkdir()
    made = Operation(folder)
    made.put_root(*made.roots[:2])
    made.put_targets(made.delegate(), made.delegate("museum"))
    made.refresh()
    return made
