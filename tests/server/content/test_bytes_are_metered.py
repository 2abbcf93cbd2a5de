"""The sum of usage records is what left, to the byte: counted on the wire, whatever screens do and whatever is killed."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest

from appliance.identity.keys import PrivateKey
from gateway.delivery.metering.meter import MOST_UNREAD
from gateway.delivery.metering.slots import Slots
from provisioning.controller.orders import proof_entry
from tests import wire
from tests.server.content import media
from tests.server.content.conftest import ADDRESSES, BOTH_WAYS, CODE, Chain, give_order
from tests.server.content.test_live_crosses import TS, Studio

pytestmark = [pytest.mark.server, pytest.mark.skipif(os.geteuid() != 0, reason="capturing packets needs root")]
FILES = {"small.mp4": media.sized(16 << 10), "middle.mp4": media.sized(200_000), "large.mp4": media.sized(3 << 20)}
BIG = ADDRESSES["bigscreen"]


def request(path: str, *headers: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} /r/{CODE}/{path} HTTP/1.1", "Host: box", *headers, "", ""]).encode()


@contextlib.contextmanager
def screen(chain: Chain, *asked: bytes, room: int | None = None) -> Iterator[socket.socket]:
    """A screen that sent requests, with so little ``room`` for what comes, if told, and that is gone with a reset at the end."""
    with socket.socket() as connection:
        if room:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        connection.settimeout(5)  # behind nginx an answer of a delivery that is away does not end the connection
        connection.connect((BIG, chain.port))
        connection.sendall(b"".join(asked))
        yield connection
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 0))


def read(connection: socket.socket, most: int = 1 << 40) -> int:
    """Read to the end, or so many bytes."""
    got = 0
    with contextlib.suppress(ConnectionError):
        while got < most and (data := connection.recv(min(65536, most - got))):
            got += len(data)
    return got


def recorded(chain: Chain) -> Counter[str]:
    """Return the bytes that the records in the spool tell, by path."""
    sums: Counter[str] = Counter()
    for body in chain.used():
        assert body["bytes"] == sum(sent for _, sent in body["files"].values())
        assert body["requests"] == sum(requests for requests, _ in body["files"].values())
        for path, (_, sent) in body["files"].items():
            sums[f"/r/{body['release']}/{path}"] += sent
    assert len({record.id for record in chain.records("usage")}) == len(chain.records("usage"))
    return +sums


def settled(chain: Chain) -> None:
    """End delivery as systemd does: what it counted is in the spool then."""
    assert chain.stop("delivery-bigscreen") == 0


def various(chain: Chain, pick: random.Random) -> None:
    """Behave as screens do: well, badly, and not at all."""
    behaviour = pick.randrange(10)
    with contextlib.suppress(ConnectionError, TimeoutError, HTTPException):
        if behaviour == 0:
            with contextlib.closing(HTTPConnection(BIG, chain.port, timeout=30)) as connection:
                for path in ("small.mp4", "small.mp4", "middle.mp4", "large.mp4", "small.mp4"):
                    connection.request("GET", f"/r/{CODE}/{path}")
                    with connection.getresponse() as answer:
                        answer.read()
        elif behaviour == 1:  # several ranges, then one, on one connection
            asked = (
                request("large.mp4", "Range: bytes=5-99,1000-700000,2000000-2000000"),
                request("middle.mp4", "Range: bytes=-100"),
                request("small.mp4", "Range: bytes=20000-"),
                request("middle.mp4", "If-None-Match: *"),
                request("large.mp4", method="HEAD"),
                request("small.mp4", "Connection: close"),
            )
            with screen(chain, *asked) as connected:
                read(connected)
        elif behaviour == 2:  # leaves in the middle, with a reset
            with screen(chain, request("large.mp4"), room=8192) as connected:
                read(connected, pick.randrange(1, 2 << 20))
        elif behaviour == 3:  # asks for much and reads nothing of it
            with screen(chain, *[request("small.mp4")] * 200, room=4096) as connected:
                read(connected, 1)
                time.sleep(pick.random() / 5)
        elif behaviour == 4:  # reads late what its connection's end left behind
            with screen(
                chain, request("middle.mp4"), request("large.mp4", "Connection: close"), room=4096
            ) as connected:
                time.sleep(pick.random() / 2)
                read(connected)
        elif behaviour == 5:  # half-closes, and reads on
            with screen(chain, request("middle.mp4")) as connected:
                connected.shutdown(socket.SHUT_WR)
                read(connected)
        elif behaviour == 6:  # leaves in the middle of several ranges
            asked = (request("large.mp4", "Range: bytes=0-999999,1500000-3000000"),)
            with screen(chain, *asked, room=8192) as connected:
                read(connected, pick.randrange(1, 2 << 20))
        elif (
            behaviour < 9
        ):  # one after the other with the same head, much of it the same; leaves with the last one unread
            with contextlib.closing(HTTPConnection(BIG, chain.port, timeout=30)) as connection:
                for _ in range(40):
                    path = pick.choice(["small.mp4"] * 12 + ["nothing.mp4", "middle.mp4", "large.mp4"])
                    connection.request(pick.choice(["GET"] * 9 + ["HEAD"]), f"/r/{CODE}/{path}")
                    with connection.getresponse() as answer:
                        answer.read()
                connection.request("GET", f"/r/{CODE}/small.mp4")
        else:
            chain.play(pick.choice(["nothing.mp4", "small.mp4"]))


@BOTH_WAYS
def test_records_are_what_left(chain: Any) -> None:
    """Whole, partial, conditional, broken off, never read: the records tell each path's bytes as they were on the wire."""
    chain.publish(FILES)
    pick = random.Random(5)
    with wire.captured(chain.port) as seen:
        with ThreadPoolExecutor(8) as screens:
            for done in [screens.submit(various, chain, pick) for _ in range(80)]:
                done.result()
        settled(chain)
    assert seen.bytes.keys() == {f"/r/{CODE}/{path}" for path in FILES}
    assert recorded(chain) == seen.bytes


@BOTH_WAYS
def test_records_are_what_left_of_what_is_withdrawn(chain: Any, until: Any) -> None:
    """A release that is withdrawn in the middle leaves no further: what waited in the box never comes, and is not counted."""
    regulator = PrivateKey.generate()
    orders = f'orders: {{keys: {{regulator: "{regulator.public}"}}}}\n'
    chain.write_policy(lambda text: text.replace("largest: 4 MiB", "largest: 64 MiB") + orders)
    chain.reload("exchange", "delivery-bigscreen")
    until(lambda: "configuration taken in" in chain.log("exchange"), "the policy is taken in")
    assert give_order(chain, regulator, 0)["refused"] is None
    long = media.sized(32 << 20)
    chain.publish({"long.mp4": long})
    assert [chain.play("long.mp4").body == long for _ in range(2)] == [True, True]  # so that some of it is known
    with wire.captured(chain.port) as seen:
        with contextlib.ExitStack() as screens:
            parts = ("Range: bytes=0-99,1000-",)  # which nginx leaves to delivery
            slow = [
                screens.enter_context(screen(chain, request("long.mp4", *parts[i % 3 :]), room=1 << (12 + i % 6)))
                for i in range(24)
            ]
            for connected in slow:
                assert read(connected, 5000) == 5000
            proof = give_order(chain, regulator, 1, CODE)["proofs"][-1]["proof"]
            assert json.loads(proof_entry(proof))["stopped"] == len(slow)
            assert all(read(connected) < len(long) for connected in slow)
        settled(chain)
    sums = recorded(chain)
    assert sums.total() - 2 * len(long) == seen.bytes.total() > 0
    assert sum(body["broken"] for body in chain.used()) == len(slow)


@BOTH_WAYS
def test_records_are_what_left_of_a_live_channel(chain: Any, until: Any) -> None:
    """Playlists and segments of a channel are counted as films are."""
    room = Studio(chain, "index.m3u8")
    files = {f"{n}.ts": TS * (500 + n) for n in range(5)}
    for path, data in files.items():
        room.put(path, data)
    with wire.captured(chain.port) as seen:
        for path, data in files.items():
            assert chain.play(f"live/{path}").body == data
            chain.play(f"live/{path}", headers={"Range": "bytes=1-1000"})
        settled(chain)
    assert recorded(chain) == seen.bytes
    assert len(seen.bytes) == len(files)


@BOTH_WAYS
def test_nothing_is_lost_or_told_twice_when_delivery_is_killed(chain: Any) -> None:
    """kill -9 again and again in the middle of everything: the records are what was on the wire, to the byte."""
    chain.publish(FILES)
    pick = random.Random(7)
    with wire.captured(chain.port) as seen, ThreadPoolExecutor(8) as screens:
        for path in FILES:
            assert chain.play(path).status == 200
        for _ in range(6):
            busy = [screens.submit(various, chain, pick) for _ in range(12)]
            time.sleep(pick.random() / 2)
            chain.stop("delivery-bigscreen", signal.SIGKILL)
            for done in busy:
                done.result()
            chain.start("delivery", "bigscreen")
        settled(chain)
    assert "killed with its survivor" not in chain.log("delivery-bigscreen")
    assert recorded(chain) == seen.bytes
    assert seen.bytes.total() > 1 << 20


def test_nothing_is_lost_or_told_twice_when_the_exchange_is_killed(chain: Any, until: Any) -> None:
    """kill -9 of the exchange while it takes records: each arrives, once."""
    chain.publish(FILES)
    for path in FILES:
        assert chain.play(path).status == 200
    pick, waits = random.Random(9), chain.state / "delivery-bigscreen"
    with wire.captured(chain.port) as seen:
        for turn in range(6):
            for path in FILES:
                chain.play(path, headers={"Range": f"bytes={turn}-{turn + pick.randrange(9000)}"})
            until(lambda: list(waits.glob("*.records")) or pick.random() < 0.01, "a window is over")
            chain.stop("exchange", signal.SIGKILL)
            chain.play("small.mp4")
            chain.start("exchange")
        settled(chain)
    whole = Counter({f"/r/{CODE}/{path}": len(data) for path, data in FILES.items()})
    assert recorded(chain) == seen.bytes + whole


def test_a_screen_that_reads_nothing_keeps_nobody_else_from_being_served(chain: Any) -> None:
    """Thousands of tiny ranges asked for and not read take no more than some slots; others are served, and the sum is right."""
    chain.publish(FILES)
    assert chain.play("small.mp4").status == 200
    asked = [request("small.mp4", f"Range: bytes={n}-{n}") for n in range(3000)]
    with wire.captured(chain.port) as seen:
        with contextlib.ExitStack() as screens:
            for _ in range(8):
                screens.enter_context(screen(chain, *asked, room=2048))
            assert chain.play("middle.mp4").body == FILES["middle.mp4"]
            with Slots(chain.state / "delivery-bigscreen" / "running") as slots:
                assert sum(1 for _ in slots.all()) <= 9 * MOST_UNREAD
        settled(chain)
    whole = Counter({f"/r/{CODE}/small.mp4": len(FILES["small.mp4"])})
    assert recorded(chain) - whole == seen.bytes


def test_killed_with_its_survivor_delivery_is_counted_as_noted_last(chain: Any, until: Any) -> None:
    """Nobody is left to ask the kernel: what was noted twice a second counts, once, which is all where nothing moved since."""
    chain.publish(FILES)
    assert chain.play("large.mp4").status == 200
    settled(chain)
    before = recorded(chain)
    chain.start("delivery", "bigscreen")
    process = chain.processes["delivery-bigscreen"]
    (survivor,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    with wire.captured(chain.port) as seen:
        with screen(chain, request("large.mp4"), room=4096) as connected:
            assert read(connected, 3000) == 3000

            def noted() -> bool:
                with Slots(chain.state / "delivery-bigscreen" / "running") as slots:
                    return any(slot.noted for slot in slots.all())

            until(noted, "what left is noted")
            os.kill(int(survivor), signal.SIGKILL)
            until(lambda: "was killed" in chain.log("delivery-bigscreen"), "delivery tells that nobody survives it")
            chain.stop("delivery-bigscreen", signal.SIGKILL)
        chain.start("delivery", "bigscreen")
        settled(chain)
    told = (recorded(chain) - before)[f"/r/{CODE}/large.mp4"]
    assert "killed with its survivor" in chain.log("delivery-bigscreen")
    assert 0 < told <= seen.bytes[f"/r/{CODE}/large.mp4"]


@pytest.mark.parametrize("chain", ["nginx"], indirect=True)
def test_downloads_that_run_when_nginx_is_ended_are_counted(chain: Any) -> None:
    """As far as they came, from the store and through delivery: they are broken off first."""
    files = {"long.mp4": media.sized(4 << 20)}  # more than a connection holds
    chain.publish(files)
    with wire.captured(chain.port) as seen:
        assert chain.play("long.mp4").status == 200
        with contextlib.ExitStack() as screens:
            for asked in (request("long.mp4"), request("long.mp4", "Range: bytes=5-99,1000-4190000")):
                slow = screens.enter_context(screen(chain, asked, room=4096))
                read(slow, 20_000)
            assert chain.stop("front-bigscreen") == 0
        settled(chain)
    assert recorded(chain) == seen.bytes
