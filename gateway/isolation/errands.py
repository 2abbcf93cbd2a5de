"""Runs an errand (``errand.py``) as the guard's own child, one at a time, and passes on what it says."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

from appliance.runtime.errors import Refused

LONGEST = 900.0  # seconds: a whole audit with probes takes one or two minutes
LONGEST_LINE = 8 << 20  # bytes
ROOT = Path(__file__).parents[2]  # where the packages are


class Errands:
    """At most one errand at a time."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def run(self, request: dict[str, Any]) -> AsyncGenerator[bytes, None]:
        """Yield the lines of the errand; it ends with the one who waits for it.

        Raises:
            Refused: another one is under way (``busy``).
        """
        if self._turn.locked():
            raise Refused("busy", "an audit is under way: try again when it has ended", 409)
        async with self._turn:
            # The very libraries that we run with, whatever the environment and the distribution hold.
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
            child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-sS",
                "-m",
                "gateway.isolation.errand",
                env=environment,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                cwd=ROOT,
                limit=LONGEST_LINE,
            )
            try:
                async with asyncio.timeout(LONGEST):
                    async for line in _lines(child, request):
                        yield line
            except TimeoutError:
                yield _told(f"it took longer than {LONGEST:.0f} seconds")
            finally:
                if child.returncode is None:
                    child.kill()
                status = await child.wait()
            if status:
                yield _told(f"it ended with status {status}; the guard's log says why")


async def _lines(child: asyncio.subprocess.Process, request: dict[str, Any]) -> AsyncIterator[bytes]:
    if child.stdin is None or child.stdout is None:
        raise AssertionError("the child was made with pipes")
    child.stdin.write(json.dumps({**request, "guard": os.getpid()}).encode())
    child.stdin.close()
    async for line in child.stdout:
        yield line
    await child.wait()


def _told(words: str) -> bytes:
    return json.dumps({"error": words, "reason": "failed"}).encode() + b"\n"
