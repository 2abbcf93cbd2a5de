"""Ports for servers on loopback, so that several runs side by side take none from each other."""

from __future__ import annotations

import itertools
import os
import socket

# Below what the kernel gives to connections (ip_local_port_range begins at 32768): none of those takes a port between our finding it
# and a daemon's listening there. Each process begins elsewhere.
PORTS = range(10_000, 32_000, 2)  # some tests take the next one too
_next = itertools.cycle((*PORTS[os.getpid() * 997 % len(PORTS) :], *PORTS))


def free_port(address: str = "127.0.0.1") -> int:
    """Return a TCP port that nobody uses at ``address`` now, and that this process did not give before."""
    for port in itertools.islice(_next, len(PORTS)):
        try:
            socket.create_server((address, port)).close()
        except OSError:
            continue
        return port
    raise AssertionError(f"no port is free at {address}")
