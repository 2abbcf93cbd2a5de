"""Whoever speaks to a box as he likes: bytes over TCP, and origins that send what a test tells them to."""

from __future__ import annotations

import contextlib
import re
import resource
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread
from typing import Any, NamedTuple

from tests.server.content.conftest import DEADLINE, ORIGIN, Chain, until

Place = tuple[str, int]  # address and port of a way in: delivery, or nginx in front of it


def many_descriptors() -> None:
    """Let this process, and those that it starts, have as many descriptors as the kernel allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Answer(NamedTuple):
    """One answer of several on a connection."""

    status: int
    head: bytes
    body: bytes


def answers(said: bytes) -> list[Answer]:
    """Return the answers in what was said on a connection; each says its length."""
    found = []
    while said:
        head, _, said = said.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        size = int(length[1]) if length else 0
        found.append(Answer(int(head[9:12]), head, said[:size]))
        said = said[size:]
    return found


def speak(place: Place, *data: bytes, seconds: float = DEADLINE) -> bytes:
    """Return what is said to ``data`` until the other side closes; that it does not within ``seconds`` is an error."""
    with socket.create_connection(place, seconds) as connection:
        with contextlib.suppress(ConnectionError):  # refused before it was all said
            for part in data:
                connection.sendall(part)
        got = []
        with contextlib.suppress(ConnectionError):  # what was not read of us resets the connection behind the answer
            while part := connection.recv(65536):
                got.append(part)
        return b"".join(got)


def refusals(chain: Chain, zone: str = "bigscreen", unit: str = "delivery") -> Counter[str]:
    """Return what delivery counted as refused, by reason; a metric is written every other second."""
    path = chain.run / "metrics" / f"{unit}-{zone}" / f"{unit}-{zone}.prom"
    text = path.read_text() if path.exists() else ""
    found = re.findall(
        r'^headgate_delivery_refusals_total\{reason="([^"]*)",zone="[^"]*"\} ([\d.e+]+)$', text, re.MULTILINE
    )
    return Counter({reason: int(float(count)) for reason, count in found})


def counted(chain: Chain, before: Counter[str], reason: str, times: int = 1, zone: str = "bigscreen") -> None:
    """Wait until ``reason`` was counted so often since ``before``."""
    until(lambda: refusals(chain, zone)[reason] >= before[reason] + times, f"{reason} is counted {times} times")


def gauge(chain: Chain, name: str, zone: str = "bigscreen") -> float:
    """Return a figure of delivery's."""
    text = (chain.run / "metrics" / f"delivery-{zone}" / f"delivery-{zone}.prom").read_text()
    found = re.search(rf'^{name}\{{zone="{zone}"\}} ([\d.e+]+)$', text, re.MULTILINE)
    return float(found[1]) if found else -1.0


def resident(pid: int) -> int:
    """Return the bytes of memory that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


Says = Callable[[Any, str, bytes], None]  # writes to a connection what answers a path, asked with a head


class Stranger:
    """An origin that sends whatever ``says`` writes; notes what it is asked, and with which bodies."""

    def __init__(self, says: Says, port: int = 0) -> None:
        self.asked: list[str] = []
        self.bodies: list[bytes] = []
        told = self

        class Handler(StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(ConnectionError, ValueError):
                    while (head := self._head()) and told._one(self, head, says):
                        pass

            def _head(self) -> bytes:
                lines = []
                while (line := self.rfile.readline(65536)) not in (b"\r\n", b""):
                    lines.append(line)
                return b"".join(lines)

        class Server(ThreadingTCPServer):
            allow_reuse_address = daemon_threads = True
            request_queue_size = 512

        self._server = Server((ORIGIN, port), Handler)
        self.port = int(self._server.server_address[1])
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def _one(self, handler: Any, head: bytes, says: Says) -> bool:
        path = head.split()[1].decode()
        self.asked.append(path)
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if length:
            self.bodies.append(handler.rfile.read(int(length[1])))
        elif re.search(rb"(?i)\r\ntransfer-encoding: *chunked", head):
            body = b""
            while size := int(handler.rfile.readline(), 16):
                body += handler.rfile.read(size)
                handler.rfile.readline()
            handler.rfile.readline()
            self.bodies.append(body)
        says(handler.wfile, path, head)
        handler.wfile.flush()
        return b"close" not in head.lower()

    def stop(self) -> None:
        """Go away."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextlib.contextmanager
def stranger(says: Says, port: int = 0) -> Iterator[Stranger]:
    """Run such an origin."""
    one = Stranger(says, port)
    try:
        yield one
    finally:
        one.stop()


def plain(body: bytes, *fields: str, status: str = "200 OK", length: int | None = None) -> bytes:
    """Return an answer that any lane lets pass; ``length``: as it says, whatever it has."""
    size = len(body) if length is None else length
    lines = [f"HTTP/1.1 {status}", "Content-Type: text/plain", f"Content-Length: {size}", *fields, "", ""]
    return "\r\n".join(lines).encode() + body


def admitting(chain: Chain, origins: dict[str, int], more: str = "") -> Callable[[str], str]:
    """Return the change of a policy that admits origins of plain HTTP by name and port, at the address of the tests' origin."""
    webs = "".join(
        f"  {name}: {{hosts: [{name}.test], address: {ORIGIN}, port: {port}, methods: [GET, HEAD, POST]}}\n"
        for name, port in origins.items()
    )
    ways = "".join(
        f"  web-{name}: {{zone: culture, run: fetch, to: [{ORIGIN}], port: tcp/{port}}}\n"
        for name, port in origins.items()
    )

    def change(text: str) -> str:
        text = text.replace("largest: 4 MiB", "largest: 64 MiB").replace("services:\n", f"web:\n{webs}services:\n")
        lane = "  portals: {from: culture, to: bigscreen, kind: web}\n"
        return text.replace("lanes:\n", f"{ways}lanes:\n{lane}") + more

    return change
