"""What a verified token permits: the nouns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

LONGEST = 4096  # bytes of a token as it is written
MOST_TESTS = 32  # of the URI, in one token
LONGEST_PATTERN = 1000  # characters of a regular expression
PACKAGE = "URISigningPackage"  # the parameter of the query that holds a signed URI's token (RFC 9246)

# Parts of a URI and ways to compare them, as CTA-5007 numbers them.
PARTS = ("scheme", "host", "port", "path", "query", "parent-path", "filename", "stem", "extension")
EXACT, PREFIX, SUFFIX, CONTAINS, REGEX, SHA256, SHA512_256 = 0, 1, 2, 3, 4, -1, -2


@dataclass(frozen=True)
class Comparison:
    """One part of the URI, or (``part`` is ``uri``) the whole of it, must compare so with ``value``."""

    part: str
    how: int
    value: str | bytes


@dataclass(frozen=True)
class Permit:
    """What one token says, whose signature was verified."""

    issuer: str
    until: float  # seconds since 1970
    since: float = 0.0
    subject: str = ""
    token: str = ""  # its own identifier, as its issuer gave it: cti in hex, or jti
    signer: str = ""  # the public key by which it was verified
    audience: Sequence[str] = ()
    methods: Sequence[str] | None = None
    tests: Sequence[Comparison] = ()
    networks: Sequence[IPv4Network | IPv6Network] | None = None
    territories: Sequence[str] | None = None
    headers: Mapping[str, Sequence[Comparison]] = field(default_factory=dict)
