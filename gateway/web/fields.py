"""Which fields of a plain HTTP message cross the gap. Pure.

What concerns one connection alone (RFC 9110 section 7.6.1), and what tells of screens and boxes on the way, never does.
"""

from __future__ import annotations

from gateway.caching.fields import HOP_BY_HOP
from gateway.isolation.content import WebOrigin
from gateway.web.wire import Fields

HOP = HOP_BY_HOP | {"expect"}  # met by the server that reads it (RFC 9110 section 10.1.1)
OF_THE_WAY = frozenset({"client-ip", "content-length", "forwarded", "host", "true-client-ip", "via", "x-real-ip"})
CREDENTIALS = frozenset({"authentication-info", "authorization", "cookie", "cookie2", "set-cookie", "set-cookie2"})
USUAL = frozenset(
    {
        "accept",
        "accept-charset",
        "accept-encoding",
        "accept-language",
        "access-control-request-headers",
        "access-control-request-method",
        "cache-control",
        "content-encoding",
        "content-language",
        "content-type",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "origin",
        "pragma",
        "range",
        "referer",
        "user-agent",
        "x-requested-with",
    }
)
VIA = ("Via", "1.1 headgate")  # RFC 9110 section 7.6.3


def of_request(origin: WebOrigin, headers: Fields) -> Fields:
    """Return the fields of a screen's request that the origin is told."""
    gone = HOP | OF_THE_WAY | _named(headers) | (frozenset() if origin.credentials else CREDENTIALS)
    allowed = USUAL | frozenset(origin.fields) | (CREDENTIALS if origin.credentials else frozenset())
    kept = []
    for name, value in headers:
        plain = name.lower()
        if plain in gone or plain.startswith(("x-forwarded-", "headgate-")):
            continue
        if plain in allowed or "*" in allowed:
            kept.append((name, value))
    return [*kept, VIA]


def of_answer(origin: WebOrigin, headers: Fields, *, sniffed: bool) -> Fields:
    """Return the fields of an origin's answer that the screen is told; not ``sniffed``: it must be taken for what it says it is."""
    gone = HOP | _named(headers) | (frozenset() if origin.credentials else CREDENTIALS)
    gone |= frozenset() if sniffed else {"x-content-type-options"}
    kept = [(name, value) for name, value in headers if name.lower() not in gone]
    return kept if sniffed else [*kept, ("X-Content-Type-Options", "nosniff")]


def _named(headers: Fields) -> frozenset[str]:
    """Return the fields that Connection names: they are of this connection alone."""
    values = [value for name, value in headers if name.lower() == "connection"]
    return frozenset(word.strip().lower() for value in values for word in value.split(","))
