"""The box under measurement: a whole chain of daemons, delivery alone on one core, its screens showing tokens."""

from __future__ import annotations

import os
import resource
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from click.testing import CliRunner

from appliance.identity.keys import PrivateKey
from gateway.permission.door import NAME
from gateway.release.cli import commands
from tests.bench._caches import CLIENT, SERVER, Cache, family, pin
from tests.server.content.conftest import ADDRESSES, CODE, Chain

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


@contextmanager
def chain_with_a_door(
    change: Callable[[Chain], None] = lambda chain: None, front: Sequence[str] = ()
) -> Iterator[tuple[Chain, str]]:
    """Run a box, changed before, with nginx in front in these zones; yield it and the header that shows a token."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # What a box has in memory (/run) is in memory here too.
    with tempfile.TemporaryDirectory(prefix="hgb-") as folder, tempfile.TemporaryDirectory(dir=MEMORY) as run:
        base = Path(folder)
        key = PrivateKey.generate()
        key.save(base / "portal.key")
        chain = Chain(base, front=front)
        chain.run = Path(run)
        issuers = f'issuers: {{portal: {{keys: ["{key.public}"]}}}}'
        chain.write_policy(lambda text: f"{text}permission: {{zones: [bigscreen, smallscreen], {issuers}}}\n")
        argv = ["token", CODE, "--subject", "viewer", "--issuer", "portal", "--key", str(base / "portal.key")]
        made = CliRunner().invoke(commands, argv)
        assert made.exit_code == 0, made.output
        change(chain)
        with ExitStack() as stack:
            with held_on(SERVER):  # nginx has a worker for each core that it may use when it starts
                stack.enter_context(chain)
            for name, process in chain.processes.items():
                pin(family(process.pid), SERVER if name.startswith(("delivery", "front")) else CLIENT)
            yield chain, f"{NAME}: {made.output.strip()}"


@contextmanager
def held_on(core: int) -> Iterator[None]:
    """Hold this process, and what it starts, on one core meanwhile."""
    before = os.sched_getaffinity(0)
    if len(before) > 1:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def delivery(chain: Chain, zone: str = "bigscreen") -> Cache:
    """Return delivery as one of the servers."""
    return Cache("delivery", ADDRESSES[zone], chain.port, [chain.processes[f"delivery-{zone}"].pid])


def in_front(chain: Chain, zone: str) -> Cache:
    """Return nginx and the delivery behind it as one of the servers."""
    pids = [*family(chain.processes[f"front-{zone}"].pid), chain.processes[f"delivery-{zone}"].pid]
    return Cache("nginx in front", ADDRESSES[zone], chain.port, pids)


def as_dictionary(header: str) -> dict[str, str]:
    """Return a header as the test's screens take it."""
    name, _, value = header.partition(": ")
    return {name: value}
