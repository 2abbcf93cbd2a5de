"""HTTP for an institution's network: offer a release, send what is missing with resume (tus 1.0.0), ask how it stands; register codes.

``PUT /releases/CODE/listing`` (what the body signed, where ``trust:`` asks for it), ``POST /releases/CODE`` (body: release.json) ->
``GET /releases/CODE[?wait=SECONDS]``; ``HEAD`` and ``PATCH`` of the ``upload`` that each missing file has; ``DELETE`` of either.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from email.utils import formatdate
from typing import Any

from aiohttp import web

from appliance.runtime import http
from appliance.runtime.errors import Refused
from gateway.publish import tus
from gateway.publish.desk import IDLE, Desk
from gateway.publish.uploads import UNSETTLED, Part, Upload
from gateway.release import paths, signed
from gateway.release.trust import bundle, layout

MOST_SENDING = 64  # requests that send bytes at once
SILENT = 30.0  # seconds without a byte until a sender is cut off
SLOWEST = 1024  # bytes a second that a sender reaches on average, after the first minute
MOST_RECORDS = 64  # of one registration: they go to the centre in one piece
MOST_CODES = 1000  # handed out at once
REGISTRY = "/api/registry"  # as at the controller, so that the same commands work at both
LONGEST_WAIT = 30.0  # seconds that an answer waits for news


class Server:
    """What answers in the institution's network."""

    def __init__(self, site: str, desk: Desk) -> None:
        self.site, self._desk = site, desk
        self._sending = 0

    def application(self) -> web.Application:
        """Return it."""
        app = http.application(signed.LONGEST)
        add = app.router.add_route
        add("GET", "/", self._health)
        add("POST", "/releases/{code}", self._offer)
        add("GET", "/releases/{code}", self._stands)
        add("DELETE", "/releases/{code}", self._cancel)
        add("GET", "/releases/{code}/listing", self._base)
        add("PUT", "/releases/{code}/listing", self._listing)
        add("POST", f"{REGISTRY}/registrations", self._register)
        add("GET", f"{REGISTRY}/next", self._next)
        add("OPTIONS", "/releases/{code}/files", self._options)
        add("POST", "/releases/{code}/files", self._create)
        add("OPTIONS", "/releases/{code}/files/{digest}", self._options)
        add("HEAD", "/releases/{code}/files/{digest}", self._offset)
        add("PATCH", "/releases/{code}/files/{digest}", self._append)
        add("DELETE", "/releases/{code}/files/{digest}", self._discard)
        return app

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"site": self.site, "takes": "releases, registrations"})

    async def _offer(self, request: web.Request) -> web.Response:
        code = paths.code_of(request.match_info["code"])
        if (request.content_length or 0) > signed.LONGEST:
            raise Refused("too-large", f"an envelope has at most {signed.LONGEST} bytes", 413)
        upload = await self._desk.begin(code, await request.read())
        return web.json_response(upload.told(), status=200 if upload.accepted else 201)

    async def _stands(self, request: web.Request) -> web.Response:
        code = paths.code_of(request.match_info["code"])
        text = request.query.get("wait", "0")
        if not (text.isascii() and text.isdigit() and len(text) <= 4):
            raise Refused("bad-request", "'wait' is a number of seconds", 400)
        told, deadline = self._desk.told(code), time.monotonic() + min(float(text), LONGEST_WAIT)
        first = told
        while told == first and told["state"] in UNSETTLED and time.monotonic() < deadline:
            await self._desk.moved(deadline - time.monotonic())
            told = self._desk.told(code)
        return web.json_response(told)

    async def _base(self, request: web.Request) -> web.Response:
        """Tell a body what it signs its listing over: its own newest role and bin."""
        body = request.query.get("body", "")
        if layout.fault_in_body(body):
            raise Refused("bad-request", "'body' names the body whose listing it is", 400)
        return web.json_response(await self._desk.base(paths.code_of(request.match_info["code"]), body))

    async def _listing(self, request: web.Request) -> web.Response:
        code, data = paths.code_of(request.match_info["code"]), bytearray()
        async for piece in _pieces(request):
            data += piece
            if len(data) > bundle.LONGEST:
                raise Refused("too-large", f"a listing has at most {bundle.LONGEST} bytes", 413)
        await self._desk.hand_in(code, bytes(data))
        return web.Response(status=204)

    async def _register(self, request: web.Request) -> web.Response:
        """Take what ``headgate id register`` signs, as the registry at the centre does: the statement, then a record a line."""
        data = await request.read()
        lines = [line.decode(errors="replace") for line in data.split(b"\n") if line]
        if not 2 <= len(lines) <= 1 + MOST_RECORDS:
            raise Refused(
                "bad-request", f"a registration here is a statement and 1 to {MOST_RECORDS} records, a line each", 422
            )
        if request.query.get("dry", "0") == "1":
            raise Refused("bad-request", "a box registers, or does not; only the centre can try", 400)
        told = await self._desk.register(lines[0], lines[1:])
        return web.json_response({**told, "changed": len(lines) - 1, "unchanged": 0}, status=202)

    async def _next(self, request: web.Request) -> web.Response:
        """Hand out the next free codes of a body's blocks at this box."""
        count, body = request.query.get("count", "1"), request.query.get("body", "")
        if not (count.isascii() and count.isdigit() and len(count) <= 4 and 1 <= int(count) <= MOST_CODES):
            raise Refused("bad-request", f"'count' is a number, at most {MOST_CODES}", 400)
        if layout.fault_in_body(body):
            raise Refused("bad-request", "'body' names the body whose codes these are", 400)
        return web.json_response(await self._desk.next_codes(body, int(count)))

    async def _cancel(self, request: web.Request) -> web.Response:
        await self._desk.cancel(paths.code_of(request.match_info["code"]))
        return web.Response(status=204)

    async def _options(self, _: web.Request) -> web.Response:
        return web.Response(status=204, headers=tus.OFFERS)

    async def _create(self, request: web.Request) -> web.Response:
        """A tus client's creation: the manifest has created it already, so this only finds the file by its name."""
        tus.agree(request.headers)
        upload = self._desk.find(paths.code_of(request.match_info["code"]))
        size, told = tus.number(request.headers, "Upload-Length"), tus.metadata(request.headers)
        file = upload.release.files.get(told.get("filename", told.get("path", "")))
        if file is None:
            raise Refused("unknown-path", "the release names no file of this 'filename'", 404)
        if file.size != size:
            raise Refused("too-large", f"by the manifest this file has {file.size} bytes", 413)
        part = upload.parts.get(file.sha256)
        if part is None:
            raise Refused("unknown-path", "the box has this file already", 409)
        where = f"/releases/{upload.release.code}/files/{part.sha256}"
        return web.Response(status=201, headers={**self._about(part), "Location": where})

    async def _offset(self, request: web.Request) -> web.Response:
        tus.agree(request.headers)
        _, part = self._part(request)
        return web.Response(headers={**self._about(part), "Upload-Length": str(part.size), "Cache-Control": "no-store"})

    async def _append(self, request: web.Request) -> web.Response:
        offset = tus.append(request.headers)
        upload, part = self._part(request)
        if self._sending >= MOST_SENDING:
            raise Refused("busy", f"{MOST_SENDING} senders are sending already: ask again", 503)
        self._sending += 1
        try:
            await self._desk.write(upload, part, offset, request.content_length, _pieces(request))
        finally:
            self._sending -= 1
        return web.Response(status=204, headers=self._about(part))

    async def _discard(self, request: web.Request) -> web.Response:
        tus.agree(request.headers)
        await self._desk.drop_part(*self._part(request))
        return web.Response(status=204, headers={"Tus-Resumable": tus.VERSION})

    def _part(self, request: web.Request) -> tuple[Upload, Part]:
        upload = self._desk.find(paths.code_of(request.match_info["code"]))
        part = upload.parts.get(request.match_info["digest"])
        if part is None:
            raise Refused("unknown-path", "no such file of this release is wanted", 404)
        return upload, part

    def _about(self, part: Part) -> dict[str, Any]:
        return {
            "Tus-Resumable": tus.VERSION,
            "Upload-Offset": str(part.offset),
            "Upload-Expires": formatdate(time.time() + IDLE, usegmt=True),
        }


async def _pieces(request: web.Request) -> AsyncIterator[bytes]:
    """Yield the body as it comes; who is silent, or slower than anybody need be, is cut off and may go on later."""
    began, came = time.monotonic(), 0
    while True:
        try:
            async with asyncio.timeout(SILENT):
                piece = await request.content.readany()
        except TimeoutError as error:
            raise Refused("too-slow", f"nothing came for {SILENT:.0f} seconds", 408) from error
        except (ConnectionError, web.RequestPayloadError) as error:
            raise Refused("too-slow", "the sender went away", 408) from error
        if not piece:
            return
        came += len(piece)
        if time.monotonic() - began > 60 and came < SLOWEST * (time.monotonic() - began):
            raise Refused("too-slow", f"less than {SLOWEST} bytes a second came", 408)
        yield piece
