"""A registry with its log, its database and what it publishes, in a test's folder."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from appliance.identity.keys import PrivateKey
from gateway.resolver.codes import check_digit
from gateway.resolver.records import Record
from gateway.resolver.statement import Act, Registration, sign
from provisioning.registry.judging import Admitted, Mode, Rules
from provisioning.registry.publication import Publication
from provisioning.registry.registry import Registered, Registry
from provisioning.registry.tables import metadata

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def code(number: int, service: str = "999999") -> str:
    """Return an ISLI code with a link code of fifteen digits."""
    payload = f"{service}{number:015}"
    return f"isli:{payload[:6]}-{payload[6:]}-{check_digit(payload)}"


@dataclass
class Place:
    """A registry, who may register there, and their keys."""

    folder: Path
    engine: AsyncEngine
    key: PrivateKey = field(default_factory=PrivateKey.generate)
    library: PrivateKey = field(default_factory=PrivateKey.generate)
    film: PrivateKey = field(default_factory=PrivateKey.generate)
    operator: PrivateKey = field(default_factory=PrivateKey.generate)

    def __post_init__(self) -> None:
        bodies = {
            "library": Admitted((self.library.public,), ("isli:999999-0",)),
            "film": Admitted((self.film.public,), ("isli:999999-1", "isli:999998-")),
        }
        self.rules = Rules(bodies, (self.operator.public,))
        self.new()

    def new(self) -> None:
        """Begin as a process that just started."""
        self.registry = Registry(self.engine, self.key, self.folder, lambda: self.rules)
        self.publication = Publication(self.registry)

    async def open(self) -> None:
        """Open it."""
        await self.registry.open()
        await self.publication.open()

    def record(self, number: int = 1, body: str = "library", **more: Any) -> Record:
        """Return a record."""
        return Record(**({"code": code(number), "title": "刘三姐", "body": body} | more))

    def signed(
        self, *records: Record, act: Act = "register", by: PrivateKey | None = None, at: datetime = NOW
    ) -> Registration:
        """Return what the body of the first record signs."""
        body = records[0].body
        return sign(act, body, records, by or {"library": self.library, "film": self.film}[body], at)

    async def take(self, *records: Record, mode: Mode = "all", at: datetime = NOW, **more: Any) -> Registered:
        """Register what the body signs at ``at``."""
        return await self.registry.register(self.signed(*records, at=at, **more), at, mode=mode)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """A registry that is open."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/registry.db")
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    made = Place(tmp_path / "registry", engine)
    await made.open()
    yield made
    made.registry.close()
    await engine.dispose()
