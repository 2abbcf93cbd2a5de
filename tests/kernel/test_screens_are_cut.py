"""The guard destroys connections of screens on request, those of a zone's delivery alone, and tells what of ended ones never left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.runtime import command, http
from appliance.runtime.errors import Refused
from gateway.isolation import cutting, cutting_api, netns
from gateway.isolation import policy as policies
from gateway.isolation.cutting import Cutter, ends_of
from gateway.isolation.cutting_api import Places
from gateway.isolation.kernel import Kernel

pytestmark = pytest.mark.kernel
PATIENCE = 10.0  # seconds
CHUNK = bytes(64 << 10)
POLICY = policies.parse(
    b"""\
site: scratch
zones:
  management: {port: "02:68:67:28:00:0b", addresses: [10.40.0.11/24]}
  bigscreen:  {port: "02:68:67:14:00:0b", addresses: [10.20.0.11/24, "fd20::11/64"]}
services:
  delivery: {zone: bigscreen,  run: delivery, listen: tcp/80,   from: [10.20.0.0/24, "fd20::/64"]}
  resolver: {zone: bigscreen,  run: resolver, listen: tcp/8080, from: [10.20.0.0/24]}
never:
  - {from: bigscreen, to: management}
""",
    "scratch.yaml",
)


class Zone:
    """A zone with listeners at delivery's and resolver's ports, and a host with a screen."""

    def __init__(self) -> None:
        self.prefix = f"cut{os.getpid()}-"
        self.kernel = Kernel(self.prefix)
        self.name, self.host = self.prefix + "bigscreen", self.prefix + "host"
        self.undo = contextlib.ExitStack()

    def make(self) -> None:
        for name in (self.host, self.name):
            netns.make(name)
            self.undo.callback(netns.remove, name)
        command.run(["ip", "-n", self.host, "link", "add", "wire", "type", "veth", "peer", "port", "netns", self.name])
        for name, link, number in ((self.host, "wire", "50"), (self.name, "port", "11")):
            command.run(["ip", "-n", name, "address", "add", f"10.20.0.{number}/24", "dev", link])
            command.run(["ip", "-n", name, "address", "add", f"fd20::{number}/64", "dev", link, "nodad"])
            command.run(["ip", "-n", name, "link", "set", link, "up"])
        self.listening = {(host, port): self.listener(host, port) for host, port in
                          (("10.20.0.11", 80), ("fd20::11", 80), ("10.20.0.11", 8080))}  # fmt: skip

    def listener(self, host: str, port: int) -> socket.socket:
        made = netns.inside(self.name, lambda: socket.create_server((host, port), family=family(host)))
        return self.undo.enter_context(made)

    def connected(self, host: str = "10.20.0.11", port: int = 80) -> tuple[socket.socket, socket.socket]:
        """Return a connection: the box's end, and the screen's."""
        screen = netns.inside(self.host, lambda: socket.create_connection((host, port), PATIENCE))
        server, _ = self.listening[host, port].accept()
        server.setblocking(False)
        return self.undo.enter_context(server), self.undo.enter_context(screen)


def family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def name_of(screen: socket.socket) -> tuple[str, int]:
    return screen.getsockname()[:2]


def fill(server: socket.socket) -> int:
    """Write until the kernel takes no more; return how much it took."""
    took, still = 0, time.monotonic() + 0.2
    while time.monotonic() < still:
        with contextlib.suppress(BlockingIOError):
            took += server.send(CHUNK)
            still = time.monotonic() + 0.2
    return took


def read(screen: socket.socket) -> None:
    """Read all that came."""
    while screen.recv(1 << 20):
        pass


def received(screen: socket.socket) -> int:
    """Return how many bytes came, read or not (tcpi_bytes_received)."""
    return int(struct.unpack_from("=Q", screen.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192), 128)[0])


@pytest.fixture
def zone() -> Iterator[Zone]:
    made = Zone()
    with made.undo:
        made.make()
        yield made


@pytest.fixture
async def ask(zone: Zone, tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Serve the zone's delivery and return what asks as it would."""
    places = Places(tmp_path, zone.kernel, lambda: POLICY)
    async with contextlib.AsyncExitStack() as stack:
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        serving = tasks.create_task(places.run())
        stack.callback(serving.cancel)
        path = tmp_path / "delivery-bigscreen" / "cut.sock"
        deadline = time.monotonic() + PATIENCE
        while not path.exists():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        client = await stack.enter_async_context(http.unix_client(path))

        async def post(path: str, **body: Any) -> Any:
            async with client.post(f"http://box/{path}", json=body) as answer:
                return await (await http.check(answer)).json()

        yield post


async def found(ask: Callable[..., Any], screen: socket.socket, **more: bool) -> list[list[Any]]:
    return [ends for *ends, _ in (await ask("cut", screens=[name_of(screen)], **more))["found"]]


async def until_gone(ask: Callable[..., Any], count: int) -> list[list[Any]]:
    deadline = time.monotonic() + PATIENCE
    while len(gone := (await ask("gone", instance="", after=0))["gone"]) < count:
        assert time.monotonic() < deadline, gone
        await asyncio.sleep(0.01)
    return gone


@pytest.mark.parametrize("host", ["10.20.0.11", "fd20::11"])
async def test_one_download_is_cut_and_another_goes_on(zone: Zone, ask: Callable[..., Any], host: str):
    """A connection is destroyed while it carries bytes, of which the kernel tells how many never left; its neighbour lives."""
    server, screen = zone.connected(host)
    other_server, other = zone.connected(host)
    took = fill(server)
    assert fill(other_server) > 0

    assert await found(ask, screen) == [list(name_of(screen))]

    with pytest.raises(OSError, match=r"abort|reset|pipe"):
        server.send(b"more")
    before = received(screen)
    with pytest.raises(ConnectionResetError):
        read(screen)
    server.close()
    [[serial, address, port, unsent, at, fin]] = await until_gone(ask, 1)
    assert (serial, address, port, fin) == (1, *name_of(screen), True)
    assert took - unsent == before == received(screen)
    assert unsent > 0
    assert abs(at - time.time()) < PATIENCE

    other.recv(1 << 20, socket.MSG_DONTWAIT)
    other_server.setblocking(True)
    other_server.sendall(b"on")
    assert await found(ask, other, look=True) == [list(name_of(other))]
    assert await found(ask, screen, look=True) == []


async def test_looking_tells_what_waits_and_touches_nothing(zone: Zone, ask: Callable[..., Any]):
    """What the kernel took and did not send yet; nothing once the screen has read on."""
    server, screen = zone.connected()
    took = fill(server)

    [[*_, unsent]] = (await ask("cut", screens=[name_of(screen)], look=True))["found"]

    assert took - unsent == received(screen)
    many = [name_of(screen), *(("10.20.0.99", port) for port in range(1, 2 * cutting.FEW))]
    assert (await ask("cut", screens=many, look=True))["found"] == [[*name_of(screen), unsent]]
    while received(screen) < took:
        screen.recv(1 << 20)
    assert (await ask("cut", screens=[name_of(screen)], look=True))["found"] == [[*name_of(screen), 0]]


async def test_what_listens_and_what_is_no_delivery_is_never_touched(zone: Zone, ask: Callable[..., Any]):
    """Neither a connection to another service nor, where there is none, the listener that the kernel would show in its place."""
    server, screen = zone.connected(port=8080)
    stranger = ("10.20.0.50", 9)

    assert (await ask("cut", screens=[name_of(screen), stranger]))["found"] == []

    server.sendall(b"still here")
    assert screen.recv(100) == b"still here"
    zone.connected()


async def test_a_connection_that_was_closed_with_bytes_waiting_is_cut_without_counting_its_end(
    zone: Zone, ask: Callable[..., Any]
):
    """What a program left behind when it closed is thrown away, and the FIN that waited behind it is no byte."""
    server, screen = zone.connected()
    took = fill(server)
    server.close()

    assert await found(ask, screen) == [list(name_of(screen))]

    [[*_, unsent, _, fin]] = await until_gone(ask, 1)
    assert not fin
    assert took - unsent == received(screen)


async def test_a_screen_that_leaves_is_told_with_what_never_left_and_one_that_read_all_is_not(
    zone: Zone, ask: Callable[..., Any]
):
    """Only connections that ended with something unsent are told."""
    done_server, done = zone.connected()
    done_server.sendall(b"all of it")
    assert done.recv(100) == b"all of it"
    done_server.close()
    server, screen = zone.connected()
    took, name = fill(server), name_of(screen)
    came = received(screen)
    screen.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    screen.close()
    server.close()

    told = await ask("gone", instance="", after=0)
    [[serial, *ends, unsent, _, _]] = await until_gone(ask, 1)

    assert ends == list(name)
    assert took - unsent == came
    again = await ask("gone", instance=told["instance"], after=serial)
    assert again["gone"] == []


@pytest.mark.parametrize(
    "body",
    [
        {"screens": [["10.20.0.50", 1]] * (cutting_api.MOST + 1)},
        {"screens": [["10.20.0.50", 0]]},
        {"screens": [["no address", 80]]},
        {"screens": [["10.20.0.50", "80"]]},
        {"zone": "management", "screens": []},
    ],
)
async def test_what_is_no_list_of_screens_is_refused(ask: Callable[..., Any], body: dict[str, Any]):
    """Every request is bounded, and names connections alone: the zone is the socket's."""
    with pytest.raises(Refused) as refused:
        await ask("cut", **body)

    assert refused.value.reason == "bad-request"


async def test_a_kernel_that_cannot_says_so(zone: Zone, ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch):
    """Where the kernel was built without it, the refusal names what is missing."""
    _, screen = zone.connected()

    def unsupported(*_: object) -> None:
        raise OSError(95, os.strerror(95))

    monkeypatch.setattr(cutting, "close", unsupported)
    with pytest.raises(Refused, match="CONFIG_INET_DIAG_DESTROY") as refused:
        await ask("cut", screens=[name_of(screen)])

    assert refused.value.reason == "cannot-cut"


def test_deliveries_of_a_zone_are_those_of_the_policy():
    """Both addresses of the zone at delivery's port; nothing in a zone that has no delivery."""
    assert ends_of(POLICY, "bigscreen") == (("10.20.0.11", 80), ("fd20::11", 80))
    assert ends_of(POLICY, "management") == ends_of(POLICY, "culture") == ()
    assert Cutter(lambda work: work()).finished(("10.20.0.50", 1)) is False
