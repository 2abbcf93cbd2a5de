"""One rule as the kernel runs it: its expressions, one after the other, over registers -> what it needs, and its verdict.

A listing by nft hides what it takes for granted (a dependency on the IP version, say); the kernel's own expressions hide nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from gateway.isolation.nfnl.messages import attributes, each_attribute, integer, word
from gateway.isolation.proof import values as sets
from gateway.isolation.proof.loads import (
    CT_STATE,
    ETHERNET,
    LINK_HEADER,
    METAS,
    NETWORK,
    NETWORK_HEADER,
    TRANSPORT,
    TRANSPORT_HEADER,
    Layout,
    Piece,
    compared,
    pieces,
    values_of,
)
from gateway.isolation.proof.matches import Unknown
from gateway.isolation.proof.rules import Needs
from gateway.isolation.proof.values import Values

Told = Mapping[int, memoryview]
DROP, ACCEPT = 0, 1
MOST_CHOICES = 64  # IP protocols among which a rule may leave open what it reads


@dataclass(frozen=True)
class Keys:
    """A set as the kernel holds it: single keys packed, or pairs of first and last key."""

    size: int
    packed: bytes = b""
    pairs: tuple[tuple[bytes, bytes], ...] = ()

    def listed(self) -> list[tuple[bytes, bytes]]:
        """Return every key as a pair."""
        singles = [self.packed[at : at + self.size] for at in range(0, len(self.packed), self.size)]
        return [*((key, key) for key in singles), *self.pairs]


@dataclass
class _Loaded:
    """What a register holds."""

    pieces: tuple[Piece, ...]
    mask: bytes
    flip: bytes


@dataclass
class Run:
    """A rule's run over the registers."""

    lookup: Callable[[str], Keys]
    needs: list[Needs] = field(default_factory=lambda: [()])
    verdict: bool | None = None
    kinds: list[str] = field(default_factory=list)
    _slots: dict[int, _Loaded] = field(default_factory=dict)

    def go(self, expressions: memoryview) -> None:
        """Run all expressions.

        Raises:
            Unknown: one of them is none of ours.
        """
        for _, element in each_attribute(expressions):
            told = attributes(element)
            kind, data = word(told.get(1)), attributes(told.get(2, memoryview(b"")))
            if self.verdict is not None:
                raise Unknown(f"{kind} after the verdict")
            self.kinds.append(kind)
            work = _WORK.get(kind)
            if work is None:
                raise Unknown(kind)
            try:
                work(self, data)
            except KeyError as error:
                raise Unknown(f"{kind} without attribute {error}") from error
        if self.verdict is not None and "limit" in self.kinds:
            raise Unknown("a limit before the verdict")

    def _ask(self, name: str, values: Values) -> None:
        self.needs = [(*one, (name, values)) for one in self.needs]

    def _known(self, name: str, choices: Mapping[int, Layout]) -> list[Layout]:
        """Return the layouts that a header may have, after what the rule asked so far."""
        asked = [values for needed, values in self.needs[0] if needed == name and not values.inverted]
        if not asked or len(self.needs) != 1:
            raise Unknown(f"reads a header without asking for its {name}")
        ranges = asked[0].ranges
        if sum(last - first + 1 for first, last in ranges) > MOST_CHOICES:
            raise Unknown(f"reads a header that may be of many a {name}")
        numbers = [number for first, last in ranges for number in range(first, last + 1)]
        numbers = [number for number in numbers if all(number in values for values in asked)]
        if not numbers or any(number not in choices for number in numbers):
            raise Unknown(f"reads a header of {name} {numbers}")
        return [choices[number] for number in numbers]

    def _put(self, told: Told, found: tuple[Piece, ...], length: int) -> None:
        if 1 not in told:
            raise Unknown("writes into the packet or what the kernel knows of it")
        self._slots[_slot(told[1])] = _Loaded(found, b"\xff" * length, bytes(length))

    def _get(self, told: Told, kind: int, length: int) -> _Loaded:
        loaded = self._slots.get(_slot(told[kind]))
        if loaded is None or len(loaded.mask) != length:
            raise Unknown(f"a register of {length} bytes that was not loaded so")
        return loaded

    def payload(self, told: Told) -> None:
        """Load bytes of a header."""
        base, offset, length = (integer(told.get(kind)) for kind in (2, 3, 4))
        if base == LINK_HEADER:
            layouts = [ETHERNET]
        elif base == NETWORK_HEADER:
            layouts = self._known("protocol", NETWORK)
        elif base == TRANSPORT_HEADER:
            layouts = self._known("l4proto", TRANSPORT)
            self._ask("transport", sets.of(0))
        else:
            raise Unknown(f"payload of base {base}")
        self._put(told, pieces(layouts, offset, length), length)

    def meta(self, told: Told) -> None:
        """Load what the kernel knows of the packet."""
        key = integer(told.get(2))
        if key not in METAS:
            raise Unknown(f"meta key {key}")
        self._put(told, (METAS[key],), METAS[key].size)

    def ct(self, told: Told) -> None:
        """Load the state of the connection."""
        if integer(told.get(2)) != 0 or 3 in told:
            raise Unknown(f"ct key {integer(told.get(2))}")
        self._put(told, (CT_STATE,), CT_STATE.size)

    def bitwise(self, told: Told) -> None:
        """Take bits out of a register."""
        length = integer(told.get(3))
        loaded = self._get(told, 1, length)
        mask, flip = _data(told, 4), _data(told, 5)
        fresh = all(byte == 0xFF for byte in loaded.mask) and not any(loaded.flip)
        if integer(told.get(6)) != 0 or len(loaded.pieces) != 1 or not fresh or not len(mask) == len(flip) == length:
            raise Unknown("bitwise of more than a mask")
        self._slots[_slot(told[2])] = _Loaded(loaded.pieces, mask, flip)

    def cmp(self, told: Told) -> None:
        """Compare a register."""
        op, data = integer(told.get(2)), _data(told, 3)
        loaded = self._get(told, 1, len(data))
        if len(loaded.pieces) > 1 and op != 0:
            raise Unknown("compares several fields together, other than for equality")
        place = 0
        for piece in loaded.pieces:
            end = place + piece.size
            part = compared(piece, loaded.mask[place:end], loaded.flip[place:end], op, data[place:end])
            self._ask(piece.field, part)
            place = end

    def range(self, told: Told) -> None:
        """Compare a register with a range."""
        op, first, last = integer(told.get(2)), _data(told, 3), _data(told, 4)
        loaded = self._get(told, 1, len(first))
        if len(loaded.pieces) != 1 or loaded.pieces[0].coding or op > 1 or not all(b == 0xFF for b in loaded.mask):
            raise Unknown("a range of more than a field")
        found = values_of(loaded.pieces[0], [(first, last)])
        self._ask(loaded.pieces[0].field, found.but() if op == 1 else found)

    def look(self, told: Told) -> None:
        """Ask a set."""
        if 3 in told:
            raise Unknown("a map")
        keys, inverted = self.lookup(word(told.get(1))), integer(told.get(5)) == 1
        held = list(self._row(_slot(told[2]), keys.size))
        if len(held) == 1:
            self._ask(held[0][0].field, _among(held[0][0], keys, inverted=inverted))
        else:
            self._pairs(held, keys, inverted=inverted)

    def _row(self, slot: int, size: int) -> Iterator[tuple[Piece, int]]:
        """Yield the pieces in ``size`` bytes of registers, each with its bytes in a key; they are filled up to four."""
        end = slot + (size + 3) // 4
        while slot < end:
            loaded = self._slots.get(slot)
            if loaded is None or len(loaded.pieces) != 1 or any(loaded.flip) or not all(b == 0xFF for b in loaded.mask):
                raise Unknown("a set is asked for what was not loaded plainly")
            width = (len(loaded.mask) + 3) // 4
            yield loaded.pieces[0], 4 * width
            slot += width
        if slot != end:
            raise Unknown("a set is asked for a part of what was loaded")

    def _pairs(self, held: list[tuple[Piece, int]], keys: Keys, *, inverted: bool) -> None:
        if len(held) != 2:
            raise Unknown("a set of more than two fields together")
        (one, width), (two, _) = held
        by_first: dict[bytes, list[tuple[bytes, bytes]]] = {}
        for key, end in keys.listed():
            if key != end:
                raise Unknown("ranges of two fields together")
            other = key[width : width + two.size]
            by_first.setdefault(key[: one.size], []).append((other, other))
        choices: list[Needs] = []
        for first, others in by_first.items():
            there = values_of(two, others)
            here = values_of(one, [(first, first)])
            choices.append(((one.field, here), (two.field, there.but() if inverted else there)))
        if inverted:
            choices.append(((one.field, values_of(one, [(key, key) for key in by_first]).but()),))
        self.needs = [(*one_needs, *choice) for one_needs in self.needs for choice in choices]

    def immediate(self, told: Told) -> None:
        """Give the verdict."""
        verdict = attributes(attributes(told.get(2, memoryview(b""))).get(2, memoryview(b"")))
        if integer(told.get(1)) != 0 or 1 not in verdict or integer(verdict[1]) not in (DROP, ACCEPT):
            raise Unknown("a verdict that is neither accept nor drop")
        self.verdict = integer(verdict[1]) == ACCEPT

    def passed(self, told: Told) -> None:
        """Let pass what changes no verdict by itself."""

    def log(self, told: Told) -> None:
        """Let pass a log to a group of netlink's; one to the kernel's own is no sample."""
        if 1 not in told:
            raise Unknown("a log to no group")


_WORK: Mapping[str, Callable[[Run, Told], None]] = {
    "payload": Run.payload,
    "meta": Run.meta,
    "ct": Run.ct,
    "bitwise": Run.bitwise,
    "cmp": Run.cmp,
    "range": Run.range,
    "lookup": Run.look,
    "immediate": Run.immediate,
    "counter": Run.passed,
    "limit": Run.passed,
    "log": Run.log,
}


def _slot(value: memoryview) -> int:
    """Return the first of the 4-byte slots of a register, by either of its two ways of numbering."""
    register = integer(value)
    if not 1 <= register <= 23 or 5 <= register <= 7:
        raise Unknown(f"register {register}")
    return 4 * register if register <= 4 else register - 4


def _data(told: Told, kind: int) -> bytes:
    return bytes(attributes(told.get(kind, memoryview(b""))).get(1, b""))


def _among(piece: Piece, keys: Keys, *, inverted: bool) -> Values:
    if piece.coding or piece.size != piece.whole or piece.size not in (4, 16):
        found = values_of(piece, keys.listed())
    else:
        ranges = [(int.from_bytes(first, "big"), int.from_bytes(last, "big")) for first, last in keys.pairs]
        found = sets.of_ranges(ranges, (keys.packed,) if keys.packed else (), piece.size)
    return found.but() if inverted else found
