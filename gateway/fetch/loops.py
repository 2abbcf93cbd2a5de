"""Loops between boxes: ``CDN-Loop`` (RFC 8586), in which every box that passes a request on adds its site. Pure.

Boxes write ``headgate;site=NAME``; entries of other software are left alone, and tell us nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from appliance.runtime.errors import Refused

HEADER = "CDN-Loop"
NAME = "headgate"
DEEPEST = 8  # boxes between an origin and the box that wanted something; the eighth asks origins, never a parent
LONGEST = 2048  # characters of the header
SITE = r"[a-z][a-z0-9-]{0,47}"  # as in a policy's ``site:``
_WORD = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_ENTRY = re.compile(
    rf"\s*(?P<id>[^\s,;\"]+)(?P<parameters>(?:\s*;\s*{_WORD}\s*=\s*(?:{_WORD}|\"[^\"\\]*\"))*)\s*(?:,|$)", re.ASCII
)
_NAME = re.compile(SITE, re.ASCII)
_SITE = re.compile(rf";\s*site\s*=\s*\"?({_WORD})\"?", re.ASCII)


def written(sites: Sequence[str]) -> str:
    """Return the header's value for a request that ``sites``, in this order, have passed on."""
    return ", ".join(f"{NAME};site={site}" for site in sites)


def read(value: str) -> tuple[str, ...]:
    """Return the sites that passed a request on, of the header's ``value``.

    Raises:
        Refused: it is none (``bad-request``).
    """
    if len(value) > LONGEST:
        raise Refused("bad-request", f"a {HEADER} has at most {LONGEST} characters", 400)
    sites, at = [], 0
    while value[at:].strip():
        match = _ENTRY.match(value, at)
        if match is None:
            raise Refused("bad-request", f"the {HEADER} is not as RFC 8586 says", 400)
        if match["id"] == NAME and (site := _SITE.search(match["parameters"])):
            if not _NAME.fullmatch(site[1]):
                raise Refused("bad-request", f"the {HEADER} tells a site that has no site's name", 400)
            sites.append(site[1])
        at = match.end()
    return tuple(sites)


def check(sites: Sequence[str], own: str) -> None:
    """Raise where a request that ``sites`` passed on must not go on at the box of the site ``own``.

    Raises:
        Refused: it was here before, or came through too many boxes (``loop``).
    """
    if own in sites:
        raise Refused("loop", f"this request came from '{own}' itself: its parents lead back to it", 508)
    if len(sites) > DEEPEST:
        raise Refused("loop", f"this request came through more than {DEEPEST} boxes", 508)
