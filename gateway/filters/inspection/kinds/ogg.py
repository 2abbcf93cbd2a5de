"""Ogg (RFC 3533): pages that cover the file exactly, each with its check sum and in its place in its stream."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from gateway.filters.inspection import refusal
from gateway.filters.inspection.kinds.kind import Told

HEAD = 27  # bytes of a page before its table of segments
CONTINUED, FIRST, LAST = 1, 2, 4  # header_type_flag
MOST_STREAMS = 64
WITHIN = slice(22, 26)  # of a page: its check sum
# What a stream of sound or film begins with (RFC 7845, RFC 9639, Xiph's specifications).
CODECS = (b"OpusHead", b"\x01vorbis", b"\x7fFLAC", b"Speex   ", b"\x80theora", b"fishead\0")
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass
class _Stream:
    sequence: int
    unfinished: bool = False  # a packet goes on in the next page
    over: bool = False


class Ogg:
    """One file; streams may come side by side, and one after the other."""

    streams = True

    def __init__(self, told: Told) -> None:
        self._rest, self._pages = b"", 0
        self._streams: dict[int, _Stream] = {}

    def feed(self, data: bytes) -> None:
        """Walk on from page to page."""
        data, at = self._rest + data, 0
        while len(data) - at >= HEAD:
            if data[at : at + 4] != b"OggS" or data[at + 4]:
                if self._pages:
                    raise refusal.malformed(f"something stands between pages, after {self._pages} of them")
                raise refusal.mismatch("this is no Ogg")
            body = at + HEAD + data[at + 26]
            if len(data) < body:
                break
            end = body + sum(data[at + HEAD : body])
            if len(data) < end:
                break
            self._page(data[at:end], body - at)
            at = end
        self._rest = data[at:]

    def finish(self) -> None:
        """Refuse a file that holds no page, or ends in the middle of one."""
        if not self._pages:
            raise refusal.mismatch("this is no Ogg")
        if self._rest:
            raise refusal.malformed("the file does not end with a page")

    def _page(self, page: bytes, body: int) -> None:
        flags, serial, sequence = page[5], int.from_bytes(page[14:18], "little"), int.from_bytes(page[18:22], "little")
        if checksum(page[: WITHIN.start] + bytes(4) + page[WITHIN.stop :]) != int.from_bytes(page[WITHIN], "little"):
            raise refusal.malformed(f"the check sum of page {self._pages} is wrong")
        self._pages += 1
        stream = self._streams.get(serial)
        if flags & FIRST:
            if stream is not None or len(self._streams) >= MOST_STREAMS:
                raise refusal.malformed(f"a stream begins twice, or there are more than {MOST_STREAMS}")
            if not page[body:].startswith(CODECS):
                raise refusal.mismatch("a stream is neither sound nor film that is known")
            stream = self._streams[serial] = _Stream(sequence)
        elif stream is None or stream.over or sequence != (stream.sequence + 1) % (1 << 32):
            raise refusal.malformed(f"page {self._pages} does not go on from the one before in its stream")
        if bool(flags & CONTINUED) != stream.unfinished:
            raise refusal.malformed("a packet goes on that did not begin, or ends that went on")
        stream.sequence, stream.over = sequence, bool(flags & LAST)
        stream.unfinished = page[body - 1] == 255 if body > HEAD else stream.unfinished


def checksum(data: bytes) -> int:
    """Return the CRC-32 of RFC 3533: that of zlib with the bits of each byte in the other order, and from nought."""
    mirrored = zlib.crc32(data.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)
