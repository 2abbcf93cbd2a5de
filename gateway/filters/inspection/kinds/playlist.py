"""HLS playlists (RFC 8216): every URI leads to a file of the release."""

from __future__ import annotations

import re

import m3u8

from gateway.filters.inspection import refusal
from gateway.filters.inspection.kinds import references
from gateway.filters.inspection.kinds.kind import Whole
from gateway.filters.inspection.kinds.text import decoded

_ATTRIBUTE = re.compile(r'[A-Z0-9-]*(?:URI|URL)\s*=\s*(?:"([^"]*)"|([^",\s]+))', re.IGNORECASE)
_METHOD = re.compile(r"[:,]\s*METHOD\s*=\s*([^,\s]+)", re.ASCII)
KEYS = ("#EXT-X-KEY", "#EXT-X-SESSION-KEY")  # RFC 8216 sections 4.3.2.4 and 4.3.4.5
MOST_LINES = 1_000_000


class Playlist(Whole):
    """A master or media playlist."""

    largest = 16 << 20

    def judge(self, data: bytes) -> None:
        """Refuse what is no playlist, or leads out."""
        text = decoded(data)
        lines = text.splitlines()
        if not lines or lines[0].rstrip() != "#EXTM3U":  # RFC 8216 section 4: no byte order mark either
            raise refusal.mismatch("this is no playlist: its first line is not #EXTM3U")
        if len(lines) > MOST_LINES:
            raise refusal.bomb(f"more than {MOST_LINES} lines")
        for line in lines:
            if line.startswith(KEYS):
                method = _METHOD.search(line)
                if method is None or method[1] != "NONE":
                    told = method[1][:40] if method else "a key"
                    raise refusal.encrypted_content(f"its segments are encrypted ({told}): nobody can look into them")
            if line.startswith("#EXT"):
                for found in _ATTRIBUTE.finditer(line):
                    self._check(found[1] if found[1] is not None else found[2])
            elif line.strip() and not line.startswith("#"):
                self._check(line.strip())
        try:
            m3u8.loads(text)
        except Exception as error:  # (its parser raises whatever a line makes it stumble over)
            raise refusal.malformed(f"this is no valid playlist: {str(error)[:200]}") from error

    def _check(self, reference: str) -> None:
        if references.check(reference, self.told.path) == self.told.path:
            raise refusal.malformed("the playlist names itself")
