"""Sessions of curators at the page: a token once, then a cookie; few, short, and slow to guess; pure but for the randomness."""

from __future__ import annotations

import secrets
from collections import OrderedDict, deque
from dataclasses import dataclass

from appliance.runtime.errors import Refused
from gateway.linking.curators import Curators

LASTS = 8 * 3600.0  # seconds that a session lasts
MOST = 200  # sessions at once; the oldest goes
TRIES = 20  # wrong tokens in WINDOW, by whomever
WINDOW = 60.0  # seconds


@dataclass(frozen=True)
class Session:
    """One curator at one browser."""

    name: str
    until: float


class Desk:
    """Who is in."""

    def __init__(self, curators: Curators) -> None:
        self.curators = curators
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._wrong: deque[float] = deque()

    def enter(self, token: str, now: float) -> str:
        """Return a new session's cookie for the curator whose ``token`` this is.

        Raises:
            Refused: ``wrong-token``, ``too-many-tries``.
        """
        name = self.identify(token, now)
        cookie = secrets.token_urlsafe(24)
        self._sessions[cookie] = Session(name, now + LASTS)
        while len(self._sessions) > MOST:
            self._sessions.popitem(last=False)
        return cookie

    def identify(self, token: str, now: float) -> str:
        """Return whose ``token`` this is.

        Raises:
            Refused: ``wrong-token``, ``too-many-tries``.
        """
        while self._wrong and self._wrong[0] < now - WINDOW:
            self._wrong.popleft()
        if len(self._wrong) >= TRIES:
            raise Refused("too-many-tries", "too many wrong tokens: wait a minute", 429)
        name = self.curators.name_of(token)
        if name is None:
            self._wrong.append(now)
            raise Refused("wrong-token", "this token is nobody's: 'headgate link curator NAME' makes one", 401)
        return name

    def who(self, cookie: str, now: float) -> str | None:
        """Return the curator of a session, who still is one."""
        session = self._sessions.get(cookie)
        if session is None or session.until < now or session.name not in self.curators.digests:
            self._sessions.pop(cookie, None)
            return None
        return session.name

    def leave(self, cookie: str) -> None:
        """End a session."""
        self._sessions.pop(cookie, None)
