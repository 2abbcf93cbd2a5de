"""``headgate run front --zone ZONE``: keeps the nginx in front of a zone's delivery running, with the configuration of the policy."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import tempfile
from asyncio.subprocess import Process
from pathlib import Path

from aiohttp import ClientError

from appliance.runtime import command, http
from appliance.runtime.errors import ConfigError, Fault, HeadgateError, Unreachable
from appliance.runtime.files import write_atomic
from appliance.runtime.service import Service
from gateway.delivery.front import configuration, places
from gateway.isolation import policy as policies
from gateway.isolation.policy import Policy

NGINX = "/usr/sbin/nginx"
LOOK = 0.05  # seconds between two looks whether nginx works
START = 30.0  # seconds for that
SHUTDOWN = 3.0  # seconds given to downloads under way when the daemon stops
PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
log = logging.getLogger("headgate.front")
_libc = ctypes.CDLL(None)  # before the fork, after which only calls are made


def check(config: Path, zone: str | None) -> None:
    """Write the configuration as the start does, and have nginx read it.

    Raises:
        ConfigError: the policy is wrong, has no nginx in ``zone``, or nginx does not take what is made of it.
    """
    with tempfile.TemporaryDirectory() as folder:
        _write(config, zone, Path(folder) / "nginx.conf")


def _write(config: Path, zone: str | None, written: Path) -> str:
    """Write the configuration to ``written``, if nginx takes it; return its generation."""
    policy = policies.load(config)
    service = policy.service_of(zone, "delivery") if zone else None
    if zone is None or service is None or service.front is None:
        told = f"no service with 'run: delivery' and 'front: nginx' in the zone '{zone}'"
        raise ConfigError([Fault(str(config), 1, 1, "services", told)])
    places.own(zone).mkdir(parents=True, exist_ok=True)
    tried = written.with_name(f"{written.name}.tried")
    try:
        _try(policy, zone, tried, quick=all(module.exists() for module in configuration.MODULES))
    except command.CommandFailed as error:
        line = policy.line_of(("services", service.name))
        raise ConfigError([Fault(str(config), line, 1, f"services.{service.name}.front", str(error))]) from error
    write_atomic(written, tried.read_bytes())
    return configuration.generation(policy)


def _try(policy: Policy, zone: str, tried: Path, *, quick: bool) -> None:
    """Write what nginx takes: without the quick way where its modules are missing, or do not do.

    Raises:
        CommandFailed: it takes none.
    """
    cores = len(os.sched_getaffinity(0))  # that its unit may use; nginx's own "auto" counts all of the machine
    text = configuration.render(policy, zone, places.folder(zone), places.own(zone), quick=quick, workers=cores)
    tried.write_text(text)
    try:
        command.run([NGINX, "-t", "-q", *_options(tried)])
    except command.CommandFailed as error:
        if not quick:
            raise
        log.warning("nginx asks delivery of each request: its Lua module does not do here: %s", error)
        _try(policy, zone, tried, quick=False)


def _options(written: Path) -> list[str]:
    # Started by root it would take another user, who sees nothing here: that is for tests; its unit has a user of its own.
    user = ["-g", "user root;"] if os.geteuid() == 0 else []
    return ["-e", "stderr", "-c", str(written), *user]


async def main(service: Service, config: Path, zone: str | None) -> None:
    """Keep nginx running until told to stop."""
    own = places.own(str(zone))
    written, state = own / "nginx.conf", own / configuration.STATE
    generation = _write(config, zone, written)
    state.unlink(missing_ok=True)  # of one that was killed, and of the trial: nginx takes no socket that is there
    argv = [NGINX, *_options(written)]
    nginx = await asyncio.create_subprocess_exec(*argv, preexec_fn=_end_with_us)
    try:
        await _works_by(generation, state, nginx)

        async def reload() -> None:
            generation = await asyncio.to_thread(_write, config, zone, written)
            nginx.send_signal(signal.SIGHUP)
            await _works_by(generation, state, nginx)

        service.reload = reload
        stopped = service.tasks.create_task(service.stopped())
        ended = service.tasks.create_task(nginx.wait())
        service.ready(f"in front of {zone}")
        await asyncio.wait({stopped, ended}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            raise Unreachable(f"nginx ended with status {nginx.returncode}")
    finally:
        await _end(nginx, places.socket(str(zone)))


def _end_with_us() -> None:
    """Have the kernel end nginx where this process is killed: nobody else would tell it of another policy."""
    _libc.prctl(
        PR_SET_PDEATHSIG, signal.SIGTERM
    )  # setpriv(1) does it too, but sets capabilities, which the unit may not


async def _works_by(generation: str, state: Path, nginx: Process) -> None:
    """Wait until nginx works by a configuration: it looks for its address and ports at its start, and says in its log what it misses.

    Raises:
        Unreachable: it ended, or does not in time.
    """
    said = ""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(START):
            while nginx.returncode is None:
                with contextlib.suppress(Unreachable):
                    async with http.unix_client(state) as client, client.get("http://nginx/") as answer:
                        said = await answer.text()
                if said == generation:
                    return
                await asyncio.sleep(LOOK)
    told = "goes on as it was" if nginx.returncode is None else f"ended with status {nginx.returncode}"
    raise Unreachable(f"nginx does not take its configuration and {told}: see its log")


async def _end(nginx: Process, delivery: Path) -> None:
    """End nginx: downloads that run on are broken off soon, so that it says how far they came before it goes."""
    if await _ends(nginx, signal.SIGQUIT):
        return
    try:
        async with (
            asyncio.timeout(SHUTDOWN),
            http.unix_client(delivery) as client,
            client.post("http://delivery/-/end", headers={places.ASK: "end"}) as answer,
        ):
            answer.raise_for_status()
    except (HeadgateError, ClientError, TimeoutError) as error:
        log.warning("what nginx delivers now is not counted: delivery did not break it off: %s", error)
    if not await _ends(nginx):
        await _ends(nginx, signal.SIGTERM)


async def _ends(nginx: Process, number: signal.Signals | None = None) -> bool:
    """Wait a moment, after a signal if there is one, and return whether nginx ended."""
    if nginx.returncode is None:
        if number is not None:
            nginx.send_signal(number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(nginx.wait(), SHUTDOWN)
    return nginx.returncode is not None
