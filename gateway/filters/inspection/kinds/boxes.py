"""ISO base media files (MP4, fMP4, CMAF): a tree of boxes that covers the file exactly, walked as it comes."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.filters.inspection import refusal
from gateway.filters.inspection.kinds.fragments import Fragments, children
from gateway.filters.inspection.kinds.kind import Told

# Boxes at the top, ISO/IEC 14496-12 table 1 and CMAF; what is not here may hide anything.
TOP = frozenset(b"ftyp styp pdin moov moof mdat free skip wide sidx ssix prft emsg mfra meta meco".split())
FIRST = frozenset(b"ftyp styp moof sidx emsg prft".split())
PASSED_BY = frozenset(b"mdat free skip wide".split())  # media and padding: no boxes inside
HOLDS = frozenset(
    b"moov trak edts mdia minf dinf stbl mvex moof traf mfra udta sinf schi rinf tref trgr grpl iprp ipco".split()
)
ENCRYPTED = frozenset(b"encv enca enct encs encf encm encu enc3".split())  # ISO/IEC 23001-7
TABLES = {b"dref": 8}  # boxes whose children stand behind so many bytes
LARGEST_INDEX = 64 << 20  # bytes of a box that is looked into
LARGEST_PADDING = 64 << 20  # bytes of free space
LARGEST_UNKNOWN = 1 << 20  # bytes of a box inside others that is neither a holder nor known
MOST = 2_000_000  # boxes
DEEPEST = 16


@dataclass
class _Open:
    kind: bytes
    start: int
    left: int  # bytes of its body that have not come
    body: bytearray | None  # None: passed by


class Boxes:
    """One file or segment."""

    streams = True

    def __init__(self, told: Told) -> None:
        self._told, self._at, self._count = told, 0, 0
        self._head = bytearray()
        self._open: _Open | None = None
        self._seen: list[bytes] = []
        self._fragments = Fragments()

    def feed(self, data: bytes) -> None:
        """Walk on."""
        view, at = memoryview(data), 0
        while at < len(view):
            if self._open is None:
                at = self._header(view, at)
                continue
            count = min(self._open.left, len(view) - at)
            if self._open.body is not None:
                self._open.body += view[at : at + count]
            self._open.left -= count
            self._at, at = self._at + count, at + count
            if not self._open.left:
                self._close(self._open)

    def finish(self) -> None:
        """Refuse a file that ends in a box, or holds nothing."""
        if self._head or self._open is not None:
            raise refusal.malformed("the file ends in the middle of a box")
        if not self._seen:
            raise refusal.mismatch("there is no box in this file")
        self._fragments.finish()
        if self._told.type == "video/iso.segment" and b"mdat" in self._seen and not {b"moof", b"moov"} & {*self._seen}:
            raise refusal.malformed("media without the box that tells where it is")

    def _header(self, view: memoryview, at: int) -> int:
        wanted = 16 if self._head[:4] == b"\0\0\0\1" else 8
        take = min(wanted - len(self._head), len(view) - at)
        self._head += view[at : at + take]
        if len(self._head) < wanted or (wanted == 8 and self._head[:4] == b"\0\0\0\1"):
            return at + take
        size, kind = int.from_bytes(self._head[:4], "big"), bytes(self._head[4:8])
        if not self._seen and kind not in FIRST:
            raise refusal.mismatch("this begins with no box of a media file or segment")
        if kind not in TOP:
            raise refusal.malformed(f"a box {_name(kind)} does not stand at the top of a media file")
        if size == 1:
            size = int.from_bytes(self._head[8:16], "big")
        elif size == 0:  # to the end of the file
            size = self._told.size - self._at
        if size < wanted or self._at + size > self._told.size:
            raise refusal.malformed(f"the box {_name(kind)} at byte {self._at} goes beyond the end of the file")
        body = size - wanted
        if kind in PASSED_BY:
            if kind != b"mdat" and body > LARGEST_PADDING:
                raise refusal.malformed(f"{body} bytes of padding")
            self._open = _Open(kind, self._at, body, None)
            if kind == b"mdat":
                self._fragments.media(self._at + wanted, self._at + size)
        elif body > LARGEST_INDEX:
            raise refusal.bomb(f"a box {_name(kind)} of {body} bytes; {LARGEST_INDEX} are looked into")
        else:
            self._open = _Open(kind, self._at, body, bytearray())
        self._head.clear()
        self._at += wanted  # (also the end of a box without a body)
        self._seen = [*self._seen[-63:], kind]
        self._counted()
        if not body:
            self._close(self._open)
        return at + take

    def _close(self, box: _Open) -> None:
        self._open = None
        if box.body is not None:
            body = memoryview(bytes(box.body))
            if box.kind in (b"ftyp", b"styp"):
                _brands(body)
            elif box.kind in HOLDS:
                self._inside(box.kind, body, 1)
                if box.kind == b"moof":
                    self._fragments.moof(box.start, self._at, body)
                elif box.kind == b"moov":
                    self._fragments.moov(body)

    def _inside(self, kind: bytes, body: memoryview, depth: int) -> None:
        if depth > DEEPEST:
            raise refusal.bomb(f"more than {DEEPEST} boxes in one another")
        at = TABLES.get(kind, 0)
        while at < len(body):
            if kind == b"udta" and len(body) - at == 4 and not any(body[at:]):
                return  # QuickTime ends its user data with four zero bytes
            size, name = int.from_bytes(body[at : at + 4], "big"), bytes(body[at + 4 : at + 8])
            header = 8
            if size == 1:
                size, header = int.from_bytes(body[at + 8 : at + 16], "big"), 16
            if len(name) < 4 or size < header or at + size > len(body):
                raise refusal.malformed(f"a box inside {_name(kind)} overlaps the next or goes beyond its end")
            self._counted()
            self._look(name, body[at + header : at + size], depth)
            at += size

    def _look(self, name: bytes, body: memoryview, depth: int) -> None:
        if name in HOLDS or name in TABLES:
            self._inside(name, body, depth + 1)
        elif name in (b"url ", b"urn "):
            if bytes(body[:4]) != b"\0\0\0\1":  # flag 1: the media is in this file
                raise refusal.outside("the media is said to be in another place")
        elif name == b"stsd":
            self._samples(body)
        elif name == b"pssh":
            raise refusal.encrypted_content("the media is played with a key (a box 'pssh'): nobody can look into it")
        elif not all(0x20 <= byte < 0x7F or byte == 0xA9 for byte in name):
            raise refusal.malformed(f"a box without a name: {name.hex()}")
        elif name in (b"uuid", b"free", b"skip") and len(body) > LARGEST_UNKNOWN:
            raise refusal.malformed(f"{len(body)} bytes that mean nothing in a box {_name(name)}")

    def _samples(self, body: memoryview) -> None:
        """Look at what kinds of samples a track has; it may not be one that hides the kind behind encryption."""
        for name, _ in children(body[8:]):
            self._counted()
            if name in ENCRYPTED:
                raise refusal.encrypted_content(
                    f"samples of the kind {_name(name)} are encrypted: nobody can look into them"
                )

    def _counted(self) -> None:
        self._count += 1
        if self._count > MOST:
            raise refusal.bomb(f"more than {MOST} boxes")


def _brands(body: memoryview) -> None:
    if len(body) < 8 or len(body) % 4 or len(body) > 1024:
        raise refusal.malformed("the list of brands is none")
    names = [bytes(body[:4]), *(bytes(body[i : i + 4]) for i in range(8, len(body), 4))]
    for name in names:
        if not all(0x20 <= byte < 0x7F for byte in name):
            raise refusal.malformed(f"a brand without a name: {name.hex()}")


def _name(kind: bytes) -> str:
    return f"'{kind.decode('ascii', 'backslashreplace')}'"
