"""A network for a bench: loopback alone, in a namespace of its own, with TCP as a Debian box has it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyroute2 import IPRoute, netns

CONGESTION = Path("/proc/sys/net/ipv4/tcp_congestion_control")
DEBIAN = "cubic"  # as Debian's kernels are built; bbr sets a timer for each burst, which in a virtual machine costs more than all else


@contextmanager
def as_debian() -> Iterator[None]:
    """Have what is started meanwhile in such a network; who may not make one is told what TCP does in this one."""
    if os.geteuid() != 0:
        print(f"  not root: TCP is as this machine has it ({CONGESTION.read_text().strip()}; {DEBIAN} on a Debian box)")
        yield
        return
    name = f"headgate-bench-{os.getpid()}"
    netns.create(name)
    try:
        netns.pushns(name)
        try:
            with IPRoute() as route:
                route.link("set", index=route.link_lookup(ifname="lo")[0], state="up")
            CONGESTION.write_text(DEBIAN)
            yield
        finally:
            netns.popns()
    finally:
        netns.remove(name)
