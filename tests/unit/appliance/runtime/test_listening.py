"""One address at a time: moved when the policy moves it, left when the daemon ends."""

import asyncio
import socket

from aiohttp import ClientConnectorError, ClientSession, web

from appliance.runtime import http
from appliance.runtime.listening import Listening
from appliance.runtime.service import Service


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def application() -> web.Application:
    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = http.application()
    app.router.add_get("/", hello)
    return app


async def answer(session: ClientSession, port: int) -> str:
    try:
        async with session.get(f"http://127.0.0.1:{port}/") as response:
            return await response.text()
    except ClientConnectorError:
        return "nobody"


async def test_it_serves_where_it_was_last_told(monkeypatch):
    """A move ends the old place, the same place again changes nothing, and a stop ends all."""
    told: asyncio.Queue[str] = asyncio.Queue()
    one, two = free_port(), free_port()
    async with asyncio.TaskGroup() as tasks, ClientSession() as session:
        service = Service(tasks)
        monkeypatch.setattr(service, "ready", told.put_nowait)
        listening = Listening(("127.0.0.1", one))
        serving = tasks.create_task(listening.serve(service, application, "serving films"))
        assert await told.get() == f"serving films at 127.0.0.1 port {one}"
        assert await answer(session, one) == "hello"
        listening.move(("127.0.0.1", one))
        await asyncio.sleep(0)
        assert await answer(session, one) == "hello"
        listening.move(("127.0.0.1", two))
        assert await told.get() == f"serving films at 127.0.0.1 port {two}"
        assert [await answer(session, port) for port in (one, two)] == ["nobody", "hello"]
        service.stop()
        await serving
        assert await answer(session, two) == "nobody"
        assert told.empty()
