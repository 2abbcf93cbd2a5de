"""Phones: hls.js, shaka-player and dash.js in headless Chromium, each with a profile of its own."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ADDRESS = "127.30.0.9"  # where the page comes from: a library's site, another address than the box's
SCRIPTS = {
    "hls.js": "hls.js/dist/hls.min.js",
    "shaka.js": "shaka-player/dist/shaka-player.compiled.js",
    "dash.js": "dashjs/dist/modern/umd/dash.all.min.js",
}
ARGUMENTS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--mute-audio",
    "--disable-background-timer-throttling", "--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows",
    "--autoplay-policy=no-user-gesture-required",
)  # fmt: skip


def scripts() -> Path:
    """Return the folder of the players, which npm fetches once for each lock file."""
    lock = (HERE / "package-lock.json").read_bytes()
    folder = ROOT / ".cache" / "players" / hashlib.sha256(lock).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # several test processes begin at once
        if not (folder / "complete").exists():
            for name in ("package.json", "package-lock.json"):
                (folder / name).write_bytes((HERE / name).read_bytes())
            argv = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
            assert done.returncode == 0, done.stderr
            (folder / "complete").touch()
    return folder / "node_modules"


class Site:
    """The site whose page plays; ``with`` it is there, and keeps what each phone told last."""

    def __init__(self) -> None:
        self.told: dict[str, dict[str, Any]] = {}
        self._scripts = scripts()
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                name = self.path.partition("?")[0].lstrip("/")
                if name in SCRIPTS:
                    self._answer((site._scripts / SCRIPTS[name]).read_bytes(), "text/javascript")
                elif name == "page.js":
                    self._answer((HERE / name).read_bytes(), "text/javascript")
                else:
                    self._answer((HERE / "page.html").read_bytes(), "text/html")

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                site.told[self.path.partition("?")[2]] = json.loads(body)
                self._answer(b"", "text/plain")

            def _answer(self, body: bytes, kind: str) -> None:
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(ConnectionError):
                    self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                pass  # a phone that was switched off

        self._server = Server((ADDRESS, 0), Handler)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def page(self, key: str, player: str, url: str, options: dict[str, Any]) -> str:
        """Return the address of the page that plays ``url`` and tells under ``key``."""
        told = {"key": key, "player": player, "url": url, "options": json.dumps(options)}
        return f"http://{ADDRESS}:{self._server.server_address[1]}/?{urlencode(told)}"


class Phone:
    """One player in a browser of its own."""

    def __init__(self, site: Site, key: str) -> None:
        self._site, self._key = site, key

    @property
    def told(self) -> dict[str, Any]:
        """What the page told last: time, frames, stalls, ended, errors, heights."""
        return self._site.told.get(self._key, {"time": 0, "frames": 0, "stalls": 0, "ended": False, "errors": []})

    def reached(self, seconds: float) -> bool:
        """Return whether it played up to ``seconds``, or failed."""
        return bool(self.told["time"] >= seconds or self.told["ended"] or self.told["errors"])


@contextlib.contextmanager
def playing(site: Site, player: str, url: str, **options: Any) -> Iterator[Phone]:
    """Play ``url`` with ``player`` (hls, shaka, dash) and its options."""
    with tempfile.TemporaryDirectory(prefix="phone-", ignore_cleanup_errors=True) as profile:
        key = Path(profile).name
        argv = ["chromium", *ARGUMENTS, f"--user-data-dir={profile}", site.page(key, player, url, options)]
        browser = subprocess.Popen(
            argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, env={**os.environ, "HOME": profile}
        )  # fmt: skip
        try:
            yield Phone(site, key)
        finally:
            os.killpg(browser.pid, signal.SIGKILL)  # its own group: the browser and its helpers
            browser.wait(20)
