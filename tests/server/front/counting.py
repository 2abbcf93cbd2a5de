"""A delivery's counting of what nginx serves, as a program that can be killed: ``counting.py FOLDER LOG SOCKET``."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from pathlib import Path

from gateway.delivery.front.accounts import Accounts
from gateway.delivery.front.cutting import Guard
from gateway.delivery.front.transfers import Transfers
from gateway.delivery.metering.meter import Meter


async def main(folder: Path, log: Path, socket: Path) -> None:
    meter = Meter(folder, "bigscreen", "big", None, None, survive=False)  # type: ignore[arg-type]
    guard = Guard(socket)
    transfers = Transfers(log, Accounts(log.parent, 2), meter, guard)
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    sys.stdout.write("up\n")
    sys.stdout.flush()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(transfers.run())
        await over.wait()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        await transfers.drain()
    guard.close()


if __name__ == "__main__":
    asyncio.run(main(*map(Path, sys.argv[1:4])))
