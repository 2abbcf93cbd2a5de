"""(permit, request, now) -> refused or not; pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from urllib.parse import urlsplit

import re2

from appliance.runtime.errors import Refused
from gateway.permission.permit import CONTAINS, EXACT, PREFIX, REGEX, SHA256, SUFFIX, Comparison, Permit

LONGEST = 4096  # characters of a URI, and of a header that a token speaks of


@dataclass(frozen=True)
class Asked:
    """What a request asks for, and who asks."""

    method: str
    uri: str  # whole, without the token
    address: str  # of the screen
    headers: Mapping[str, str]  # small letters


@dataclass(frozen=True)
class Here:
    """What a box says of itself: its site and zone are audiences, ``territory`` is where it is."""

    audiences: Sequence[str]
    territory: str | None
    skew: float  # seconds that clocks may differ


def judge(permit: Permit, asked: Asked, here: Here, now: float) -> None:
    """Refuse what ``permit`` does not permit, with the first reason why.

    Raises:
        Refused: ``token-expired``, ``token-not-yet``, ``token-elsewhere`` (audience, territory, network) or ``token-not-for-this``
            (method, URI, header).
    """
    if now > permit.until + here.skew:
        raise Refused("token-expired", f"the token ended {_told(permit.until)}, and this clock says {_told(now)}", 401)
    if now < permit.since - here.skew:
        raise Refused("token-not-yet", f"the token begins {_told(permit.since)}, and this clock says {_told(now)}", 401)
    if permit.audience and not set(permit.audience) & set(here.audiences):
        raise Refused("token-elsewhere", "the token is for another service than this box", 403)
    if permit.territories is not None and here.territory not in permit.territories:
        raise Refused("token-elsewhere", "the token is for another territory", 403)
    if permit.networks is not None and not any(ip_address(asked.address) in network for network in permit.networks):
        raise Refused("token-elsewhere", "the token is for screens at another address", 403)
    if permit.methods is not None and asked.method not in permit.methods:
        raise Refused("token-not-for-this", f"the token is not for {asked.method}", 403)
    if not all(holds(test, part_of(asked.uri, test.part)) for test in permit.tests):
        raise Refused("token-not-for-this", "the token is for another address than this one", 403)
    for name, tests in permit.headers.items():
        if not all(holds(test, asked.headers.get(name, "")) for test in tests):
            raise Refused("token-not-for-this", f"the token asks for another header '{name[:60]}'", 403)


def part_of(uri: str, part: str) -> str:
    """Return a part of a URI as CTA-5007 names them, or all of it (``uri``)."""
    parts = urlsplit(uri)
    folder, _, name = parts.path.rpartition("/")
    stem, dot, extension = name.partition(".")
    match part:
        case "uri":
            return uri
        case "scheme":
            return parts.scheme
        case "host":
            return parts.hostname or ""
        case "port":
            return str(parts.port or (443 if parts.scheme == "https" else 80))
        case "path":
            return parts.path
        case "query":
            return parts.query
        case "parent-path":
            return folder
        case "filename":
            return name
        case "stem":
            return stem
        case _:
            return dot + extension


def holds(test: Comparison, text: str) -> bool:
    """Return whether a part of what is asked for compares as the token wants it."""
    value = test.value
    if len(text) > LONGEST:
        return False
    if isinstance(value, bytes):
        name = "sha256" if test.how == SHA256 else "sha512_256"
        return hashlib.new(name, text.encode()).digest() == value
    how = test.how
    if how == PREFIX:
        return text.startswith(value)
    if how == EXACT:
        return text == value
    if how == SUFFIX:
        return text.endswith(value)
    if how == CONTAINS:
        return value in text
    return how == REGEX and _matches(value, text)


def _matches(pattern: str, text: str) -> bool:
    """Compare in time that grows with the text alone: whoever writes a pattern cannot make the box busy with it."""
    options = re2.Options()
    options.log_errors, options.max_mem = False, 1 << 20
    try:
        return re2.compile(pattern, options).search(text) is not None
    except re2.error:
        return False


def _told(seconds: float) -> str:
    return datetime.fromtimestamp(min(seconds, 253402300799), UTC).isoformat(timespec="seconds")
