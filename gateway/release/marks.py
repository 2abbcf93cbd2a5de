"""Does a file begin as its content type does? The first bytes of a file against the type that its name stands for."""

from __future__ import annotations

import codecs

HEAD = 512  # bytes that are looked at
_BOXES = (b"ftyp", b"styp", b"moof", b"moov", b"sidx", b"emsg", b"prft", b"mdat", b"free", b"skip", b"uuid")
_TS = 188  # bytes of a transport packet (ISO/IEC 13818-1)
# What a file of this type begins with, each (offset, bytes); one of them must fit.
_MARKS: dict[str, tuple[tuple[int, bytes], ...]] = {
    "application/epub+zip": ((0, b"PK\x03\x04"),),
    "application/pdf": ((0, b"%PDF-"),),
    "application/vnd.apple.mpegurl": ((0, b"#EXTM3U"),),  # RFC 8216 section 4.3.1.1
    "application/wasm": ((0, b"\0asm"),),
    "application/zip": ((0, b"PK\x03\x04"), (0, b"PK\x05\x06")),
    "audio/aac": ((0, b"ID3"), (0, b"\xff\xf1"), (0, b"\xff\xf9"), (0, b"\xff\xf0"), (0, b"\xff\xf8")),
    "audio/flac": ((0, b"fLaC"), (0, b"ID3")),
    "audio/mp4": tuple((4, box) for box in _BOXES),
    "audio/mpeg": ((0, b"ID3"), *((0, bytes((0xFF, second))) for second in (0xFB, 0xFA, 0xF3, 0xF2, 0xE3, 0xE2))),
    "audio/ogg": ((0, b"OggS"),),
    "audio/wav": ((8, b"WAVE"),),
    "font/woff2": ((0, b"wOF2"),),
    "image/avif": ((4, b"ftyp"),),
    "image/gif": ((0, b"GIF87a"), (0, b"GIF89a")),
    "image/jpeg": ((0, b"\xff\xd8\xff"),),
    "image/ktx2": ((0, b"\xabKTX 20\xbb\r\n\x1a\n"),),
    "image/png": ((0, b"\x89PNG\r\n\x1a\n"),),
    "image/tiff": ((0, b"II*\0"), (0, b"MM\0*")),
    "image/webp": ((8, b"WEBP"),),
    "model/gltf-binary": ((0, b"glTF"),),
    "model/vnd.usdz+zip": ((0, b"PK\x03\x04"),),
    "video/iso.segment": tuple((4, box) for box in _BOXES),
    "video/matroska": ((0, b"\x1aE\xdf\xa3"),),
    "video/mp2t": ((0, b"\x47"),),
    "video/mp4": tuple((4, box) for box in _BOXES),
    "video/quicktime": tuple((4, box) for box in (*_BOXES, b"wide", b"pnot")),
    "video/webm": ((0, b"\x1aE\xdf\xa3"),),
}
_TEXTS = ("text/", "application/json", "application/dash+xml", "application/xml", "image/svg+xml", "model/gltf+json")
_NAMED = ("image/jpeg", "image/png", "image/gif", "image/webp", "application/pdf", "application/zip", "video/webm")


def fault_in(kind: str, head: bytes) -> str:
    """Return how ``head``, the first ``HEAD`` bytes of a file, contradict the content type ``kind``, or an empty text."""
    bare = kind.partition(";")[0]
    if not head:
        return "is empty"
    if bare.startswith(_TEXTS) and not _is_text(head):
        return f"should be {bare} by its name, and is no UTF-8 text{_like(head)}"
    if bare.endswith(("+xml", "/xml")) and not head.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"<"):
        return f"should be {bare} by its name, and does not begin with '<'"
    if bare == "text/vtt" and not head.removeprefix(codecs.BOM_UTF8).startswith(b"WEBVTT"):
        return "should be WebVTT by its name, and does not begin with 'WEBVTT'"
    marks = _MARKS.get(bare, ())
    if marks and not any(head[at : at + len(mark)] == mark for at, mark in marks):
        return f"should be {bare} by its name, and does not begin so{_like(head)}"
    if bare == "video/mp2t" and len(head) > _TS and head[_TS] != 0x47:
        return f"should be {bare} by its name, and has no sync byte at {_TS}"
    return ""


def _is_text(head: bytes) -> bool:
    if b"\0" in head:
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # a character may be cut at the end
    except UnicodeDecodeError:
        return False
    return True


def _like(head: bytes) -> str:
    for kind in _NAMED:
        if any(head[at : at + len(mark)] == mark for at, mark in _MARKS[kind]):
            return f", but like {kind}"
    return ""
