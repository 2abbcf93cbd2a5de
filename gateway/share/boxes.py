"""``GET /releases/CODE/release.json``, ``/releases/CODE/PATH`` and ``/trust/FILE``: what other boxes ask for, laid out as at an origin."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, assert_never

from aiohttp import web

from appliance.runtime import http
from appliance.runtime.errors import Corrupt, HeadgateError, Refused, Unreachable
from gateway.fetch import loops
from gateway.release import paths
from gateway.release.trust import layout
from gateway.serving.choose import NotModified, Part, Parts, Unsatisfiable, Whole, choose
from gateway.serving.coming import Coming
from gateway.serving.exchange import Exchange
from gateway.serving.running import Running, Turn
from gateway.serving.send import send
from gateway.share import metrics
from gateway.share.uses import Uses
from gateway.store.manifests import Manifests
from gateway.store.objects import Objects
from gateway.store.registry import Mirror

ENVELOPE = "application/json"
OCTETS = "application/octet-stream"


class Boxes:
    """The requests of other boxes."""

    def __init__(
        self,
        site: str,
        store: Objects,
        incoming: Path,
        kept: Manifests,
        mirror: Mirror,
        exchange: Exchange,
        uses: Uses,
    ) -> None:
        self.site, self._store, self._incoming = site, store, incoming
        self._kept, self._mirror, self._exchange, self._uses = kept, mirror, exchange, uses
        self.running = Running()

    def application(self) -> web.Application:
        """Return what answers at the box's address in the culture zone."""
        app = http.application(1024)  # nobody sends us a body
        app.router.add_get("/releases/{code}/{path:.+}", self._get)
        app.router.add_get("/trust/{file}", self._get)
        app.router.add_get("/registry/{path:.+}", self._registry)
        app.on_response_prepare.append(_sign)
        return app

    async def _get(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._serve(request)
        except HeadgateError as error:
            status, reason = _told(error)
            metrics.REQUESTS.labels(str(status), "none").inc()
            metrics.REFUSALS.labels(reason).inc()
            response = http.answer(status, reason, str(error))
            response.headers["Cache-Control"] = "no-store"
            return response

    async def _registry(self, request: web.Request) -> web.StreamResponse:
        """Answer with a file of the registry as it was published, where this box took it in."""
        path = request.match_info["path"]
        opened = self._mirror.open(path)
        if opened is None:
            metrics.REQUESTS.labels("404", "none").inc()
            return http.answer(404, "unknown-path", "this box took in no such file of the registry")
        with opened:
            found, media = os.fstat(opened.fileno()), ENVELOPE if path.endswith(".json") else OCTETS
            etag = f'"{found.st_mtime_ns:x}-{found.st_size:x}"'
            response, _ = await _answer(request, etag, media, found.st_size, opened, "hit", None)
        return response

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        via = loops.read(",".join(request.headers.getall(loops.HEADER, ())))
        loops.check(via, self.site)
        if file := request.match_info.get("file"):
            return await self._metadata(layout.parse(file).file, via)
        code, path = paths.code_of(request.match_info["code"]), request.match_info["path"]
        if path == paths.MANIFEST:
            return await self._envelope(request, code, via)
        if fault := paths.fault_in(path):
            raise Refused("bad-request", fault, 400)
        with self.running.of(code, request) as turn:
            return await self._share(turn, request, code, path, via)

    async def _metadata(self, file: str, via: tuple[str, ...]) -> web.Response:
        """Answer with trust metadata, which whoever asks verifies anew."""
        data = await self._exchange.metadata(file, via)
        metrics.REQUESTS.labels("200", "metadata").inc()
        return web.Response(body=data, headers={"Content-Type": ENVELOPE, "Cache-Control": "no-cache"})

    async def _share(
        self, turn: Turn, request: web.Request, code: str, path: str, via: tuple[str, ...]
    ) -> web.StreamResponse:
        manifest = await self._exchange.manifest(code, via)
        file = manifest.files.get(path)
        if file is None:
            raise Refused("unknown-path", "the release has no such file", 404)
        coming, cache = None, "hit"
        opened = self._store.open(file.sha256, file.size) if self._exchange.allows(manifest, path) else None
        if opened is None:
            coming = await self._exchange.object(manifest, path, via)
            cache = "hit" if coming.stored else "miss"
            opened = coming.open(self._store, self._incoming)
        with opened:
            turn.begin()
            response, sent = await _answer(request, f'"{file.sha256}"', file.type, file.size, opened, cache, coming)
        if sent:
            self._uses.add(code, path, sent, hit=cache == "hit")
        return response

    async def _envelope(self, request: web.Request, code: str, via: tuple[str, ...]) -> web.StreamResponse:
        """Answer with the envelope as the body signed it, and with how long ago an origin spoke about it."""
        manifest = await self._exchange.manifest(code, via, fresh=0)
        data = await asyncio.to_thread(self._kept.get, code)
        if data is None:
            raise Corrupt("the manifest that the exchange verified is not in the store")
        etag = f'"{hashlib.sha256(data).hexdigest()}"'
        headers = {"ETag": etag, "Age": str(int(manifest.age)), "Cache-Control": "no-cache"}  # RFC 9111 section 5.1
        metrics.REQUESTS.labels("304" if _same(request, etag) else "200", "manifest").inc()
        if _same(request, etag):
            return web.Response(status=304, headers=headers)
        return web.Response(body=data, headers={**headers, "Content-Type": ENVELOPE})


async def _answer(
    request: web.Request, etag: str, media: str, size: int, opened: BinaryIO, cache: str, coming: Coming | None
) -> tuple[web.StreamResponse, int]:
    """Answer; return the response and the bytes of content that were sent."""
    headers: Mapping[str, str] = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Status": "headgate; hit" if cache == "hit" else "headgate; fwd=miss; stored",  # RFC 9211
    }
    match choose(request.headers, request.method, size, etag):
        case NotModified():
            metrics.REQUESTS.labels("304", cache).inc()
            return web.Response(status=304, headers=headers), 0
        case Unsatisfiable():
            metrics.REQUESTS.labels("416", cache).inc()
            return web.Response(status=416, headers={**headers, "Content-Range": f"bytes */{size}"}), 0
        case Whole() | Parts():  # boxes ask for one range
            first, count, status = 0, size, 200
        case Part(first, last):
            count, status = last - first + 1, 206
            headers = {**headers, "Content-Range": f"bytes {first}-{last}/{size}"}
        case unknown:
            assert_never(unknown)
    response, sent = await send(request, status, {**headers, "Content-Type": media}, opened, first, count, coming)
    metrics.REQUESTS.labels(str(status), cache).inc()
    metrics.BYTES.labels(cache).inc(sent)
    return response, sent


def _same(request: web.Request, etag: str) -> bool:
    return isinstance(choose(request.headers, request.method, 0, etag), NotModified)


async def _sign(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "headgate"
    response.headers["X-Content-Type-Options"] = "nosniff"


def _told(error: HeadgateError) -> tuple[int, str]:
    match error:
        case Refused():
            return error.status, error.reason
        case Unreachable():
            return 504, "unreachable"
        case _:
            return 502, "corrupt"
