"""WebM (RFC 8794, RFC 9559): a tree of elements that covers the file exactly, walked as it comes; media of its tracks alone."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.filters.inspection import refusal
from gateway.filters.inspection.kinds.kind import Told

EBML, SEGMENT, CLUSTER, GROUP = 0x1A45DFA3, 0x18538067, 0x1F43B675, 0xA0
SEEK_HEAD, INFO, TRACKS, CUES, TAGS, CHAPTERS = 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B, 0x1254C367, 0x1043A770
VOID, CHECKSUM, SIMPLE_BLOCK, BLOCK, ENCRYPTED_BLOCK, ATTACHMENTS = 0xEC, 0xBF, 0xA3, 0xA1, 0xAF, 0x1941A469
DOC_TYPE, ENTRY, NUMBER, CODEC, ENCRYPTION = 0x4282, 0xAE, 0xD7, 0x86, 0x5035
ANYWHERE = frozenset((VOID, CHECKSUM))
HOLDS = {  # what is walked as it comes -> what may stand in it
    SEGMENT: frozenset((SEEK_HEAD, INFO, TRACKS, CLUSTER, CUES, TAGS, CHAPTERS)),
    CLUSTER: frozenset((0xE7, 0x5854, 0xA7, 0xAB, SIMPLE_BLOCK, GROUP)),
    GROUP: frozenset((BLOCK, 0x75A1, 0x9B, 0xFA, 0xFB, 0xA4, 0xA2, 0x8E, 0x75A2)),
}
READ = frozenset((EBML, SEEK_HEAD, INFO, TRACKS, CUES, TAGS, CHAPTERS))  # what is looked into as a whole
# Elements of those that hold others: Seek; TrackEntry, Video, Colour, mastering, Projection, Audio, encodings; cues; tags; chapters.
INSIDE = frozenset(
    (0x4DBB, ENTRY, 0xE0, 0x55B0, 0x55D0, 0x7670, 0xE1, 0x6D80, 0x6240, 0x41E4, 0xBB, 0xB7, 0xDB, 0x7373, 0x63C0, 0x67C8, 0x45B9,
     0xB6, 0x80)
)  # fmt: skip
CODECS = ("V_VP8", "V_VP9", "V_AV1", "A_OPUS", "A_VORBIS", "D_WEBVTT/")
LARGEST_READ = 16 << 20  # bytes of an element that is looked into
LARGEST_BLOCK = 64 << 20
LARGEST_PADDING = 16 << 20  # bytes of all padding
MOST, DEEPEST = 10_000_000, 8  # elements; of those in one another that are looked into


@dataclass
class _Open:
    kind: int
    end: int | None  # None: nobody said


class WebM:
    """One file, or a segment of one that begins with a cluster."""

    streams = True

    def __init__(self, told: Told) -> None:
        self._told, self._at, self._count, self._padding = told, 0, 0, 0
        self._rest, self._skip = b"", 0
        self._open: list[_Open] = []
        self._tracks: set[int] = set()
        self._head = self._cluster = False

    def feed(self, data: bytes) -> None:
        """Walk on."""
        data, at = self._rest + data, 0
        while at < len(data):
            if self._skip:
                step = min(self._skip, len(data) - at)
                self._skip, at = self._skip - step, at + step
                continue
            used = self._element(data, at)
            if not used:
                break
            at += used
        self._rest = data[at:]

    def finish(self) -> None:
        """Refuse a file that ends in an element, or holds nothing."""
        self._close(None)
        if self._rest or self._skip or any(each.end not in (None, self._at) for each in self._open):
            raise refusal.malformed("the file ends in the middle of an element")
        if not (self._head and (self._tracks or self._cluster)):
            raise refusal.mismatch("there is no film and no sound in this file")

    def _element(self, data: bytes, at: int) -> int:
        """Take the element at ``at``, as far as it has to be here; return the bytes used, nought where too few are here."""
        kind, width = number(data, at, 4, marked=True)
        size, length = number(data, at + width, 8) if width else (0, 0)
        if not length:
            return 0
        head, unknown = width + length, size == (1 << 7 * length) - 1
        need = 0
        if kind in READ and not unknown:
            if size > LARGEST_READ:
                raise refusal.bomb(f"an element {kind:x} of {size} bytes; {LARGEST_READ} are looked into")
            need = size
        elif kind in (SIMPLE_BLOCK, BLOCK):
            need = min(size, 12)
        fits = self._at + head + size <= self._told.size
        if fits and len(data) - at < head + need:
            return 0
        self._close(kind)
        inside = self._open[-1] if self._open else None
        self._place(kind, inside)
        if unknown and kind not in (SEGMENT, CLUSTER):
            raise refusal.malformed(f"the element {kind:x} does not say how long it is")
        limit = inside.end if inside is not None and inside.end is not None else self._told.size
        if not unknown and self._at + head + size > limit:
            raise refusal.malformed(f"the element {kind:x} at byte {self._at} goes beyond what it is in")
        if kind in HOLDS:
            self._open.append(_Open(kind, None if unknown else self._at + head + size))
            self._cluster |= kind == CLUSTER
            self._at += head
            return head
        self._look(kind, data[at + head : at + head + need], size)
        self._at += head + size
        self._skip = size - need
        return head + need

    def _close(self, kind: int | None) -> None:
        """Leave what has come to its end, and what ends, as nobody said where, with an element that cannot stand in it."""
        while self._open and (
            self._open[-1].end == self._at
            or (
                kind is not None
                and self._open[-1].end is None
                and kind not in HOLDS[self._open[-1].kind] | ANYWHERE
                and len(self._open) > 1
            )
        ):
            self._open.pop()

    def _place(self, kind: int, inside: _Open | None) -> None:
        self._count += 1
        if self._count > MOST:
            raise refusal.bomb(f"more than {MOST} elements")
        if kind == ATTACHMENTS:
            raise refusal.malformed("a film brings files that nobody looks into")
        if kind == ENCRYPTED_BLOCK:
            raise refusal.encrypted_content("blocks of the media are encrypted: nobody can look into them")
        if not self._head:
            if kind not in (EBML, CLUSTER):
                raise refusal.mismatch("this is no WebM")
            self._head = True
            if kind == CLUSTER:  # a segment by itself; its tracks are in another file
                self._open.append(_Open(SEGMENT, self._told.size))
            return
        if kind not in ANYWHERE and (kind not in HOLDS[inside.kind] if inside is not None else kind != SEGMENT):
            raise refusal.malformed(f"an element {kind:x} does not stand here")

    def _look(self, kind: int, body: bytes, size: int) -> None:
        if kind == VOID:
            self._padding += size
            if self._padding > LARGEST_PADDING:
                raise refusal.malformed(f"more than {LARGEST_PADDING} bytes of padding")
        elif kind in READ:
            self._inside(kind, body, 1)
        elif kind in (SIMPLE_BLOCK, BLOCK):
            track, width = number(body, 0, 8)
            if not width or size < width + 3 or size > LARGEST_BLOCK:
                raise refusal.malformed("a block is too short or too long")
            if self._tracks and track not in self._tracks:
                raise refusal.malformed(f"media of the track {track}, which nothing names")
        elif size > LARGEST_READ:
            raise refusal.malformed(f"{size} bytes that mean nothing in an element {kind:x}")

    def _inside(self, kind: int, body: bytes, depth: int) -> None:
        at, doc_type = 0, b""
        if depth > DEEPEST:
            raise refusal.bomb(f"more than {DEEPEST} elements in one another")
        while at < len(body):
            name, width = number(body, at, 4, marked=True)
            size, length = number(body, at + width, 8) if width else (0, 0)
            at += width + length
            if not length or at + size > len(body):
                raise refusal.malformed(f"an element inside {kind:x} goes beyond its end")
            self._count += 1
            inner = body[at : at + size]
            if name == ENCRYPTION:
                raise refusal.encrypted_content("a track is encrypted: nobody can look into it")
            if name in INSIDE:
                self._inside(name, inner, depth + 1)
            elif (
                name == CODEC
                and kind == ENTRY
                and not inner.rstrip(b"\0").decode("ascii", "replace").startswith(CODECS)
            ):
                raise refusal.mismatch("a track's codec is none of WebM")
            elif name == NUMBER and kind == ENTRY:
                self._tracks.add(int.from_bytes(inner[:8], "big"))
            elif name == DOC_TYPE:
                doc_type = inner.rstrip(b"\0")
            at += size
        if kind == EBML and doc_type != b"webm":
            raise refusal.mismatch("this is no WebM: its document type is another one")


def number(data: bytes, at: int, longest: int, *, marked: bool = False) -> tuple[int, int]:
    """Return the number at ``at`` (RFC 8794 section 4) and its bytes, of which there are none where too few are here; a name is ``marked``.

    Raises:
        Refused: it is longer than numbers are.
    """
    if at >= len(data):
        return 0, 0
    length = 9 - data[at].bit_length()
    if length > longest:
        raise refusal.malformed("an element without a name or a length")
    if at + length > len(data):
        return 0, 0
    value = int.from_bytes(data[at : at + length], "big")
    return value if marked else value & ((1 << 7 * length) - 1), length
