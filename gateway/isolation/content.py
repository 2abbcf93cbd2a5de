"""What a policy says of content beyond who may publish it: trust, orders, important data, the store, plain HTTP."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from appliance.runtime.config import Section
from gateway.isolation.words import IPAddress, Key, Name, Size

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Leading = Annotated[str, Field(min_length=1, max_length=200)]  # the leading part of canonical codes
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Window = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$")]


class Trust(Section):
    """The TUF repository in which releases are listed: the SHA-256 of its first root, and the origin that has it."""

    root: Digest  # of 1.root.json; every later root is signed by the one before
    origin: str


class Orders(Section):
    """Who may withdraw and reinstate releases at this box."""

    keys: dict[Name, Key] = Field(min_length=1, max_length=16)


class Issuer(Section):
    """A portal that admits screens: its tokens are signed by one of these keys."""

    keys: Annotated[tuple[Key, ...], Field(min_length=1, max_length=8)]


class Permission(Section):
    """In which zones a screen must show a token (CTA-5007 or RFC 9246), and whose tokens count."""

    zones: Annotated[tuple[str, ...], Field(min_length=1, max_length=5)]
    issuers: dict[Name, Issuer] = Field(min_length=1, max_length=64)
    skew: Annotated[float, Field(ge=0, le=300)] = 30.0  # seconds that clocks may differ


class Tls(Section):
    """A certificate (with its chain) and its key, by the names of their files below /etc/headgate/front."""

    certificate: FileName
    key: FileName


class Ladder(Section):
    """The most that the screens of a zone are shown of what has several renditions; what is left out is not limited."""

    height: Annotated[int, Field(ge=1, le=10_000)] | None = None  # pixels
    bandwidth: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = (
        None  # bits a second that the line carries to a screen
    )
    codecs: Annotated[
        tuple[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.]{2,32}$")], ...], Field(max_length=32)
    ] = ()  # leading parts of RFC 6381 names


LineRate = Annotated[int, Field(ge=100_000, le=1_000_000_000_000)]  # bits a second


class Important(Section):
    """Important data (重要数据): by label and by identifier; it never crosses towards the zones that are outside."""

    outside: Annotated[tuple[str, ...], Field(min_length=1, max_length=5)]
    labels: Annotated[tuple[Name, ...], Field(max_length=32)] = ("important",)
    identifiers: Annotated[tuple[Leading, ...], Field(max_length=10_000)] = ()


class Quotas(Section):
    """The most bytes that objects of one body, or objects that came for one zone, may take."""

    bodies: dict[Name, Size] = Field(default_factory=dict, max_length=4096)
    zones: dict[str, Size] = Field(default_factory=dict, max_length=5)


class Preposition(Section):
    """When, and how fast, releases are fetched ahead: local time, bytes a second; the releases themselves are a plan's."""

    window: Window = "00:00-23:59"
    rate: Size = 16 << 20  # bytes a second
    releases: Annotated[tuple[Leading, ...], Field(max_length=10_000)] = ()  # canonical codes


class Store(Section):
    """The store: its size, what it never gives away, and how it is looked after."""

    size: Size | None = None  # bytes; None: what the disk has, less ``free``
    free: Size = 1 << 30  # bytes of the disk that stay free, at most an eighth of it
    keep: Literal["auto", "lru", "sieve", "s3-fifo"] = "auto"  # auto: the one that would have served most bytes here
    scrub: Size = 8 << 20  # bytes a second that are read and compared with their digests
    quotas: Quotas = Quotas()
    pinned: Annotated[tuple[Leading, ...], Field(max_length=10_000)] = ()  # canonical codes of releases that stay
    preposition: Preposition = Preposition()
    quarantine: Size = 256 << 20  # bytes of refused content that are kept to be looked at
    web: Size = 2 << 30  # bytes of answers of plain HTTP origins that each zone's delivery keeps


class S3(Section):
    """An S3-compatible origin: requests are signed (AWS Signature Version 4) with the credentials in ``credentials``."""

    bucket: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
    region: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,40}$")] = "us-east-1"
    credentials: Name = "s3"  # the name of a file below /etc/headgate/origins: "ACCESS-KEY SECRET", a line


HostName = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*(:[1-9]\d{0,4})?$",
        max_length=253,
    ),
]
FieldName = Annotated[str, StringConstraints(pattern=r"^([a-z0-9!#$%&'+.^_`|~-]{1,64}|\*)$")]
Method = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z-]{0,31}$")]


class WebOrigin(Section):
    """A portal, EPG or API of the culture zone that screens may ask by plain HTTP, under these host names."""

    hosts: Annotated[tuple[HostName, ...], Field(min_length=1, max_length=32)]  # in small letters, as screens say them
    address: IPAddress
    port: Annotated[int, Field(ge=1, le=65535)] = 80
    tls: bool = False  # HTTPS; the certificate is for the host name, verified by /etc/headgate/origins/ca.crt
    zones: Annotated[
        tuple[str, ...], Field(max_length=5)
    ] = ()  # whose screens may ask; none: of every lane of kind web
    methods: Annotated[tuple[Method, ...], Field(min_length=1, max_length=32)] = ("GET", "HEAD", "OPTIONS")
    request: Size = 64 << 10  # bytes of a request's body, at most
    answer: Size = 64 << 20  # bytes of an answer's body, at most; the lane's ``largest`` bounds it too
    fields: Annotated[
        tuple[FieldName, ...], Field(max_length=64)
    ] = ()  # that cross beside the usual ones; "*": all others
    credentials: bool = False  # whether Authorization, Cookie and Set-Cookie cross
    body: Name | None = None  # the admitted body that it is of, to whose account its use goes
