"""What can be told of a record's bytes without reading them whole: a player's question must cost little. Pure.

A record's dump has its keys in order, so that after ``status`` come only texts and numbers, and a quotation mark inside a text has a
backslash before it: what is looked for here stands at the record's own level and nowhere else.
"""

from __future__ import annotations

import re

from gateway.resolver.answer.known import TTL

# One copy on the box, for every screen, whose name needs no quoting in an address.
_ON_THE_BOX = re.compile(rb'"locations":\[\{"entry":"([0-9A-Za-z/._-]+)","release":"isli:([0-9-]+)"\}\]').search
_LINKS = re.compile(rb'"links":\[(?:\{"target":"(?:[^"\\]|\\.)*","type":"[a-z0-9-]*"\},?)*\],')
_TTL = re.compile(rb',"ttl":([0-9]{1,9})\}$').search


def plain(raw: bytes) -> bool:
    """Return whether the record is registered and has no rights: it is seen everywhere."""
    return raw.startswith(b'registered"', raw.rfind(b'"status":"') + 10) and b',"rights":' not in raw


def on_the_box(raw: bytes) -> bytes | None:
    """Return the path of the record's only location below a delivery's ``/r/``, None where there is another or more than one."""
    found = _ON_THE_BOX(raw)
    return None if found is None else found[2] + b"/" + found[1]


def ttl_of(raw: bytes) -> int:
    """Return the seconds for which an answer may be kept; ``ttl`` is the last key of a record that has it."""
    found = _TTL(raw, max(0, len(raw) - 24))
    return int(found[1]) if found else TTL


def without_links(raw: bytes) -> bytes:
    """Return the record without its links."""
    return _LINKS.sub(b"", raw, 1)
