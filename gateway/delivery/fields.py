"""The header fields that a file of a release is answered with, by delivery itself and by nginx in front of it."""

from __future__ import annotations

from base64 import b64encode

from gateway.delivery import cmcd
from gateway.permission.door import NAME

SHORT, LONG = 10, 3600  # seconds a screen may keep what a new version usually changes, and the rest
CHANGING = ("application/vnd.apple.mpegurl", "application/dash+xml", "text/", "application/json")
CORS = {  # players in pages of any address (a phone's application, a library's site) may play from the box
    "Access-Control-Allow-Origin": "*",
    "Timing-Allow-Origin": "*",  # and measure how fast it comes (W3C Resource Timing)
    "Access-Control-Expose-Headers": "Age, Cache-Status, CMSD-Dynamic, CMSD-Static, Content-Length, Content-Range, Date, ETag, Repr-Digest",
}
PREFLIGHT = {
    **CORS,
    "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
    "Access-Control-Allow-Headers": ", ".join(("Range", "If-None-Match", "If-Range", NAME, *cmcd.HEADERS)),
    "Access-Control-Max-Age": "86400",
}
REPORTING = {
    **PREFLIGHT,
    "Access-Control-Allow-Methods": "POST, OPTIONS",
    "Access-Control-Allow-Headers": "Content-Type",
}
SIGNED = {"X-Content-Type-Options": "nosniff"}


def keep(kind: str) -> int:
    """Return for how many seconds a screen may keep a file of the media type ``kind``."""
    return SHORT if kind.startswith(CHANGING) else LONG


def of_file(sha256: str, seconds: int, *, hit: bool, private: bool) -> dict[str, str]:
    """Return what is said of a file with this digest (hex) that may be kept for ``seconds``; ``private``: a token opened it."""
    return {
        "ETag": f'"{sha256}"',
        # What a token opened is for the screen that showed it, and for no cache on the way.
        "Cache-Control": f"{'private' if private else 'public'}, max-age={seconds}",
        "Cache-Status": "headgate; hit" if hit else "headgate; fwd=miss; stored",  # RFC 9211
        "Accept-Ranges": "bytes",
        "Repr-Digest": f"sha-256=:{b64encode(bytes.fromhex(sha256)).decode()}:",  # RFC 9530
    }
