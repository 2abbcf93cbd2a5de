"""Headless Chromium that is asked over its DevTools protocol: what a page shows after its scripts ran, and what went wrong in it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

ARGUMENTS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-port=0",
)  # fmt: skip
DEADLINE = 40.0  # seconds for anything that is waited for


class Page:
    """One page; ``faults`` holds what its console said of errors, refusals by the security policy among them."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._number = socket, 0
        self.faults: list[str] = []

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask for ``method`` of the protocol and return its result."""
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        async with asyncio.timeout(DEADLINE):
            while True:
                told = json.loads(await self._socket.receive_str())
                if told.get("method") == "Log.entryAdded" and told["params"]["entry"]["level"] == "error":
                    self.faults.append(told["params"]["entry"]["text"])
                elif told.get("method") == "Runtime.exceptionThrown":
                    self.faults.append(str(told["params"]["exceptionDetails"]))
                elif told.get("id") == self._number:
                    assert "error" not in told, told
                    return dict(told["result"])

    async def ask(self, expression: str) -> Any:
        """Return the value of an expression in the page."""
        told = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    async def until(self, expression: str) -> Any:
        """Wait until an expression in the page is true, and return its value."""
        end = time.monotonic() + DEADLINE
        while not (value := await self.ask(expression)):
            shown = await self.ask("document.body?.innerText")
            assert time.monotonic() < end, f"waited in vain for {expression}\n{shown}\n{self.faults}"
            await asyncio.sleep(0.05)
        return value

    async def shows(self, text: str) -> None:
        """Wait until ``text`` can be read in the page."""
        await self.until(f"document.body?.innerText.includes({json.dumps(text)})")

    async def open(self, url: str) -> None:
        """Go to ``url`` and wait until it is there."""
        await self.call("Page.navigate", url=url)
        await self.until(f"document.readyState === 'complete' && location.href === {json.dumps(url)}")

    async def width(self, pixels: int) -> None:
        """Make the window as wide as a phone's or a desk's."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=pixels, height=800, deviceScaleFactor=1, mobile=pixels < 600
        )


@contextlib.contextmanager
def browsing(profile: Path) -> Iterator[int]:
    """Yield the port of a browser of its own, whose only page is empty."""
    if shutil.which("chromium") is None:
        pytest.skip("SKIPPED LOUDLY: chromium is not installed")
    profile.mkdir()
    argv = ["chromium", *ARGUMENTS, f"--user-data-dir={profile}", "about:blank"]
    with (profile / "browser.log").open("wb") as log:
        browser = subprocess.Popen(
            argv, stdout=log, stderr=log, start_new_session=True, env={**os.environ, "HOME": str(profile)}
        )
    try:
        yield _port(profile / "DevToolsActivePort", browser)
    finally:
        os.killpg(browser.pid, signal.SIGKILL)  # its own group: the browser and its helpers
        browser.wait(20)


@contextlib.asynccontextmanager
async def page_of(port: int) -> AsyncIterator[Page]:
    """Yield the page of the browser at ``port``."""
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
            targets = await answer.json(content_type=None)
        (target, *_) = [one for one in targets if one["type"] == "page"]
        async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
            page = Page(socket)
            for domain in ("Page", "Runtime", "Log"):
                await page.call(f"{domain}.enable")
            yield page


def _port(file: Path, browser: subprocess.Popen[bytes]) -> int:
    end = time.monotonic() + DEADLINE
    while True:
        if file.exists() and len(lines := file.read_text().split()) == 2:
            return int(lines[0])
        assert browser.poll() is None, (file.parent / "browser.log").read_text()
        assert time.monotonic() < end, "the browser tells no port"
        time.sleep(0.02)
