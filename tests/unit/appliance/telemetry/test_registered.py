"""The controller's word on registrations: what it says, and that it reaches the exchange."""

from __future__ import annotations

import asyncio
import json

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from appliance.runtime import http
from appliance.runtime.errors import Corrupt
from appliance.telemetry import registered
from appliance.telemetry.registered import Messenger, NotRegistered, parse

DIGEST = "5" * 64


def told(**changed):
    whole = {"statement": DIGEST, "reason": "", "error": "", "changed": 1, "unchanged": 0, "faults": []}
    return json.dumps(whole | changed).encode()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (told(), None),
        (told(reason="not-admitted"), NotRegistered(DIGEST, "not-admitted", ())),
        (told(reason="not-signed", faults=[{"index": -1}]), NotRegistered(DIGEST, "not-signed", ())),
        (told(faults=[{"index": 2, "reason": "allotted"}, {"index": 0}]), NotRegistered(DIGEST, "refused", (2, 0))),
        (told(statement="", reason="corrupt"), None),
    ],
)
def test_what_was_not_taken(data, expected):
    """All of it, or the records that have faults; nothing to tell where all was taken."""
    assert parse(data) == expected


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", told(statement=1), told(faults=1), told(reason=None), b" " * (registered.LARGEST + 1)]
)
def test_what_is_no_such_word(data):
    """Anything else is passed over by name."""
    with pytest.raises(Corrupt):
        parse(data)


@given(st.binary())
def test_any_bytes(data):
    """Nothing else is raised."""
    try:
        parse(data)
    except Corrupt:
        return


async def test_the_exchange_hears_it_once_it_is_there(tmp_path, monkeypatch):
    """An exchange that is away, or busy, is asked again; what it does not know any more holds nothing back."""
    monkeypatch.setattr(registered, "AGAIN", 0.01)
    heard, answers = [], [503, 404, 204]
    done = asyncio.Event()

    async def hear(request):
        heard.append(await request.json())
        status = answers[len(heard) - 1]
        if status == 204:
            done.set()
        return web.Response(status=204) if status == 204 else http.answer(status, "busy", "later")

    app = web.Application()
    app.router.add_post("/not-registered", hear)
    messenger = Messenger(tmp_path / "exchange.sock")
    messenger.take(NotRegistered(DIGEST, "x", (1,)))
    messenger.take(None)
    messenger.take(NotRegistered("6" * 64, "x", ()))
    running = asyncio.get_running_loop().create_task(messenger.run())
    try:
        async with http.serving(app, unix=[(tmp_path / "exchange.sock", 0o600)]):
            await asyncio.wait_for(done.wait(), 10)
    finally:
        running.cancel()
    assert [one["statement"][0] for one in heard] == ["5", "5", "6"]
    assert heard[0]["places"] == [1]
