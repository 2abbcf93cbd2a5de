"""Where pictures end, by their own structure: what stands behind is of another file. Pure."""

from __future__ import annotations

from gateway.filters.inspection import refusal


def png(data: bytes) -> int:
    """Return the byte behind the chunk IEND (W3C PNG, section 5.3)."""
    at = 8
    while at + 12 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        at += 12 + size
        if kind == b"IEND":
            return at
    raise refusal.malformed("the picture has no end")


def gif(data: bytes) -> int:
    """Return the byte behind the trailer (GIF89a, section 27)."""
    at = 13 + _table(data, 10)
    while at < len(data):
        kind = data[at]
        if kind == 0x3B:
            return at + 1
        if kind == 0x21:
            at = _blocks(data, at + 2)
        elif kind == 0x2C:
            at = _blocks(data, at + 10 + _table(data, at + 9) + 1)
        else:
            break
    raise refusal.malformed("the picture has no end")


def _table(data: bytes, at: int) -> int:
    flags = data[at] if at < len(data) else 0
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _blocks(data: bytes, at: int) -> int:
    while at < len(data) and data[at]:
        at += 1 + data[at]
    return at + 1


def webp(data: bytes) -> int:
    """Return the byte behind the RIFF (RFC 9649, section 2.3)."""
    size = int.from_bytes(data[4:8], "little")
    return 8 + size + (size & 1)


def boxes(data: bytes) -> int:
    """Return the byte behind the last whole box (ISO/IEC 14496-12)."""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        elif size == 0:
            return len(data)
        if size < 8 or at + size > len(data):
            break
        at += size
    return at


def jpeg(data: bytes) -> int:
    """Return the byte behind the marker EOI (ITU-T T.81, annex B)."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            raise refusal.malformed(f"no marker stands at byte {at}")
        kind = data[at + 1]
        if kind == 0xFF:  # fill
            at += 1
        elif kind == 0xD9:
            return at + 2
        elif kind == 0x01 or 0xD0 <= kind <= 0xD7:
            at += 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
            if kind == 0xDA:
                at = _scan(data, at)
    if data[at : at + 2] == b"\xff\xd9":
        return at + 2
    raise refusal.malformed("the picture has no end")


def _scan(data: bytes, at: int) -> int:
    """Return where the next marker behind entropy-coded bytes stands."""
    while (at := data.find(b"\xff", at)) >= 0 and at + 1 < len(data):
        following = data[at + 1]
        if following and not 0xD0 <= following <= 0xD7 and following != 0xFF:
            return at
        at += 1 if following == 0xFF else 2
    raise refusal.malformed("the picture has no end")
