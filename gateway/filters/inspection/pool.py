"""Workers that wait for an object: one for each, never used twice, forked ahead of need.

There are two kinds of them, each with a zygote of its own: for media, small and soon forked, and for everything else, with all libraries.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import struct
import sys
import tempfile
from collections import deque
from pathlib import Path

from appliance.runtime import descriptors
from appliance.runtime.errors import Refused
from gateway.filters.inspection import metrics
from gateway.filters.inspection.handle import Worker
from gateway.filters.inspection.kinds import registry

READY = 4  # workers of each kind that wait, and no more
BIRTH = 10.0  # seconds for a worker to come up
AGAIN = 0.2  # seconds until a zygote that ended is started again
BACKLOG = 64
ROOT = Path(__file__).parents[3]  # where the packages are
log = logging.getLogger("headgate.inspection")


class Nursery:
    """Keeps some workers of one kind ready; ``modules`` are those of ``kinds`` that they have imported."""

    def __init__(self, incoming: Path, modules: tuple[str, ...]) -> None:
        self._incoming, self._modules = incoming, modules
        self._idle: deque[Worker] = deque()
        self._numbers: set[int] = set()  # process numbers of all workers that were not ended
        self._wanted: deque[asyncio.Future[Worker]] = deque()
        self._coming = 0  # workers that were asked for and have not come up
        self._zygote: asyncio.subprocess.Process | None = None
        self._born = asyncio.Event()

    @property
    def idle(self) -> int:
        """Return how many workers wait."""
        return len(self._idle)

    async def take(self) -> Worker:
        """Return a worker that nobody had.

        Raises:
            Refused: none came up in time (``filter-failed``).
        """
        while self._idle:
            worker = self._idle.popleft()
            self._refill()
            if worker.alive:
                return worker
            worker.end()  # it ended while it waited: nobody's object is refused for that
        waiting: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
        self._wanted.append(waiting)
        self._refill()
        try:
            async with asyncio.timeout(BIRTH):
                return await waiting
        except TimeoutError as error:
            metrics.FAILED.labels("unborn").inc()
            self._coming = 0  # those that were asked for do not come
            raise Refused("filter-failed", "no process for the inspection came up in time", 503) from error
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled():
                waiting.result().end()
            raise
        finally:
            with contextlib.suppress(ValueError):
                self._wanted.remove(waiting)

    async def run(self) -> None:
        """Keep the zygote alive, for ever."""
        with tempfile.TemporaryDirectory(prefix="inspection-") as folder:  # mode 0700
            address = str(Path(folder) / "workers.sock")
            loop, listener = asyncio.get_running_loop(), descriptors.listener(address, socket.SOCK_SEQPACKET)
            with listener:
                listener.listen(BACKLOG)
                loop.add_reader(listener, self._came, listener)
                try:
                    while True:
                        await self._keep(address)
                        log.error("the process that makes workers ended: another one is started")
                        await asyncio.sleep(AGAIN)
                finally:
                    loop.remove_reader(listener)
                    while self._idle:
                        self._idle.popleft().end()

    async def ready(self) -> None:
        """Wait until the first worker came up."""
        await self._born.wait()

    async def _keep(self, address: str) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self._zygote = zygote = await asyncio.create_subprocess_exec(
            sys.executable, "-sS", "-m", "gateway.filters.inspection.zygote", address, str(self._incoming), *self._modules,
            env=environment, stdin=asyncio.subprocess.PIPE, cwd=ROOT,
        )  # fmt: skip
        self._coming = 0
        try:
            self._refill()
            await zygote.wait()
        finally:
            if zygote.returncode is None:
                zygote.kill()
                await zygote.wait()

    def _refill(self) -> None:
        """Ask for as many as are missing, those included that somebody waits for."""
        missing = READY + len(self._wanted) - len(self._idle) - self._coming
        zygote = self._zygote
        if missing > 0 and zygote is not None and zygote.stdin is not None and not zygote.stdin.is_closing():
            self._coming += missing
            zygote.stdin.write(b"." * missing)

    def _came(self, listener: socket.socket) -> None:
        try:
            channel, _ = listener.accept()
        except OSError as error:
            log.warning("a worker could not be heard: %s", error)
            return
        number, _, _ = struct.unpack("3i", channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        self._coming = max(0, self._coming - 1)
        if number in self._numbers:  # one that has its object already would be another's judge as well
            log.error("a worker came up for a second time: it is not taken for another one")
            channel.close()
            return
        try:
            process = os.pidfd_open(number)
        except ProcessLookupError:
            channel.close()
            return
        channel.setblocking(False)
        self._numbers.add(number)
        self._give(Worker(channel, process, lambda: self._numbers.discard(number)))
        self._born.set()

    def _give(self, worker: Worker) -> None:
        """Hand a worker to whoever waits, or let it wait."""
        while self._wanted:
            waiting = self._wanted.popleft()
            if not waiting.done():
                waiting.set_result(worker)
                return
        if len(self._idle) >= READY:
            worker.end()
        else:
            self._idle.append(worker)


class Pool:
    """The workers of both kinds."""

    def __init__(self, incoming: Path) -> None:
        self.media = Nursery(incoming, registry.MEDIA)
        self.every = Nursery(incoming, registry.EVERY)

    async def take(self, type_: str) -> Worker:
        """Return a worker that nobody had, for an object of this media type.

        Raises:
            Refused: none came up in time (``filter-failed``).
        """
        return await (self.media if registry.is_media(type_) else self.every).take()

    async def run(self) -> None:
        """Keep both kinds ready, for ever."""
        async with asyncio.TaskGroup() as tasks:
            for nursery in (self.media, self.every):
                tasks.create_task(nursery.run())

    async def ready(self) -> None:
        """Wait until the first worker of each kind came up."""
        for nursery in (self.media, self.every):
            await nursery.ready()
