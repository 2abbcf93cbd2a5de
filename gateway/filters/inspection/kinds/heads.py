"""Fonts, 3D models and WebAssembly: their heads, and lengths that agree with the file's."""

from __future__ import annotations

import struct

from gateway.filters.inspection import refusal
from gateway.filters.inspection.kinds import references
from gateway.filters.inspection.kinds.kind import Told, Whole
from gateway.filters.inspection.kinds.structured import parsed
from gateway.filters.inspection.kinds.text import decoded

FONTS = {b"\0\1\0\0", b"OTTO", b"true", b"ttcf"}
MOST_TABLES = 200


class Font(Whole):
    """WOFF, WOFF2, TrueType, OpenType."""

    largest = 32 << 20

    def judge(self, data: bytes) -> None:
        """Refuse what is no font of its type, or longer or shorter than it says."""
        if self.told.type in ("font/woff", "font/woff2"):
            magic = b"wOF2" if self.told.type == "font/woff2" else b"wOFF"
            if data[:4] != magic or len(data) < 44:
                raise refusal.mismatch(f"this is no {self.told.type}")
            if int.from_bytes(data[8:12], "big") != len(data):
                raise refusal.polyglot("the font is longer or shorter than it says")
            return
        if data[:4] not in FONTS:
            raise refusal.mismatch("this is no font")
        count = int.from_bytes(data[4:6], "big")
        if data[:4] != b"ttcf" and not 1 <= count <= MOST_TABLES:
            raise refusal.malformed(f"a font of {count} tables")
        end = 12 + 16 * count
        for index in range(count if data[:4] != b"ttcf" else 0):
            at = 12 + 16 * index
            offset, size = struct.unpack_from(">II", data.ljust(at + 16, b"\0"), at + 8)
            end = max(end, offset + size)
        if data[:4] != b"ttcf" and not end <= len(data) <= end + 3:
            raise refusal.polyglot("the font's tables do not end with the file")


class Model(Whole):
    """glTF, as JSON or binary."""

    largest = 256 << 20

    def judge(self, data: bytes) -> None:
        """Refuse what is no model, or leads out."""
        text = data
        if self.told.type == "model/gltf-binary":
            if data[:4] != b"glTF" or len(data) < 20:
                raise refusal.mismatch("this is no binary glTF")
            if int.from_bytes(data[8:12], "little") != len(data):
                raise refusal.polyglot("the model is longer or shorter than it says")
            size = int.from_bytes(data[12:16], "little")
            if data[16:20] != b"JSON" or 20 + size > len(data):
                raise refusal.malformed("the model's first part is not its description")
            text = data[20 : 20 + size]
        told = parsed(decoded(text))
        if not isinstance(told, dict) or "asset" not in told:
            raise refusal.mismatch("this is no glTF")
        for part in ("buffers", "images"):
            held = told.get(part, [])
            for each in held if isinstance(held, list) else []:
                uri = each.get("uri") if isinstance(each, dict) else None
                if isinstance(uri, str) and not uri.startswith(
                    ("data:application/octet-stream;base64,", "data:image/")
                ):
                    references.check(uri, self.told.path)


class WebAssembly(Whole):
    """A module: only of releases that are applications, over lanes that are active."""

    largest = 64 << 20

    def __init__(self, told: Told) -> None:
        super().__init__(told)
        if not told.application:
            raise refusal.active("WebAssembly runs: the release needs the label 'application', the lane 'active: true'")

    def judge(self, data: bytes) -> None:
        """Refuse what is no module whose sections cover the file."""
        if data[:8] != b"\0asm\1\0\0\0":
            raise refusal.mismatch("this is no WebAssembly")
        at = 8
        while at < len(data):
            size, shift, at = 0, 0, at + 1
            while at < len(data) and shift < 35:
                size |= (data[at] & 127) << shift
                shift, at, more = shift + 7, at + 1, data[at] & 128
                if not more:
                    break
            at += size
        if at != len(data):
            raise refusal.malformed("the module's sections do not end with the file")
