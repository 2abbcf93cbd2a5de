"""What the resolver is measured beside: an aiohttp server that answers a constant, and one that asks PostgreSQL.

python -m tests.bench._peers constant PORT BYTES
python -m tests.bench._peers postgresql PORT SOCKET-FOLDER
"""

import asyncio
import sys

import psycopg
from aiohttp import web

CONNECTIONS = 8  # of the server to the database
ONE = "SELECT record FROM identifiers WHERE code = %s"
MANY = "SELECT code, record FROM identifiers WHERE code = ANY(%s)"


async def serve(app: web.Application, port: int) -> None:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


async def constant(port: int, size: int) -> None:
    body = b"x" * size

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_get("/id/{code:.+}", answer)
    await serve(app, port)


async def postgresql(port: int, folder: str) -> None:
    free: asyncio.Queue[psycopg.AsyncConnection] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        connection = await psycopg.AsyncConnection.connect(
            f"host={folder} dbname=postgres user=headgate", autocommit=True
        )
        connection.prepare_threshold = 0
        free.put_nowait(connection)

    async def ask(query: str, wanted: object) -> list[tuple[str, ...]]:
        connection = await free.get()
        try:
            return await (await connection.execute(query, (wanted,), prepare=True)).fetchall()
        finally:
            free.put_nowait(connection)

    async def one(request: web.Request) -> web.Response:
        found = await ask(ONE, request.match_info["code"])
        if not found:
            return web.Response(status=404)
        return web.Response(text=found[0][0], content_type="application/json")

    async def batch(request: web.Request) -> web.Response:
        asked = (await request.text()).split()
        found = dict(await ask(MANY, asked))
        return web.Response(text="".join(f"{found.get(code, 'null')}\n" for code in asked))

    app = web.Application(client_max_size=8 << 20)
    app.router.add_get("/id/{code:.+}", one)
    app.router.add_post("/batch", batch)
    await serve(app, port)


if __name__ == "__main__":
    kind, port, rest = sys.argv[1:]
    asyncio.run(constant(int(port), int(rest)) if kind == "constant" else postgresql(int(port), rest))
