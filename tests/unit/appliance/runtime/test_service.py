"""Life cycle of a daemon, as a real process with real signals."""

import asyncio
import signal
import socket
import subprocess
import sys

from appliance.runtime.service import Service

DAEMON = """
import asyncio
from appliance.runtime import descriptors, service
from appliance.runtime.errors import ConfigError, Fault

async def forever():
    await asyncio.Event().wait()

async def main(running):
    assert descriptors.kept()  # or the daemon dies before it is ready

    async def reload():
        raise ConfigError([Fault("f", 1, 1, "", "wrong")])
    running.reload = reload
    running.tasks.create_task(forever())
    running.ready()
    await running.stopped()

service.run(main)
"""
DYING = """
import asyncio
from appliance.runtime import service

async def dies():
    raise RuntimeError("a task died")

async def main(running):
    running.tasks.create_task(dies())
    await running.stopped()

service.run(main)
"""


def test_a_daemon_tells_when_it_is_ready_refuses_a_bad_reload_and_stops(tmp_path):
    """READY=1 comes when it serves; SIGHUP with a bad configuration is told and survived; SIGTERM ends it with status 0."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(path))
        told.settimeout(10)
        with subprocess.Popen(
            [sys.executable, "-c", DAEMON], env={"NOTIFY_SOCKET": str(path)}, stderr=subprocess.PIPE, text=True
        ) as daemon:
            assert told.recv(200).startswith(b"READY=1")
            daemon.send_signal(signal.SIGHUP)
            assert "new configuration refused" in daemon.stderr.readline()
            daemon.send_signal(signal.SIGTERM)
            assert told.recv(200) == b"STOPPING=1"
            assert daemon.wait(10) == 0


async def test_what_was_told_while_the_daemon_began_is_taken_in_once_it_can():
    """The policy may change between the daemon's reading it and its being able to take another."""
    taken = asyncio.Event()

    async def reload() -> None:
        taken.set()

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        service = Service(tasks)
        service.hang_up()
        service.reload = reload
        await taken.wait()


def test_a_dying_task_ends_the_daemon():
    """A daemon whose task dies ends with a failure, so that systemd starts it again."""
    done = subprocess.run([sys.executable, "-c", DYING], capture_output=True, text=True, timeout=10, check=False)

    assert done.returncode != 0
    assert "a task died" in done.stderr
