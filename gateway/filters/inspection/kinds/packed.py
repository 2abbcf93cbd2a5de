"""ZIP-based types (EPUB, USDZ): listed, measured, and unpacked within bounds."""

from __future__ import annotations

import io
import re
import zipfile

from appliance.runtime.errors import Refused
from gateway.filters.inspection import refusal
from gateway.filters.inspection.kinds.kind import Whole
from gateway.filters.inspection.kinds.opaque import known_as

MOST_FILES = 10_000
MOST_BYTES = 512 << 20  # unpacked, all together
MOST_RATIO = 200  # unpacked to packed, of files above SMALL
SMALL = 1 << 20  # bytes
ARCHIVES = (b"PK\x03\x04", b"Rar!", b"7z\xbc\xaf", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
_RUNS = re.compile(rb"<\s*script\b|javascript:|<\s*iframe\b", re.IGNORECASE)


class Packed(Whole):
    """One archive."""

    largest = 256 << 20

    def judge(self, data: bytes) -> None:
        """Refuse bombs, archives in archives, names that lead out, and what runs."""
        if not data.startswith(b"PK\x03\x04"):
            raise refusal.mismatch("this is no ZIP archive")
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                self._look(archive, data)
        except Refused:
            raise
        except Exception as error:  # (its reader raises whatever a damaged file makes it stumble over)
            raise refusal.malformed(f"the archive is damaged: {str(error)[:200]}") from error

    def _look(self, archive: zipfile.ZipFile, data: bytes) -> None:
        entries = archive.infolist()
        if len(entries) > MOST_FILES:
            raise refusal.bomb(f"{len(entries)} files")
        if len({entry.filename for entry in entries}) != len(entries):
            raise refusal.malformed("a name stands twice in the archive")
        if self.told.type == "application/epub+zip" and data[30:58] != b"mimetypeapplication/epub+zip":
            raise refusal.mismatch("this is no EPUB: its first file does not say so")
        left = MOST_BYTES
        for entry in entries:
            _name(entry)
            if entry.flag_bits & 1:
                raise refusal.encrypted("a file in the archive is encrypted")
            left -= self._unpacked(archive, entry, left)

    def _unpacked(self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, left: int) -> int:
        size, head = 0, b""
        with archive.open(entry) as file:
            while block := file.read(1 << 20):
                head = head or block[:4096]
                size += len(block)
                if size > left or (size > SMALL and size > MOST_RATIO * max(1, entry.compress_size)):
                    raise refusal.bomb(f"'{entry.filename[:100]}' unpacks to more than is bearable")
                if _RUNS.search(block):
                    raise refusal.active(f"'{entry.filename[:100]}' holds a script")
        if head.startswith(ARCHIVES):
            raise refusal.bomb(f"'{entry.filename[:100]}' is an archive in the archive")
        if found := known_as(head):
            raise refusal.active(f"'{entry.filename[:100]}' is {found}")
        return size


def _name(entry: zipfile.ZipInfo) -> None:
    name = entry.filename
    if (
        name.startswith("/")
        or "\\" in name
        or "\0" in name
        or ".." in name.split("/")
        or len(name) > 1000
        or ":" in name
    ):
        raise refusal.outside(f"the name '{name[:100]}' leads out of the archive")
    if entry.external_attr >> 16 & 0o170000 == 0o120000:
        raise refusal.outside(f"'{name[:100]}' is a link")
