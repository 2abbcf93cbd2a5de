"""The answer about an object: lines of JSON, the first with what it is, then how far it is, at last that it is done or why it is not."""

from __future__ import annotations

import contextlib
import json

from aiohttp import web

from appliance.runtime.errors import HeadgateError, Refused, Unreachable
from gateway.exchange.fill import Fill
from gateway.release.manifest import File

TYPE = "application/x-ndjson"


async def stream(request: web.Request, file: File, fill: Fill | None, came: str) -> web.StreamResponse:
    """Tell a peer of ``file``: in the store (``fill`` None), or on its way and in part to be read already."""
    told = {"sha256": file.sha256, "size": file.size, "type": file.type, "from": came}
    if fill is None or fill.over:
        lines = _line({**told, "incoming": None}) + _line({"done": True})
        return web.Response(body=lines, content_type=TYPE)
    response = web.StreamResponse()
    response.content_type = TYPE
    with contextlib.suppress(ConnectionError):  # the peer left: the fill goes on
        await response.prepare(request)
        await response.write(_line({**told, "incoming": fill.incoming}))
        try:
            async for verified in fill.follow():
                await response.write(_line({"verified": verified}))
            await response.write(_line({"done": True}))
        except HeadgateError as error:
            await response.write(_line({"reason": _reason(error), "error": str(error)}))
        await response.write_eof()
    return response


def _line(told: dict[str, object]) -> bytes:
    return json.dumps(told).encode() + b"\n"


def _reason(error: HeadgateError) -> str:
    if isinstance(error, Refused):
        return error.reason
    return "unreachable" if isinstance(error, Unreachable) else "corrupt"
