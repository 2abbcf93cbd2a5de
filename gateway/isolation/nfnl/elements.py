"""Elements of a set as packed bytes: written into messages, read out of a dump, and compared, fast also where there are 100,000. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from gateway.isolation.nfnl.messages import Damaged, attributes, each_attribute, nested, text
from gateway.isolation.nfnl.requests import DELSETELEM, FAMILIES, NEWSETELEM, Part

LIST_ELEMENTS, LIST_ELEMENT, KEY, VALUE = (
    3,
    1,
    1,
    1,
)  # NFTA_SET_ELEM_LIST_ELEMENTS, NFTA_LIST_ELEM, NFTA_SET_ELEM_KEY, NFTA_DATA_VALUE
NESTED = 0x8000
MOST_IN_ONE = 2000  # elements of one message: its attribute has no more than 64 KiB
Keys = np.ndarray[Any, np.dtype[np.uint8]]


def changes(kind: int, family: str, table: str, name: str, packed: bytes, size: int) -> Iterator[Part]:
    """Yield what adds (``NEWSETELEM``) or removes (``DELSETELEM``) elements of ``size`` bytes each."""
    flags = 0x400 if kind == NEWSETELEM else 0  # NLM_F_CREATE
    head = text(1, table) + text(2, name)
    for start in range(0, len(packed), MOST_IN_ONE * size):
        keys = packed[start : start + MOST_IN_ONE * size]
        yield kind, flags, FAMILIES[family], head + nested(LIST_ELEMENTS, _listed(keys, size))


def added(family: str, table: str, name: str, packed: bytes, size: int) -> Iterator[Part]:
    """Yield what adds elements."""
    return changes(NEWSETELEM, family, table, name, packed, size)


def removed(family: str, table: str, name: str, packed: bytes, size: int) -> Iterator[Part]:
    """Yield what removes elements."""
    return changes(DELSETELEM, family, table, name, packed, size)


def question(table: str, name: str, key: bytes) -> bytes:
    """Return the body that asks whether one element is there."""
    return text(1, table) + text(2, name) + nested(LIST_ELEMENTS, _listed(key, len(key)))


def _template(size: int) -> bytes:
    return struct.pack("=HHHHHH", 12 + size, LIST_ELEMENT | NESTED, 8 + size, KEY | NESTED, 4 + size, VALUE)


def _listed(packed: bytes, size: int) -> bytes:
    count = len(packed) // size
    told = np.empty((count, 12 + size), np.uint8)
    told[:, :12] = np.frombuffer(_template(size), np.uint8)
    told[:, 12:] = np.frombuffer(packed, np.uint8).reshape(count, size)
    return told.tobytes()


def keys_of(body: memoryview, size: int) -> tuple[bytes, list[str]]:
    """Return the plain elements of a NEWSETELEM message, packed, and in words those that are more than a key.

    Raises:
        Damaged: the message is none.
    """
    told = attributes(body[4:]).get(LIST_ELEMENTS)
    if told is None:
        return b"", []
    stride = 12 + size
    if len(told) % stride == 0:
        rows = np.frombuffer(told, np.uint8).reshape(-1, stride)
        # The nested flag of the headers is not written by every kernel.
        heads = np.frombuffer(rows[:, :12].tobytes(), np.uint16).reshape(-1, 6) & np.uint16(0x3FFF)
        if np.array_equal(heads, np.broadcast_to(_heads(size), heads.shape)):
            return bytes(rows[:, 12:].tobytes()), []
    plain, odd = [], []
    for _, element in each_attribute(told):
        inner = attributes(element)
        key = bytes(attributes(inner.get(KEY, memoryview(b""))).get(VALUE, b""))
        if set(inner) == {KEY} and len(key) == size:
            plain.append(key)
        else:
            odd.append(f"{key.hex() or '*'} with attributes {sorted(inner)}")
    return b"".join(plain), odd


def _heads(size: int) -> Any:
    return np.frombuffer(_template(size), np.uint16) & np.uint16(0x3FFF)


def in_order(parts: Iterable[bytes], size: int) -> bytes:
    """Return packed keys sorted as their bytes are."""
    return _packed(np.sort(_rows(b"".join(parts), size)), size)


def repeated(packed: bytes, size: int) -> bool:
    """Return whether a key stands twice among ``packed`` ones, which are in order."""
    rows = _rows(packed, size)
    return bool((rows[1:] == rows[:-1]).any())


def difference(wanted: bytes, seen: bytes, size: int) -> tuple[bytes, bytes]:
    """Return the packed keys that ``seen`` lacks and those it has too much; both in order, each key once.

    Raises:
        Damaged: one of them is no whole number of keys.
    """
    if wanted == seen:
        return b"", b""
    want, have = _rows(wanted, size), _rows(seen, size)
    return _packed(_without(want, have), size), _packed(_without(have, want), size)


def changed(packed: bytes, add: bytes, drop: bytes, size: int) -> bytes:
    """Return ``packed`` with some keys more and some less, in order."""
    rows = _rows(packed, size)
    if drop:
        rows = _without(rows, _rows(drop, size))
    if add:
        more = _without(_rows(add, size), rows)
        rows = np.insert(rows, np.searchsorted(rows, more), more)
    return _packed(rows, size)


def _without(rows: Any, others: Any) -> Any:
    """Return the sorted ``rows`` that are not among the sorted ``others``."""
    if not len(others):
        return rows
    places = np.searchsorted(others, rows)
    places[places == len(others)] = 0
    return rows[others[places] != rows]


def _rows(packed: bytes, size: int) -> Any:
    if len(packed) % size:
        raise Damaged(f"{len(packed)} bytes are no whole number of keys of {size}")
    # Numpy compares these as memcmp does, but for zeros at the end, which in keys of one length change no order.
    return np.frombuffer(packed, ">u4" if size == 4 else f"S{size}")


def _packed(rows: Any, size: int) -> bytes:
    packed: bytes = rows.astype(">u4" if size == 4 else f"S{size}", copy=False).tobytes()
    return packed
