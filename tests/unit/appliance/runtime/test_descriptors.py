"""Nobody's descriptors come in over our Unix sockets, on whichever end he is (real sockets), and nobody takes ours."""

from __future__ import annotations

import asyncio
import ctypes
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import web

from appliance.runtime import descriptors, http


def has_option() -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return descriptors.refuse(probe)


needs_option = pytest.mark.skipif(not has_option(), reason="needs Linux 6.16: SO_PASSRIGHTS")


def passes(channel: socket.socket) -> bool:
    """Whether the other end of ``channel`` takes a descriptor."""
    with Path("/dev/null").open() as null:
        try:
            socket.send_fds(channel, [b"x"], [null.fileno()])
        except PermissionError:
            return False
    return True


@needs_option
def test_a_listener_and_all_it_accepts_take_no_descriptor(tmp_path: Path):
    """One who connects cannot pass a descriptor, neither before nor after he is accepted."""
    with descriptors.listener(str(tmp_path / "s")) as listening, socket.socket(socket.AF_UNIX) as client:
        listening.listen()
        client.connect(str(tmp_path / "s"))
        assert not passes(client)
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.SOL_SOCKET, descriptors.SO_PASSRIGHTS) == 0
            assert not passes(client)
            client.sendall(b"plain bytes do pass")
            assert accepted.recv(100) == b"plain bytes do pass"


@needs_option
async def test_our_servers_take_no_descriptor(tmp_path: Path):
    """A peer that passes a descriptor along with a request of his is refused by the kernel; without one he is answered."""

    async def hello(_request: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = http.application()
    app.router.add_get("/", hello)
    async with http.serving(app, unix=[(tmp_path / "s", 0o600)]):
        assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600
        with socket.socket(socket.AF_UNIX) as peer:
            await asyncio.to_thread(peer.connect, str(tmp_path / "s"))
            peer.setblocking(True)
            assert not passes(peer)
            await asyncio.to_thread(peer.sendall, b"GET / HTTP/1.0\r\n\r\n")
            assert b"hello" in await asyncio.to_thread(peer.recv, 4096)


@needs_option
async def test_our_clients_take_no_descriptor(tmp_path: Path):
    """A daemon that answers with a descriptor is refused by the kernel too."""
    passed: list[bool] = []

    def answer(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(4096)
            passed.append(passes(connection))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        listening.listen()
        answering = asyncio.create_task(asyncio.to_thread(answer, listening))  # noqa: TID251 (awaited below)
        async with http.unix_client(tmp_path / "s") as client, client.get("http://box/") as response:
            assert await response.text() == "ok"
        await answering

    assert passed == [False]


def test_a_kernel_without_the_option_is_told(monkeypatch: pytest.MonkeyPatch):
    """Where the kernel has no such option the socket is as good as it can be, and the caller is told."""
    monkeypatch.setattr(descriptors, "SO_PASSRIGHTS", 7777)
    with socket.socket(socket.AF_UNIX) as channel:
        assert descriptors.refuse(channel) is False


def test_another_fault_is_not_taken_for_an_old_kernel():
    """A socket that is closed is a mistake of ours, not an old kernel."""
    channel = socket.socket(socket.AF_UNIX)
    channel.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        descriptors.refuse(channel)


BECOME = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if os.geteuid() == 0:
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
"""
OWNER = f"""
from appliance.runtime import descriptors
{BECOME}
libc.prctl(descriptors.SET_DUMPABLE, 1, 0, 0, 0)  # as a process is that was started as this user
libc.prctl(0x59616D61, -1, 0, 0, 0)  # PR_SET_PTRACER: Yama, where there is one, lets us
if sys.argv[1] == "kept":
    descriptors.keep()
print(descriptors.kept(), flush=True)
sys.stdin.read()
"""
THIEF = f"""
{BECOME}
there = libc.syscall(434, int(sys.argv[1]), 0)  # pidfd_open(2)
print(libc.syscall(438, there, 1, 0) >= 0 or os.strerror(ctypes.get_errno()))  # pidfd_getfd(2)
"""


@pytest.mark.parametrize(("state", "told"), [("open", "True"), ("kept", "Operation not permitted")])
def test_another_process_of_the_same_user_takes_no_descriptor(state: str, told: str):
    """pidfd_getfd(2) by a process of the same user succeeds on an ordinary process, and not on one of ours."""
    argv = [sys.executable, "-c", OWNER, state]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline().strip() == str(state == "kept")
        taken = subprocess.run(
            [sys.executable, "-c", THIEF, str(owner.pid)], capture_output=True, text=True, check=True
        )
        owner.send_signal(signal.SIGTERM)

    assert taken.stdout.strip() == told


def test_this_process_can_be_asked():
    """A process that did nothing is open to its user's others: what we hold against is real."""
    assert descriptors.kept() is (ctypes.CDLL(None).prctl(descriptors.GET_DUMPABLE, 0, 0, 0, 0) == 0)


def test_every_unix_socket_of_ours_goes_through_here():
    """No daemon makes a Unix server or client that would take descriptors: aiohttp's own, or asyncio's."""
    own = re.compile(
        r"\b(aiohttp\.UnixConnector\(|UnixSite\(|start_unix_server(?!\([^\n]*\bsock=)|open_unix_connection|socketserver\.Unix)"
    )
    root = Path(__file__).parents[4]
    found = [
        str(path.relative_to(root))
        for package in ("appliance", "gateway", "provisioning", "monitoring", "firmware")
        for path in (root / package).rglob("*.py")
        if own.search(path.read_text())
    ]

    assert found == []
