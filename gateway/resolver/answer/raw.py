"""What can be told of a record's bytes without reading them whole: a player's question must cost little. Pure.

A record's dump has its keys in order, so that after ``status`` come only texts and numbers, and a quotation mark inside a text has a
backslash before it: what is looked for here stands at the record's own level and nowhere else.
"""

from __future__ import annotations

import re

from gateway.resolver.answer.known import TTL

_LOCATIONS = b'"locations":[{"entry":"'
# One copy on the box, for every screen, whose name needs no quoting in an address.
_ON_THE_BOX = re.compile(rb'"locations":\[\{"entry":"([0-9A-Za-z/._-]+)","release":"isli:([0-9-]+)"\}\]').match
# A text in a link may end as the links do but for its quotation mark, which has a backslash before it.
_LINKS, _END = b'"links":[', b'"}],"'
_END_LOCATIONS = _END + _LOCATIONS[1:]
# What follows them in a record that is plain and has one copy on the box, as above; braces in metadata are left to who reads it.
_ONE_COPY = re.compile(
    rb'([0-9A-Za-z/._-]+)","release":"isli:([0-9-]+)"\}\],(?:"metadata":\{[^{}]*\},)?"status":"registered",'
).match
_TARGET = re.compile(rb'"target":"([^"\\]+)"').findall
_TTL = re.compile(rb',"ttl":([0-9]{1,9})\}$').search


def plain(raw: bytes) -> bool:
    """Return whether the record is registered and has no rights: it is seen everywhere."""
    return raw.startswith(b'registered"', raw.rfind(b'"status":"') + 10) and b',"rights":' not in raw


def on_the_box(raw: bytes) -> bytes | None:
    """Return the path of the record's only location below a delivery's ``/r/``, None where there is another or more than one."""
    at = raw.find(_LOCATIONS)
    found = _ON_THE_BOX(raw, at) if at >= 0 else None
    return None if found is None else found[2] + b"/" + found[1]


def targets_of(raw: bytes) -> list[bytes] | None:
    """Return the codes that the record links to, None where they need to be read."""
    at = raw.find(_LINKS)
    if at < 0:
        return []
    links = raw[at : raw.index(_END, at)]
    found: list[bytes] = _TARGET(links)
    return None if b"\\" in links else found


def with_address(raw: bytes, address: bytes) -> bytes:
    """Return what stands between the braces of the record, its only location (``on_the_box``) with its ``address``."""
    at = raw.index(b'"}]', raw.index(_LOCATIONS)) + 1
    return raw[1:at] + b',"url":"' + address + b'"' + raw[at:-1]


def ttl_of(raw: bytes) -> int:
    """Return the seconds for which an answer may be kept; ``ttl`` is the last key of a record that has it."""
    found = _TTL(raw, max(0, len(raw) - 24))
    return int(found[1]) if found else TTL


def one_copy(raw: bytes) -> tuple[bytes, bytes, bytes, bytes] | None:
    """Return entry and release of a plain record's only location, on the box, and what stands before and behind its links.

    None: it must be read.
    """
    before = raw.find(_LINKS)
    behind = raw.find(_LOCATIONS) if before < 0 else raw.find(_END_LOCATIONS, before) + len(_END) - 1
    if behind < len(_END):  # it is not there
        return None
    found = _ONE_COPY(raw, behind + len(_LOCATIONS))
    if found is None:
        return None
    entry, release = found.groups()
    return entry, release, raw[: before if before >= 0 else behind], raw[behind:]
