"""Asks each request of a zone for its permission: finds the token, remembers what was verified, judges it anew each time."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from appliance.identity.keys import PublicKey
from appliance.runtime.errors import Refused
from gateway.permission.judge import Asked, Here, holds, judge
from gateway.permission.permit import PACKAGE, Comparison, Permit
from gateway.permission.pseudonym import DAY, Pseudonyms
from gateway.permission.withdrawn import Withdrawn

NAME = "CTA-Common-Access-Token"  # of the header and of the cookie
QUERY = ("CAT", "cat", PACKAGE)
MOST = 20_000  # verified tokens that are remembered
MOST_PASSES = 20_000  # tokens with the address that showed them


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


class Pass(NamedTuple):
    """What a token permits whoever showed it once from an address, apart from the path that is asked for."""

    granted: Granted
    since: float
    until: float
    tests: Sequence[Comparison]  # of the path


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
        self,
        issuers: Mapping[str, Iterable[PublicKey]],
        here: Here,
        withdrawn: Withdrawn,
        pseudonyms: Pseudonyms | None = None,
    ) -> None:
        # Here, so that a zone without tokens loads none of their libraries: a tenth of a delivery's start.
        from gateway.permission import signed_uri, token

        self._open_package, self._open_token = signed_uri.open_package, token.open_token
        self._issuers = {name: tuple(keys) for name, keys in issuers.items()}
        self._here, self._withdrawn = here, withdrawn
        self._verified: OrderedDict[bytes, Permit] = OrderedDict()
        self._passes: OrderedDict[tuple[str, str], Pass] = OrderedDict()
        self._pseudonyms = pseudonyms or Pseudonyms()

    @property
    def skew(self) -> float:
        """Seconds that clocks may differ."""
        return self._here.skew

    def admit(self, token_shown: Shown | None, asked: Asked, now: float) -> Granted:
        """Return what the shown token permits, if it permits what is asked for.

        Raises:
            Refused: there is no token (``no-token``), it is none, it does not permit this, or was withdrawn (``token-withdrawn``).
        """
        if token_shown is None:
            raise Refused(
                "no-token", f"this is served with a token only: by header, cookie ({NAME}) or query (CAT)", 401
            )
        permit = self._open(token_shown)
        judge(permit, asked, self._here, now)
        if (refused := self._withdrawn.refusal(permit, now)) is not None:
            raise refused
        keep = token_shown.text if token_shown.place in ("CAT", "cat") else None
        granted = Granted(permit, self._pseudonyms.of(permit.subject, now), keep)
        if token_shown.place in ("header", "cookie"):
            self._let_pass(token_shown.text, asked, granted, now)
        return granted

    def known(self, text: str, address: str, path: str, now: float) -> Granted | None:
        """Return what a token permits that was shown from ``address`` before, by header or cookie, for a GET of ``path``.

        None where it permits something else, or more is to be judged than time and path.
        """
        known = self._passes.get((text, address))
        if known is None or not known.since <= now < known.until:
            return None
        for test in known.tests:  # mostly one
            if not holds(test, path):
                return None
        return known.granted

    def forget(self) -> None:
        """Judge every token anew when it is shown next: some were withdrawn."""
        self._passes.clear()

    def _let_pass(self, text: str, asked: Asked, granted: Granted, now: float) -> None:
        permit, skew = granted.permit, self._here.skew
        if asked.method == "GET" and not permit.headers and all(test.part == "path" for test in permit.tests):
            until = min(permit.until + skew, (now // DAY + 1) * DAY)  # the pseudonym changes with the day
            self._passes[text, asked.address] = Pass(granted, permit.since - skew, until, permit.tests)
            if len(self._passes) > MOST_PASSES:
                self._passes.popitem(last=False)

    def _open(self, token_shown: Shown) -> Permit:
        uri = token_shown.place == PACKAGE
        key = hashlib.sha256(f"{uri}{token_shown.text}".encode()).digest()
        if (known := self._verified.get(key)) is not None:
            self._verified.move_to_end(key)
            return known
        opened = self._open_package if uri else self._open_token
        permit = self._verified[key] = opened(token_shown.text, self._issuers)
        if len(self._verified) > MOST:
            self._verified.popitem(last=False)
        return permit
