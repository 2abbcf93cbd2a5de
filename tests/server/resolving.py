"""A resolver as its unit runs it: a process of its own, and a client that asks it."""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.server.ports import free_port

FILM = "999999-100000000000001-4"
OTHER = "isli:999999-000000000000001-5"
GONE = "isli:999999-123456789012345-8"


@dataclass
class Box:
    """A resolver's process and the folders it works in."""

    root: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    delivery: bool = True
    registry: str = ""  # of the policy, and its other zones
    zones: str = ""

    @property
    def identifiers(self) -> Path:
        return self.root / "state/identifiers"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def policy(self) -> Path:
        return self.root / "run/policy/policy.yaml"

    def write_policy(self) -> None:
        delivery = "  delivery: {zone: bigscreen, run: delivery, listen: tcp/80, from: [127.0.0.0/8]}\n"
        self.policy.parent.mkdir(parents=True, exist_ok=True)
        self.policy.write_text(
            f"site: headend\n{self.registry}zones:\n"
            "  bigscreen:  {port: '02:68:67:14:00:0b', addresses: [127.0.0.1/8]}\n"
            f"{self.zones}"
            "  management: {port: '02:68:67:28:00:0b', addresses: [10.40.0.11/24]}\n"
            "never:\n  - {from: bigscreen, to: management}\nservices:\n"
            + (delivery if self.delivery else "")
            + f"  resolver: {{zone: bigscreen, run: resolver, listen: tcp/{self.port}, from: [127.0.0.0/8]}}\n"
        )

    async def start(self) -> None:
        self.write_policy()
        self.identifiers.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {
            "HEADGATE_RUN": str(self.root / "run"),
            "HEADGATE_STATE": str(self.root / "state"),
        }
        argv = ["-m", "provisioning", "run", "resolver", "--zone", "bigscreen", "--config", str(self.policy)]
        with (self.root / "log").open("wb") as log:
            self.process = subprocess.Popen([sys.executable, *argv], env=environment, stderr=log)  # noqa: ASYNC220
        await self.answering(self.port)

    async def answering(self, port: int) -> None:
        async def answers() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, (self.root / "log").read_text()
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                return False
            writer.close()
            await writer.wait_closed()
            return True

        await until(answers)

    def end(self) -> None:
        if self.process is not None:
            self.process.terminate()
            assert self.process.wait(10) == 0, (self.root / "log").read_text()
            self.process = None


async def until(holds: Callable[[], Any], seconds: float = 20) -> None:
    """Wait for a condition, with a deadline."""
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110 (the condition is another process's)
            await asyncio.sleep(0.02)


@pytest.fixture
def box() -> Iterator[Box]:
    with tempfile.TemporaryDirectory(prefix="hgr-") as folder:  # short: a Unix socket's path has 108 bytes
        made = Box(Path(folder))
        yield made
        made.end()


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session
