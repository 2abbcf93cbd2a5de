"""Screens and an origin with delivery's cache between them: who asks, who waits, what is kept, what a bad origin can do."""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.server.ports import free_port
from tests.server.web.direct import cache

pytestmark = pytest.mark.server
HOST = "127.0.0.3"
ROOT = Path(__file__).parents[3]
PLENTY = 30  # seconds


class Origin:
    """Answers by ``says``: raw bytes by path; a part after the first waits until ``go`` is set."""

    def __init__(self) -> None:
        self.says: dict[str, list[bytes]] = {}
        self.asked: list[tuple[str, str]] = []
        self.go = asyncio.Event()
        self.port = free_port()

    async def serve(self, reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            path = head.split()[1]
            self.asked.append((path, head))
            for number, part in enumerate(self.says.get(path, [b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"])):
                if number:
                    await self.go.wait()
                writer.write(part)
                await writer.drain()
        writer.close()

    def times(self, path: str) -> int:
        return sum(asked == path for asked, _ in self.asked)


def whole(body: bytes, *fields: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *fields]
    return "\r\n".join([*lines, "", ""]).encode() + body


@contextlib.asynccontextmanager
async def serving(folder):
    origin, port = Origin(), free_port(HOST)
    server = await asyncio.start_server(origin.serve, "127.0.0.1", origin.port)
    async with (
        server,
        cache(folder, f"http://127.0.0.1:{origin.port}", HOST, port) as cached,
        aiohttp.ClientSession(f"http://{HOST}:{port}") as screen,
    ):
        yield origin, screen, cached


async def get(screen, path, **headers):
    async with screen.get(path, headers=headers) as answer:
        return answer.status, await answer.read(), answer.headers["Cache-Status"]


async def until(condition):
    async with asyncio.timeout(PLENTY):
        while not condition():  # noqa: ASYNC110 (what is waited for is no event)
            await asyncio.sleep(0.01)


async def test_a_crowd_is_one_fetch_and_each_gets_bytes_as_they_come(tmp_path):
    async with serving(tmp_path) as (origin, screen, _):
        origin.says["/film"] = [whole(b"a" * 10, "Cache-Control: max-age=60").replace(b"h: 10", b"h: 20"), b"b" * 10]
        async with contextlib.AsyncExitStack() as stack, asyncio.timeout(PLENTY):
            answers = [await stack.enter_async_context(screen.get("/film")) for _ in range(20)]
            assert [await answer.content.readexactly(10) for answer in answers] == [
                b"a" * 10
            ] * 20  # nothing more came yet
            origin.go.set()
            assert [await answer.read() for answer in answers] == [b"b" * 10] * 20
            told = [answer.headers["Cache-Status"] for answer in answers]
        assert origin.times("/film") == 1
        assert sum("collapsed" in one for one in told) == 19
        assert (await get(screen, "/film"))[2].startswith("headgate;hit")


async def test_a_fill_goes_on_when_the_first_screen_leaves(tmp_path):
    async with serving(tmp_path) as (origin, screen, cached):
        origin.says["/film"] = [whole(b"a" * 10, "Cache-Control: max-age=60").replace(b"h: 10", b"h: 20"), b"b" * 10]
        answer = await screen.get("/film")
        await answer.content.readexactly(10)
        answer.close()
        origin.go.set()
        await until(lambda: len(cached._kept.shelf) == 1)
        assert (await get(screen, "/film"))[1] == b"a" * 10 + b"b" * 10
        assert origin.times("/film") == 1


@pytest.mark.parametrize("framing", ["Content-Length: 20", "Transfer-Encoding: chunked"])
async def test_a_truncated_body_is_broken_off_and_never_kept(tmp_path, framing):
    async with serving(tmp_path) as (origin, screen, cached):
        body = b"a" * 10 if "20" in framing else b"a\r\n" + b"a" * 10 + b"\r\n"
        head = f"HTTP/1.1 200 OK\r\n{framing}\r\nCache-Control: max-age=60\r\n\r\n".encode()
        origin.says["/film"] = [head + body]
        for times in (1, 2):
            with pytest.raises(aiohttp.ClientError):
                await get(screen, "/film")
            assert origin.times("/film") == times
        assert len(cached._kept.shelf) == 0


async def test_bytes_behind_a_whole_answer_are_nobodys(tmp_path):
    async with serving(tmp_path) as (origin, screen, _):
        origin.says["/a"] = [whole(b"abc", "Cache-Control: max-age=60") + b"HTTP/1.1 200 OK\r\n\r\nsmuggled"]
        assert (await get(screen, "/a"))[:2] == (200, b"abc")
        assert (await get(screen, "/a"))[1] == b"abc"
        assert origin.times("/a") == 1


async def test_a_flood_of_fields_is_refused(tmp_path):
    async with serving(tmp_path) as (origin, screen, cached):
        origin.says["/a"] = [whole(b"abc", *(f"X-{number}: 1" for number in range(500)))]
        status, body, _ = await get(screen, "/a")
        assert status >= 502
        assert b"abc" not in body
        assert len(cached._kept.shelf) == 0


async def test_stale_answers_come_at_once_while_they_are_asked_for_anew(tmp_path):
    async with serving(tmp_path) as (origin, screen, _):
        origin.says["/a"] = [whole(b"old", "Cache-Control: max-age=0, stale-while-revalidate=600")]
        await get(screen, "/a")
        origin.says["/a"] = [b"HTTP/1.1 ", whole(b"new", "Cache-Control: max-age=600").removeprefix(b"HTTP/1.1 ")]
        for _ in range(3):  # the origin has not said its first word
            assert (await get(screen, "/a"))[1] == b"old"
        await until(lambda: origin.times("/a") == 2)
        origin.go.set()

        async def refreshed() -> bool:
            return (await get(screen, "/a"))[1] == b"new"

        async with asyncio.timeout(PLENTY):
            while not await refreshed():  # noqa: ASYNC110 (the same)
                await asyncio.sleep(0.01)
        assert origin.times("/a") == 2


async def test_stale_answers_help_out_every_time_while_the_origin_fails(tmp_path):
    async with serving(tmp_path) as (origin, screen, _):
        origin.says["/a"] = [whole(b"old", "Cache-Control: max-age=0, stale-if-error=600")]
        origin.says["/b"] = [whole(b"old", "Cache-Control: max-age=0, must-revalidate", 'ETag: "1"')]
        await get(screen, "/a")
        await get(screen, "/b")
        for bad in (whole(b"no", status="503 No"), b""):
            origin.says["/a"] = origin.says["/b"] = [bad]
            assert [(await get(screen, "/a"))[:2] for _ in range(3)] == [(200, b"old")] * 3
            assert [(await get(screen, "/b"))[0] >= 500 for _ in range(2)] == [True, True]


async def test_purges_by_tag_address_and_prefix(tmp_path):
    async with serving(tmp_path) as (origin, screen, cached):
        for path in ("/n/1", "/n/2", "/m", "/x"):
            origin.says[path] = [whole(path.encode(), "Cache-Control: max-age=600", f"Cache-Tag: t{path}, all")]
            await get(screen, path)
        host = HOST
        assert await cached.purge(tags=["t/m"]) == 1
        assert await cached.purge(url=f"http://{host}/x") == 1
        assert await cached.purge(prefix=f"http://{host}/n/") == 2
        assert await cached.purge(tags=["all"]) == 0
        for path in ("/n/1", "/m", "/x"):
            await get(screen, path)
            assert origin.times(path) == 2
        assert await cached.purge(tags=["all"], soft=True) == 3
        origin.says["/m"] = [b""]
        assert (await get(screen, "/m"))[:2] == (200, b"/m")  # stale, and better than nothing


async def test_parts_are_kept_used_and_completed(tmp_path):
    async with serving(tmp_path) as (origin, screen, _):
        fields = ("Cache-Control: max-age=600", 'ETag: "1"')
        origin.says["/a"] = [whole(b"01234", *fields, "Content-Range: bytes 0-4/10", status="206 Part")]
        assert (await get(screen, "/a", Range="bytes=0-4"))[:2] == (206, b"01234")
        assert (await get(screen, "/a", Range="bytes=1-3"))[:2] == (206, b"123")
        assert origin.times("/a") == 1
        origin.says["/a"] = [whole(b"56789", *fields, "Content-Range: bytes 5-9/10", status="206 Part")]
        assert (await get(screen, "/a"))[:2] == (200, b"0123456789")
        asked = origin.asked[-1][1].lower()
        assert "range: bytes=5-" in asked
        assert 'if-range: "1"' in asked
        assert (await get(screen, "/a", Range="bytes=3-6, 9-9"))[0] == 206
        assert origin.times("/a") == 2


async def test_a_part_that_comes_is_nobody_s_who_asked_for_all(tmp_path):
    """It is another version's, and no rest of what is stored: who asks while it comes is refused as who asked before."""
    async with serving(tmp_path) as (origin, screen, _), asyncio.timeout(PLENTY):
        kept = "Cache-Control: max-age=600"
        origin.says["/a"] = [whole(b"01234", kept, 'ETag: "1"', "Content-Range: bytes 0-4/10", status="206 Part")]
        assert (await get(screen, "/a", Range="bytes=0-4"))[:2] == (206, b"01234")
        rest = whole(b"XXXXX", kept, 'ETag: "2"', "Content-Range: bytes 5-9/10", status="206 Part")
        origin.says["/a"] = [rest[:-2], rest[-2:]]
        for _ in range(2):
            async with screen.get("/a") as answer:
                assert (answer.status, (await answer.json())["reason"]) == (502, "unexpected-answer")
        origin.go.set()


async def test_what_was_whole_is_there_after_kill_9_and_what_was_not_is_asked_for_again(tmp_path):
    origin, port = Origin(), free_port(HOST)
    server = await asyncio.start_server(origin.serve, "127.0.0.1", origin.port)
    origin.says["/whole"] = [whole(b"whole", "Cache-Control: max-age=600")]
    origin.says["/half"] = [whole(b"a" * 10, "Cache-Control: max-age=600").replace(b"h: 10", b"h: 20"), b"b" * 10]
    words = ["-m", "tests.server.web.direct", str(tmp_path / "web"), f"http://127.0.0.1:{origin.port}", HOST, str(port)]

    async def start():
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        process = await asyncio.create_subprocess_exec(
            sys.executable, *words, env=environment, stdout=asyncio.subprocess.PIPE, cwd=ROOT
        )
        async with asyncio.timeout(PLENTY):
            assert await process.stdout.readline() == b"ready\n"
        return process

    async with server:
        process = await start()
        async with aiohttp.ClientSession(f"http://{HOST}:{port}") as screen:
            await get(screen, "/whole")
            half = await screen.get("/half")
            await half.content.readexactly(10)
            rows = tmp_path / "web" / "index.db-wal"
            await until(lambda: b"/whole" in rows.read_bytes())  # its row is written behind
            process.send_signal(signal.SIGKILL)
            await process.wait()
        process = await start()
        try:
            async with aiohttp.ClientSession(f"http://{HOST}:{port}") as screen:
                assert (await get(screen, "/whole"))[1] == b"whole"
                assert origin.times("/whole") == 1
                origin.go.set()
                assert (await get(screen, "/half"))[1] == b"a" * 10 + b"b" * 10
                assert origin.times("/half") == 2
        finally:
            process.kill()
            await process.wait()


async def test_an_unsafe_request_makes_what_is_kept_stale_also_where_it_names_nonsense(tmp_path):
    async with serving(tmp_path) as (origin, screen, _):
        origin.says["/a"] = [whole(b"one", "Cache-Control: max-age=600")]
        origin.says["/do"] = [whole(b"", "Location: /a", "Content-Location: http://[none")]
        await get(screen, "/a")
        async with screen.delete("/do") as answer:
            assert answer.status == 200
        await get(screen, "/a")
        assert origin.times("/a") == 2


async def test_a_screen_that_reads_nothing_holds_up_neither_the_fill_nor_others(tmp_path):
    async with serving(tmp_path) as (origin, screen, cached):
        body = os.urandom(16 << 20)
        origin.says["/big"] = [whole(body, "Cache-Control: max-age=600")]
        _, writer = await asyncio.open_connection(HOST, screen._base_url.port, limit=1024)
        writer.write(f"GET /big HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        await until(lambda: len(cached._kept.shelf) == 1)
        assert (await get(screen, "/big"))[1] == body
        assert origin.times("/big") == 1
        writer.transport.abort()
