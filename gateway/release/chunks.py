"""How finely the bytes of a release's files are signed: what is played while it comes in small chunks, all else in large ones. Pure.

A chunk leaves for screens only once all of it came and is what was signed: of a segment of 2 MiB whose origin gives 1 MiB a second the
first byte is at a screen after a quarter of a second instead of two. Each digest makes the manifest 67 bytes longer, so that the
chunks grow with the file, and with the release.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.release import media
from gateway.release.manifest import LARGEST_CHUNK, MOST_FILES

FINEST = 256 << 10  # bytes
MOST_OF_FILE = 1024  # digests of one file, as long as its chunks are not the largest
MOST = MOST_FILES  # files and digests of a release
PLAYED = ("audio/", "video/")  # content types of which a player takes the first bytes before the last ones came


def chosen(sizes: Mapping[str, int]) -> dict[str, int]:
    """Return the bytes of the chunks of each file; ``sizes`` are the bytes of each file by its path."""
    played = {name: size for name, size in sizes.items() if media.type_of(name).startswith(PLAYED)}
    finest = FINEST
    while (
        finest < LARGEST_CHUNK and len(sizes) + sum(count(size, grown(size, finest)) for size in played.values()) > MOST
    ):
        finest *= 2
    return {name: grown(size, finest) if name in played else LARGEST_CHUNK for name, size in sizes.items()}


def grown(size: int, finest: int) -> int:
    """Return the smallest chunk from ``finest`` on with which a file of ``size`` bytes has not too many."""
    chunk = finest
    while chunk < LARGEST_CHUNK and size > MOST_OF_FILE * chunk:
        chunk *= 2
    return chunk


def count(size: int, chunk: int) -> int:
    """Return how many digests a file of ``size`` bytes has: none where the whole is one chunk."""
    return -(-size // chunk) if size > chunk else 0
