"""Forks workers that have everything imported already: ``python -m gateway.filters.inspection.zygote SOCKET INCOMING MODULE..``.

It is a process of its own, with one thread, so that a fork copies nothing half done. Each byte on its input asks for a worker; the
worker connects to the daemon's socket by itself, since no descriptor is ever passed over one. It holds the named modules of ``kinds``
and nothing else: what a process has in memory is what forking it and ending its children costs.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import socket
import sys

from appliance.runtime import descriptors
from gateway.filters.inspection import worker
from gateway.filters.inspection.kinds import registry
from gateway.filters.inspection.sandbox import Sandbox

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_prctl = ctypes.CDLL(None).prctl


def main(address: str, incoming: str, modules: list[str]) -> None:
    """Fork a worker for each byte that comes, until the daemon is gone."""
    descriptors.keep()
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    sandbox = Sandbox()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps them
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    registry.load(modules)
    gc.collect()
    gc.freeze()  # what is here already is shared by all workers, and stays
    while wanted := os.read(0, 64):
        for _ in wanted:
            if os.fork() == 0:
                _work(address, incoming, sandbox)


def _work(address: str, incoming: str, sandbox: Sandbox) -> None:
    status = 1
    try:
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        os.close(0)
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        descriptors.refuse(channel)
        channel.connect(address)
        worker.bound()
        worker.serve(channel, incoming, sandbox)
        status = 0
    finally:
        os._exit(status)  # nothing of the zygote's is to be ended twice


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
