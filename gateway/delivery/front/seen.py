"""What is known of the screen behind a request that came through nginx: nginx alone speaks at delivery's Unix socket."""

from __future__ import annotations

import socket

from aiohttp import web
from yarl import URL

from gateway.delivery.front.places import PORT, SCHEME, SCREEN


def in_front(request: web.BaseRequest) -> bool:
    """Return whether the request came through nginx."""
    connection: socket.socket | None = request.get_extra_info("socket")
    return connection is not None and connection.family == socket.AF_UNIX


def screen_of(request: web.Request) -> str:
    """Return the screen's address, empty where it left meanwhile."""
    return request.headers.get(SCREEN, "") if in_front(request) else request.remote or ""


def end_of(request: web.BaseRequest) -> tuple[str, int] | None:
    """Return the screen's end of its connection with nginx, address and port; None where the request did not come through nginx."""
    address, port = request.headers.get(SCREEN, ""), request.headers.get(PORT, "")
    return (address, int(port)) if in_front(request) and address and port.isdecimal() else None


def url_of(request: web.Request) -> URL:
    """Return what was asked for, as the screen wrote it."""
    secure = in_front(request) and request.headers.get(SCHEME) == "https"
    return request.url.with_scheme("https") if secure else request.url
