"""Names for the subjects of tokens that nobody can lead back to them: others each day (UTC), the same through a restart within it.

The day's secret lies in the zone's own state, which its daemon alone may read, until the day is over.
"""

from __future__ import annotations

import hmac
import logging
import secrets
from pathlib import Path

from appliance.runtime.files import write_atomic

DAY = 86_400.0  # seconds for which a subject has one pseudonym
LENGTH = 16  # hexadecimal digits: 64 bits
SECRET = 32  # bytes
log = logging.getLogger("headgate.permission")


class Pseudonyms:
    """The pseudonyms of one zone; ``path`` is where the day's secret is kept, None: in memory alone."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._day, self._secret = -1, b""

    def of(self, subject: str, now: float) -> str:
        """Return the name of ``subject`` on the day of ``now`` (seconds since 1970), empty where there is no subject."""
        if not subject:
            return ""
        self.turn(now)
        return hmac.digest(self._secret, subject.encode(), "sha256").hex()[:LENGTH]

    def turn(self, now: float) -> None:
        """Have the secret of the day of ``now``; the one of the day before is gone then, from the disk too."""
        day = int(now // DAY)
        if day == self._day:
            return
        self._day, self._secret = day, self._kept(day) or secrets.token_bytes(SECRET)
        if self._path is not None:
            try:
                write_atomic(self._path, f"{day} {self._secret.hex()}\n".encode(), mode=0o600)
            except OSError as error:
                log.error("the secret of today's pseudonyms is kept in memory alone: %s", error)
                self._path.unlink(missing_ok=True)

    def _kept(self, day: int) -> bytes | None:
        try:
            kept, _, secret = self._path.read_text().strip().partition(" ") if self._path is not None else ("", "", "")
            return bytes.fromhex(secret) if kept == str(day) and len(secret) == 2 * SECRET else None
        except (OSError, ValueError):  # none yet, or damaged: a new one then
            return None
