"""Forks workers that have everything imported already: ``python -m gateway.filters.inspection.zygote SOCKET INCOMING``.

It is a process of its own, with one thread, so that a fork copies nothing half done. Each byte on its input asks for a worker; the
worker connects to the daemon's socket by itself, since no descriptor is ever passed over one.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import socket
import sys
from pathlib import Path

from appliance.runtime import descriptors
from gateway.filters.inspection import worker
from gateway.filters.inspection.kinds import registry  # noqa: F401 (imported once, for all workers)

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def main(address: str, incoming: Path) -> None:
    """Fork a worker for each byte that comes, until the daemon is gone."""
    descriptors.keep()
    _end_with_parent()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps them
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()  # what is here already is shared by all workers, and stays
    while wanted := os.read(0, 64):
        for _ in wanted:
            if os.fork() == 0:
                _work(address, incoming)


def _work(address: str, incoming: Path) -> None:
    status = 1
    try:
        _end_with_parent()
        os.close(0)
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        descriptors.refuse(channel)
        channel.connect(address)
        worker.bound()
        worker.serve(channel, incoming)
        status = 0
    finally:
        os._exit(status)  # nothing of the zygote's is to be ended twice


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
