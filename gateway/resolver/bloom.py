"""A Bloom filter of a level's codes, with one hash: a code that is not there is nearly always known not to be, without a look. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

hashed = crc32  # the same in every process and on every machine, and fast
MOST = 1 << 20  # codes; only the oldest level has more, and in that one nearly everything is found
_BITS = 64  # a code, at least: one in so many that are not there is looked for all the same


def bloom(hashes: Sequence[int]) -> bytes:
    """Return the filter of codes with these hashes (``hashed``)."""
    size = 1 << (len(hashes) * _BITS // 8).bit_length()  # bytes: a power of two
    bits = bytearray(size)
    for one in hashes:
        bits[one >> 3 & size - 1] |= 1 << (one & 7)
    return bytes(bits)


def perhaps(bits: bytes, codes: Sequence[bytes]) -> list[int]:
    """Return the places in ``codes`` of those of which the filter ``bits`` may have been made."""
    mask = len(bits) - 1
    return [at for at, one in enumerate(map(hashed, codes)) if bits[one >> 3 & mask] & 1 << (one & 7)]
