"""MPEG transport streams (ISO/IEC 13818-1): whole packets, and none that the tables do not name."""

from __future__ import annotations

import sys

from gateway.filters.inspection import refusal
from gateway.filters.inspection.kinds.kind import Told

PACKET = 188  # bytes
SYNC = b"\x47"
PAT, LAST_RESERVED, NULL = 0x0000, 0x001F, 0x1FFF
START = 0x40  # in the second byte: a section or a packet of the stream begins here
MOST_PROGRAMS = 64
LATEST_TABLES = (
    4000  # packets (some 750 kB) before which the tables have to come: a player joins at a segment's beginning
)
_START_AND_PID = bytes(byte & (START | 0x1F) for byte in range(256))  # of the second byte
_HOLDING = bytes(byte for byte in range(256) if byte & 0x30)  # fourth bytes that say what the packet holds
_CLEAR = bytes(range(0x40))  # fourth bytes without transport_scrambling_control
Packet = bytes


class Transport:
    """One segment or stream."""

    streams = True

    def __init__(self, told: Told) -> None:
        if told.size % PACKET:
            raise refusal.mismatch(
                f"a transport stream is packets of {PACKET} bytes; {told.size} is no multiple of that"
            )
        self._rest = b""
        self._programs: set[int] = set()  # PIDs of the tables of programs
        self._named: set[int] = set()  # PIDs that those name
        self._seen: set[int] = set()
        self._count = 0

    def feed(self, data: bytes) -> None:
        """Look at each packet's head, and into the tables."""
        data = self._rest + data
        whole = len(data) - len(data) % PACKET
        self._rest = data[whole:]
        if not whole:
            return
        count = whole // PACKET
        first = data[0:whole:PACKET]
        if first != SYNC * count:
            at = self._count + len(first) - len(first.lstrip(SYNC))
            raise refusal.mismatch(f"packet {at} does not begin with the synchronisation byte")
        if data[3:whole:PACKET].translate(None, _HOLDING):
            raise refusal.malformed("a packet holds neither payload nor adaptation field")
        if data[3:whole:PACKET].translate(None, _CLEAR):
            raise refusal.encrypted_content("packets of the stream are scrambled: nobody can look into them")
        heads = bytearray(2 * count)  # the PID of each packet, and whether something begins in it: two bytes
        heads[0::2] = data[1:whole:PACKET].translate(_START_AND_PID)
        heads[1::2] = data[2:whole:PACKET]
        there = {head.to_bytes(2, sys.byteorder) for head in set(memoryview(heads).cast("H"))}
        self._look(data, heads, there)
        self._seen.update(_pid(head) for head in there)
        self._count += count
        if self._count > LATEST_TABLES:
            self._check()

    def finish(self) -> None:
        """Refuse a stream without tables, or with packets that they do not name."""
        if not self._count:
            raise refusal.mismatch("there is no packet in this stream")
        self._check()

    def _check(self) -> None:
        if not self._programs or not self._named:
            raise refusal.malformed("the stream does not say which programs it holds")
        strange = {pid for pid in self._seen - self._programs - self._named if LAST_RESERVED < pid < NULL}
        if strange:
            raise refusal.malformed(f"packets of the PID 0x{min(strange):04x}, which no table names")

    def _look(self, data: bytes, heads: bytearray, there: set[bytes]) -> None:
        """Look into the tables; the table of programs may be here, and the programs' own behind it."""
        begin = {_pid(head): head for head in there if head[0] & START}
        looked: set[int] = set()
        while wanted := {PAT, *self._programs} & begin.keys() - looked:
            looked |= wanted
            for at, pid in sorted((at, each) for each in wanted for at in _where(heads, begin[each])):
                self._table(pid, data[at * PACKET : (at + 1) * PACKET])

    def _table(self, pid: int, packet: Packet) -> None:
        section = _section(packet)
        if section is None:
            return
        if pid == PAT and section[0] == 0x00:
            for at in range(8, len(section) - 4 - 3, 4):
                self._programs.add(int.from_bytes(section[at + 2 : at + 4], "big") & 0x1FFF)
            if len(self._programs) > MOST_PROGRAMS:
                raise refusal.bomb(f"more than {MOST_PROGRAMS} programs")
        elif section[0] == 0x02 and len(section) > 16:
            self._named.add(int.from_bytes(section[8:10], "big") & 0x1FFF)  # of the clock
            at = 12 + (int.from_bytes(section[10:12], "big") & 0x0FFF)
            while at + 5 <= len(section) - 4:
                self._named.add(int.from_bytes(section[at + 1 : at + 3], "big") & 0x1FFF)
                at += 5 + (int.from_bytes(section[at + 3 : at + 5], "big") & 0x0FFF)


def _pid(head: bytes) -> int:
    return (head[0] & 0x1F) << 8 | head[1]


def _where(heads: bytearray, head: bytes) -> list[int]:
    """Return the packets that begin so."""
    found, at = [], heads.find(head)
    while at >= 0:
        if at % 2 == 0:
            found.append(at // 2)
        at = heads.find(head, at + 1)
    return found


def _section(packet: Packet) -> bytes | None:
    """Return the section that begins in a packet, where it is whole and its check sum right; longer ones are not looked into.

    Raises:
        Refused: its check sum is wrong.
    """
    control, at = packet[3] & 0x30, 4
    if control == 0x20:
        return None
    if control == 0x30:
        at += 1 + packet[4]
    if at >= PACKET:
        return None
    at += 1 + packet[at]
    if at + 3 > PACKET:
        return None
    size = int.from_bytes(packet[at + 1 : at + 3], "big") & 0x0FFF
    section = packet[at : at + 3 + size]
    if size < 9 or len(section) < 3 + size:
        return None
    if _crc(section):
        raise refusal.malformed("a table's check sum is wrong")
    return section


def _crc(data: bytes) -> int:
    """Return the CRC-32 of ISO/IEC 13818-1 annex A, which is 0 over a section with its own."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = ((value << 1) ^ 0x04C11DB7 if value & 0x80000000 else value << 1) & 0xFFFFFFFF
    return value
