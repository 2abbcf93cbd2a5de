"""Workers that wait for an object: one for each, never used twice."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import select
import signal
import socket
import struct
import sys
import tempfile
from pathlib import Path
from typing import Any

from appliance.runtime import descriptors
from appliance.runtime.errors import Refused
from gateway.filters.inspection import metrics

READY = 4  # workers that wait
BIRTH = 10.0  # seconds for a worker to come up
LONGEST_PATIENCE = 20.0  # seconds for one piece
PATIENCE = min(LONGEST_PATIENCE, float(os.environ.get("HEADGATE_INSPECTION_PATIENCE", "20")))  # tests make it shorter
LONGEST_LINE = 16 << 10  # bytes
ROOT = Path(__file__).parents[3]  # where the packages are
log = logging.getLogger("headgate.inspection")


class Worker:
    """One process, as the daemon sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, process: int) -> None:
        self._reader, self._writer, self._process = reader, writer, process  # a pidfd: numbers are used again

    async def ask(self, told: dict[str, Any], what: str) -> int:
        """Return up to which byte the object passed.

        Raises:
            Refused: it does not pass; ``filter-failed`` where the process ended, or did not answer in time, and was ended.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                self._writer.write(json.dumps(told).encode() + b"\n")
                await self._writer.drain()
                line = await self._reader.readline()
        except TimeoutError as error:
            raise self._failed(f"the inspection of {what} took longer than {PATIENCE:.0f} seconds", "hung") from error
        except (ConnectionError, ValueError) as error:
            raise self._failed(f"the inspection of {what} broke off: {error}", "crashed") from error
        if not line.endswith(b"\n"):
            raise self._failed(f"the process that inspected {what} ended", "crashed")
        try:
            answer = json.loads(line)
            if "verified" in answer:
                return int(answer["verified"])
            refused = Refused(str(answer["reason"]), str(answer["error"]), int(answer["status"]))
        except (ValueError, KeyError, TypeError) as error:
            raise self._failed(f"the process that inspected {what} spoke nonsense", "crashed") from error
        raise refused

    @property
    def alive(self) -> bool:
        """Return whether the process runs: a pidfd is readable once it has ended."""
        return self._process >= 0 and not select.select([self._process], [], [], 0)[0]

    def end(self) -> None:
        """End the process, whatever it does."""
        if self._process >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._process, signal.SIGKILL)
            os.close(self._process)
            self._process = -1
        self._writer.close()

    def _failed(self, sentence: str, how: str) -> Refused:
        metrics.FAILED.labels(how).inc()
        log.error("%s", sentence)
        return Refused("filter-failed", sentence, 503)


class Pool:
    """Keeps some workers ready."""

    def __init__(self, incoming: Path) -> None:
        self._incoming = incoming
        self._idle: asyncio.Queue[Worker] = asyncio.Queue()
        self._zygote: asyncio.subprocess.Process | None = None
        self._born = asyncio.Event()

    async def take(self) -> Worker:
        """Return a worker that nobody had.

        Raises:
            Refused: none came up in time (``filter-failed``).
        """
        self._want(1)
        try:
            async with asyncio.timeout(BIRTH):
                while not (worker := await self._idle.get()).alive:
                    worker.end()  # it ended while it waited: nobody's object is refused for that
                    self._want(1)
                return worker
        except TimeoutError as error:
            metrics.FAILED.labels("unborn").inc()
            raise Refused("filter-failed", "no process for the inspection came up in time", 503) from error

    def _want(self, count: int) -> None:
        if self._zygote is not None and self._zygote.stdin is not None and not self._zygote.stdin.is_closing():
            self._zygote.stdin.write(b"." * count)

    async def run(self) -> None:
        """Keep the zygote alive, for ever."""
        with tempfile.TemporaryDirectory(prefix="inspection-") as folder:  # mode 0700
            address = str(Path(folder) / "workers.sock")
            server = await asyncio.start_unix_server(self._came, sock=_listening(address), limit=LONGEST_LINE)
            async with server:
                while True:
                    await self._keep(address)
                    log.error("the process that makes workers ended: another one is started")
                    await asyncio.sleep(0.2)

    async def ready(self) -> None:
        """Wait until the first worker came up."""
        await self._born.wait()

    async def _keep(self, address: str) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self._zygote = zygote = await asyncio.create_subprocess_exec(
            sys.executable, "-sS", "-m", "gateway.filters.inspection.zygote", address, str(self._incoming),
            env=environment, stdin=asyncio.subprocess.PIPE, cwd=ROOT,
        )  # fmt: skip
        try:
            self._want(READY)
            await zygote.wait()
        finally:
            if zygote.returncode is None:
                zygote.kill()
                await zygote.wait()

    async def _came(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        channel = writer.get_extra_info("socket")
        pid, _, _ = struct.unpack(
            "3i", channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        )
        self._idle.put_nowait(Worker(reader, writer, os.pidfd_open(pid)))
        self._born.set()


def _listening(address: str) -> socket.socket:
    channel = descriptors.listener(address)
    channel.listen(64)
    return channel
