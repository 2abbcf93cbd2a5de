"""Life cycle of a daemon: start, tell systemd, reload on SIGHUP, end on SIGTERM.

A daemon is ``async def main(service: Service)``. It puts its long tasks into ``service.tasks`` (one of them dying ends the daemon, and
systemd starts it again), calls ``service.ready()`` once it serves, and returns after ``await service.stopped()``.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable

from appliance.runtime import descriptors, logs
from appliance.runtime.errors import ConfigError, HeadgateError

log = logging.getLogger("headgate.service")


class Service:
    """What a daemon's main task is given."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self.tasks = tasks
        self._take: Callable[[], Awaitable[None]] | None = None
        self._missed = False  # a SIGHUP that came before the daemon could heed it
        self._stop = asyncio.Event()

    def ready(self, status: str = "serving") -> None:
        """Tell systemd that the daemon serves (sd_notify(3), Type=notify)."""
        notify(f"READY=1\nSTATUS={status}")

    async def stopped(self) -> None:
        """Wait until the daemon is asked to end."""
        await self._stop.wait()

    def stop(self) -> None:
        """Ask the daemon to end."""
        self._stop.set()

    @property
    def reload(self) -> Callable[[], Awaitable[None]] | None:
        """What takes a new configuration in, set by a daemon that can; one that was told of meanwhile is taken in at once."""
        return self._take

    @reload.setter
    def reload(self, reload: Callable[[], Awaitable[None]]) -> None:
        self._take = reload
        if self._missed:
            self._missed = False
            self.hang_up()

    def hang_up(self) -> None:
        """Take a new configuration in, if the daemon can; a bad one is reported and the last good one stays."""
        if self._take is None:
            self._missed = True  # the daemon may have read the last one already
        else:
            self.tasks.create_task(self._reload(self._take))

    async def _reload(self, reload: Callable[[], Awaitable[None]]) -> None:
        try:
            await reload()
        except ConfigError as error:
            log.error("new configuration refused, the last good one stays:\n%s", error)
        except HeadgateError as error:
            log.error("new configuration not taken in, the last good one stays: %s", error)
        else:
            log.info("new configuration taken in")


def run(main: Callable[[Service], Awaitable[None]]) -> None:
    """Run a daemon, closed to other processes, until SIGTERM or SIGINT; an error of one of its tasks ends it with that error."""
    descriptors.keep()
    logs.start()
    asyncio.run(_run(main))


async def _run(main: Callable[[Service], Awaitable[None]]) -> None:
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as tasks:
        service = Service(tasks)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, service.stop)
        loop.add_signal_handler(signal.SIGHUP, service.hang_up)
        await main(service)
        notify("STOPPING=1")
        raise_cancel(tasks)


def raise_cancel(tasks: asyncio.TaskGroup) -> None:
    """End the group's remaining tasks: the daemon was asked to stop."""
    for task in tuple(tasks._tasks):
        task.cancel()


def notify(text: str) -> None:
    """Send ``text`` to systemd, if it started us (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.connect("\0" + address[1:] if address.startswith("@") else address)
        channel.sendall(text.encode())
