"""Listings on their way to the centre: what waits is sent, sent again with a new line, and the centre's refusal is handed back."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from appliance.runtime import http
from appliance.runtime.errors import Corrupt
from appliance.telemetry import listings
from appliance.telemetry.listings import Carrier, NotTaken

FILE = "1.library.4-0.json"
KEYS = st.sampled_from(["file", "reason", "error"])
TOLD = st.dictionaries(KEYS, st.text(max_size=20) | st.integers(), max_size=4)


@given(st.binary(max_size=200) | TOLD.map(lambda told: json.dumps(told).encode()))
def test_any_bytes_are_a_refusal_or_damaged(data: bytes) -> None:
    """Any bytes -> what the centre says of a file, or ``Corrupt``."""
    try:
        told = listings.parse(data)
    except Corrupt:
        return
    assert isinstance(told, NotTaken)


async def test_what_waits_is_sent_once_a_line_and_refusals_come_back(tmp_path: Path) -> None:
    sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    refused: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    never = asyncio.Event()

    async def waiting(request: web.Request) -> web.Response:
        if (await request.json())["after"] == 0:
            await never.wait()
        return web.json_response({"number": 0, "files": [FILE]})

    async def listing(request: web.Request) -> web.Response:
        told = await request.json()
        if "reason" in told:
            refused.put_nowait(told)
            return web.Response(status=204)
        return web.json_response({"data": "{}"})

    app = http.application(1000)
    app.router.add_post("/listings", waiting)
    app.router.add_post("/listing", listing)
    socket = tmp_path / "exchange.sock"
    carrier = Carrier(socket, lambda payload: sent.put_nowait(json.loads(payload)))
    async with http.serving(app, unix=[(socket, 0o600)]), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(carrier.run())
        async with asyncio.timeout(10):
            assert await sent.get() == {"file": FILE, "data": base64.b64encode(b"{}").decode()}
            carrier.line()
            assert (await sent.get())["file"] == FILE
            assert sent.empty()
            carrier.take(NotTaken(FILE, "older-metadata", "version 2 is here"))
            assert await refused.get() == {"file": FILE, "reason": "older-metadata", "error": "version 2 is here"}
        never.set()
        running.cancel()
