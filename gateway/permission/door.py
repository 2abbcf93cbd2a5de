"""Asks each request of a zone for its permission: finds the token, remembers what was verified, judges it anew each time."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from appliance.identity.keys import PublicKey
from appliance.runtime.errors import Refused
from gateway.permission import signed_uri, token
from gateway.permission.judge import Asked, Here, judge
from gateway.permission.permit import Permit
from gateway.permission.pseudonym import Pseudonyms

NAME = "CTA-Common-Access-Token"  # of the header and of the cookie
QUERY = ("CAT", "cat", signed_uri.PARAMETER)
MOST = 20_000  # verified tokens that are remembered


@dataclass(frozen=True)
class Shown:
    """A token as a request shows it, and where."""

    text: str
    place: str  # header, cookie, or the name of a parameter of the query


@dataclass(frozen=True)
class Granted:
    """What was permitted, to whom (under a pseudonym), and the token to show by cookie from now on, if it came by query."""

    permit: Permit
    subject: str
    keep: str | None


def shown(headers: Mapping[str, str], cookies: Mapping[str, str], query: Mapping[str, str]) -> Shown | None:
    """Return the token that a request shows: by header before query before cookie."""
    if text := headers.get(NAME.lower(), ""):
        return Shown(text, "header")
    for name in QUERY:
        if text := query.get(name, ""):
            return Shown(text, name)
    text = cookies.get(NAME, "")
    return Shown(text, "cookie") if text else None


class Door:
    """The door of one zone."""

    def __init__(
        self, issuers: Mapping[str, Iterable[PublicKey]], here: Here, pseudonyms: Pseudonyms | None = None
    ) -> None:
        self._issuers = {name: tuple(keys) for name, keys in issuers.items()}
        self._here = here
        self._verified: OrderedDict[bytes, Permit] = OrderedDict()
        self._pseudonyms = pseudonyms or Pseudonyms()

    def admit(self, token_shown: Shown | None, asked: Asked, now: float) -> Granted:
        """Return what the shown token permits, if it permits what is asked for.

        Raises:
            Refused: there is no token (``no-token``), it is none, or it does not permit this.
        """
        if token_shown is None:
            raise Refused(
                "no-token", f"this is served with a token only: by header, cookie ({NAME}) or query (CAT)", 401
            )
        permit = self._open(token_shown)
        judge(permit, asked, self._here, now)
        keep = token_shown.text if token_shown.place in ("CAT", "cat") else None
        return Granted(permit, self._pseudonyms.of(permit.subject, now), keep)

    def _open(self, token_shown: Shown) -> Permit:
        uri = token_shown.place == signed_uri.PARAMETER
        key = hashlib.sha256(f"{uri}{token_shown.text}".encode()).digest()
        if (known := self._verified.get(key)) is not None:
            self._verified.move_to_end(key)
            return known
        opened = signed_uri.open_package if uri else token.open_token
        permit = self._verified[key] = opened(token_shown.text, self._issuers)
        if len(self._verified) > MOST:
            self._verified.popitem(last=False)
        return permit
