"""Withdrawals over three boxes: from the signed order to each box's verified proof, with every process real, on loopback.

A box has fetch, exchange, two deliveries and telemetry; between them and the controller is Mosquitto with TLS. Each release was played
at each box before, so that there are bytes to remove, and one screen of each box is in the middle of a film when it is withdrawn.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from gateway.release import centre as client
from gateway.release.orders import Order, What
from gateway.resolver import codes
from tests.server.orders.conftest import Box, Centre, central, until

BOXES = 3
RELEASES = 60  # withdrawn one after the other
OBJECTS = 8  # of a release
SIZE = 512 << 10  # bytes of an object
FILM = 48 << 20  # bytes


def code_of(number: int) -> str:
    """Return the code of a release, with its check digit."""
    for digit in range(10):
        with contextlib.suppress(codes.WrongCode):
            return codes.parse(f"isli:999999-1{number:014d}-{digit}").text
    raise AssertionError("one of ten digits is right")


def main() -> None:
    """Run it and print the figures."""
    with tempfile.TemporaryDirectory(prefix="hw") as folder, contextlib.ExitStack() as stack:
        base = Path(folder)
        broker = central.Broker(base / "broker", central.Authority(base / "pki"))
        broker.start()
        stack.callback(broker.kill)
        centre = Centre(base / "c", broker)
        centre.daemon.start()
        stack.callback(centre.daemon.kill)
        boxes = [Box(base / f"b{number}", f"box-{number}", broker, centre.regulator) for number in range(BOXES)]
        found = [code_of(number) for number in range(1, RELEASES + 1)]
        for box in boxes:
            centre.admit(box)
            stack.enter_context(box)
            for code in found:
                files = {f"{n}.bin": f"{code} {n} ".encode() + bytes(SIZE) for n in range(OBJECTS)}
                box.chain.publish({"film.bin": code.encode() + bytes(FILM)} if code == found[0] else files, code=code)
        until(lambda: len(centre.online()) == BOXES, "the boxes are online")
        for box in boxes:
            for code in found:
                for path in ["film.bin"] if code == found[0] else [f"{n}.bin" for n in range(OBJECTS)]:
                    assert box.chain.get(f"/r/{code}/{path}").status == 200
        screens = [_watch(stack, box, found[0]) for box in boxes]
        proofs, whole, stopped = asyncio.run(_withdraw(centre, found))
        assert stopped == len(screens)
        assert all(not box.chain.stored() for box in boxes)
        _tell(proofs, whole)


def _watch(stack: contextlib.ExitStack, box: Box, code: str) -> socket.socket:
    screen = stack.enter_context(socket.create_connection(("127.20.0.1", box.chain.port), 20))
    screen.sendall(f"GET /r/{code}/film.bin HTTP/1.1\r\nHost: box\r\n\r\n".encode())
    screen.recv(1024)
    return screen


async def _withdraw(centre: Centre, found: list[str]) -> tuple[list[float], list[float], int]:
    proofs, whole, stopped = list[float](), list[float](), 0
    async with client.connected(centre.daemon.url) as there:
        for code in found:
            began = time.monotonic()

            def make(serial: int, code: str = code) -> Order:
                told: dict[str, Any] = {"what": What(release=code), "reason": "bench", "by": "regulator"}
                return Order(serial=serial, act="withdraw", time=datetime.now(UTC), **told)

            order = await there.give(make, centre.regulator)
            standing = [told async for told in there.follow(order.serial, 30)][-1]
            whole.append(time.monotonic() - began)
            assert [one["verified"] for one in standing["proofs"]] == ["yes"] * BOXES
            proofs += [one["seconds"] for one in standing["proofs"]]
            stopped += sum(one["stopped"] for one in standing["proofs"])
    return proofs, whole, stopped


def _tell(proofs: list[float], whole: list[float]) -> None:
    table = Table(
        "withdrawal", "n", "p50", "p90", "p99", "slowest", title=f"{BOXES} boxes, {OBJECTS} objects a release"
    )
    for name, values in (("a box's verified proof is stored", proofs), ("the command line has all proofs", whole)):
        cuts = statistics.quantiles(values, n=100, method="inclusive")
        row = (cuts[49], cuts[89], cuts[98], max(values))
        table.add_row(name, str(len(values)), *(f"{1000 * value:.0f} ms" for value in row))
    Console().print(table)
