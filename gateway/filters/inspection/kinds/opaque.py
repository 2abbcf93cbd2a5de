"""``application/octet-stream``: bytes that nothing knows; what is known as program, archive or document has its own type."""

from __future__ import annotations

import puremagic

from gateway.filters.inspection import refusal
from gateway.filters.inspection.kinds.kind import Told

HEAD = 4096  # bytes that are compared with signatures
# What would run, unpack or open; puremagic knows more, with less certainty.
SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x7fELF", "a Linux program"), (0, b"MZ", "a Windows program"), (0, b"#!", "a script"),
    (0, b"\xca\xfe\xba\xbe", "a Java class or a macOS program"), (0, b"\xfe\xed\xfa", "a macOS program"),
    (0, b"\xcf\xfa\xed\xfe", "a macOS program"), (0, b"\xce\xfa\xed\xfe", "a macOS program"), (0, b"dex\n", "an Android program"),
    (0, b"\0asm", "WebAssembly"), (0, b"PK\x03\x04", "a ZIP archive"), (0, b"PK\x05\x06", "a ZIP archive"),
    (0, b"Rar!", "a RAR archive"), (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"), (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"BZh", "a bzip2 archive"), (0, b"\xfd7zXZ\0", "an xz archive"), (0, b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (0, b"\x04\x22\x4d\x18", "an lz4 archive"), (257, b"ustar", "a tar archive"), (0, b"MSCF", "a cabinet archive"),
    (0, b"!<arch>", "a library of programs"), (0, b"\xed\xab\xee\xdb", "an rpm package"), (0, b"%PDF", "a PDF"),
    (0, b"%!PS", "a PostScript program"), (0, b"{\\rtf", "a rich text"), (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Office document"),
    (0, b"L\0\0\0\x01\x14\x02\0", "a Windows shortcut"), (0, b"CWS", "a Flash film"), (0, b"FWS", "a Flash film"),
    (0, b"ITSF", "a help file"), (0, b"SQLite format 3\0", "a database"), (0x8001, b"CD001", "a disk image"),
)  # fmt: skip
_RISKY = (
    ".exe .dll .so .elf .class .jar .apk .dex .wasm .swf .sh .py .js .vbs .ps1 .bat .cmd .lnk .msi .com .scr .hta .html .htm .svg .zip .rar"
    " .7z .gz .bz2 .xz .zst .tar .cab .iso .dmg .img .deb .rpm .doc .docx .xls .xlsx .ppt .pptx .odt .ods .odp .rtf .pdf .ps .chm"
)
RISKY = frozenset(_RISKY.split())
SURE = 0.7  # of 1: puremagic's confidence from which on it is believed


def known_as(head: bytes) -> str:
    """Return what ``head`` is the beginning of, where that is something that runs, unpacks or opens, else an empty text."""
    for at, signature, name in SIGNATURES:
        if head[at : at + len(signature)] == signature:
            return name
    try:
        found = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):
        return ""
    for match in found:
        if match.confidence >= SURE and match.extension in RISKY and len(match.byte_match) >= 4:
            return str(match.name or match.extension)
    return ""


class Opaque:
    """Bytes of no known type."""

    streams = True

    def __init__(self, told: Told) -> None:
        self._head = b""
        self._judged = False
        self._size = told.size

    def feed(self, data: bytes) -> None:
        """Refuse what begins as something known."""
        if not self._judged:
            self._head += data[: HEAD - len(self._head)]
            if len(self._head) >= min(HEAD, self._size):
                self._judge()

    def finish(self) -> None:
        """Refuse what begins as something known, however short it is."""
        if not self._judged:
            self._judge()

    def _judge(self) -> None:
        self._judged = True
        if name := known_as(self._head):
            raise refusal.mismatch(f"bytes of no type are declared, and this is {name}")
