"""An origin that holds the rest of an object back until it is told to go on: what streams is proved by order, not by time."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.server.content.conftest import DEADLINE, ORIGIN, Chain


class Held:
    """Serves the origin's folder; of the file ``name`` only ``upto`` bytes until ``release`` is called."""

    def __init__(self, folder: Path, name: str, upto: int) -> None:
        self.folder, self.name, self.upto = folder, name, upto
        self.reached, self.released = threading.Event(), threading.Event()
        self.asked = 0  # times
        self.overtaken = False  # whether the rest went out without being released

    def release(self) -> None:
        """Let the rest go."""
        self.released.set()

    def body(self, path: str, first: int) -> Iterator[bytes]:
        """Yield the file's bytes from ``first`` on, waiting where they are held."""
        data = (self.folder / path.lstrip("/")).read_bytes()
        if not path.endswith(self.name):
            yield data[first:]
            return
        self.asked += 1
        yield data[first : self.upto]
        self.reached.set()
        if self.released.wait(2 * DEADLINE):
            yield data[max(first, self.upto) :]
        else:
            self.overtaken = True


@contextmanager
def holding(chain: Chain, name: str, upto: int) -> Iterator[Held]:
    """Put such an origin in the place of the chain's own."""
    held = Held(chain.origin.folder, name, upto)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            place = held.folder / self.path.lstrip("/")
            if not place.is_file():
                self.send_error(404)
                return
            size = place.stat().st_size
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            first = int(asked[1]) if asked else 0
            self.send_response(206 if asked else 200)
            if asked:
                self.send_header("Content-Range", f"bytes {first}-{size - 1}/{size}")
            self.send_header("Content-Length", str(size - first))
            self.end_headers()
            for part in held.body(self.path, first):
                self.wfile.write(part)
                self.wfile.flush()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass  # the box left

    chain.origin.stop()
    server = Server((ORIGIN, chain.origin.port), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield held
    finally:
        held.release()
        server.shutdown()
        thread.join()
        server.server_close()
        chain.origin.start()
