"""The kernel's own expressions: what they mean for a packet's fields, and what is refused as not ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.isolation.nfnl.messages import attribute, nested, number, text
from gateway.isolation.proof.loads import compared, pieces
from gateway.isolation.proof.matches import Unknown
from gateway.isolation.proof.registers import Keys, Run

EQUAL, NOT_EQUAL, LESS, MOST, MORE, LEAST = range(6)


def expression(name: str, *told: bytes) -> bytes:
    return nested(1, text(1, name), nested(2, *told))


def payload(base: int, offset: int, length: int, register: int = 1) -> bytes:
    return expression("payload", number(1, register), number(2, base), number(3, offset), number(4, length))


def meta(key: int) -> bytes:
    return expression("meta", number(1, 1), number(2, key))


def cmp(data: bytes, op: int = EQUAL, register: int = 1) -> bytes:
    return expression("cmp", number(1, register), number(2, op), nested(3, attribute(1, data)))


def bitwise(mask: bytes, flip: bytes | None = None) -> bytes:
    length = len(mask)
    told = (number(1, 1), number(2, 1), number(3, length), nested(4, attribute(1, mask)))
    return expression("bitwise", *told, nested(5, attribute(1, flip or bytes(length))))


def lookup(name: str, register: int = 1, *, inverted: bool = False) -> bytes:
    return expression("lookup", text(1, name), number(2, register), number(5, int(inverted)))


def verdict(code: int) -> bytes:
    return expression("immediate", number(1, 0), nested(2, nested(2, number(1, code))))


ACCEPT, DROP = verdict(1), verdict(0)
IPV4, ARP, TCP = (meta(1) + cmp(b"\x08\x00")), (meta(1) + cmp(b"\x08\x06")), (meta(16) + cmp(b"\x06"))


def ran(*expressions: bytes, sets: dict[str, Keys] | None = None) -> Run:
    run = Run(lambda name: (sets or {})[name])
    run.go(memoryview(b"".join(expressions)))
    return run


@pytest.mark.parametrize(
    ("expressions", "field", "ranges"),
    [
        ([TCP, payload(2, 2, 2), cmp(b"\x00\x50")], "dport", ((80, 80),)),
        ([TCP, payload(2, 2, 2), cmp(b"\x00\x50", NOT_EQUAL)], "dport", ("but", (80, 80))),
        ([TCP, payload(2, 2, 2), cmp(b"\x04\x00", LEAST)], "dport", ((1024, 65535),)),
        ([TCP, payload(2, 2, 2), cmp(b"\x04\x00", LESS)], "dport", ((0, 1023),)),
        ([TCP, payload(2, 13, 1), bitwise(b"\x17"), cmp(b"\x02")], "tcp flags", tuple((n, n) for n in range(256) if n & 0x17 == 2)),
        ([IPV4, payload(1, 12, 4), cmp(b"\x0a\x14\x00\x07")], "ip saddr", ((0x0A140007, 0x0A140007),)),
        ([IPV4, payload(1, 12, 3), cmp(b"\x0a\x14\x00")], "ip saddr", ((0x0A140000, 0x0A1400FF),)),
        ([IPV4, payload(1, 16, 4), bitwise(b"\xff\xff\xfc\0"), cmp(b"\x0a\x14\0\0", 1)], "ip daddr", ("but", (0x0A140000, 0x0A1403FF))),
        ([IPV4, payload(1, 12, 4), bitwise(b"\xff\xff\xff\x00"), cmp(b"\x0a\x14\x00\x01")], "ip saddr", ()),
        ([IPV4, payload(1, 0, 1), bitwise(b"\x0f"), cmp(b"\x05", NOT_EQUAL)], "ip hdrlength", ((0, 4), (6, 15))),
        ([meta(6), cmp(b"lo".ljust(16, b"\0"))], "iif", ((0, 0),)),
        ([meta(6), cmp(b"port7".ljust(16, b"\0"))], "iif", ()),
        ([expression("ct", number(1, 1), number(2, 0)), bitwise(b"\x0a\0\0\0"), cmp(bytes(4), NOT_EQUAL)], "ct state", ((0, 1),)),
        ([meta(15), cmp(b"\x0a")], "protocol", ((0x86DD, 0x86DD),)),
        ([payload(0, 6, 6), cmp(b"\x02\0\0\0\0\x07")], "ether saddr", ((0x020000000007, 0x020000000007),)),
    ],
)  # fmt: skip
def test_what_is_compared(expressions: list[bytes], field: str, ranges: object) -> None:
    """Each comparison is exactly the values of a field for which it holds."""
    run = ran(*expressions, ACCEPT)
    assert run.verdict is True
    values = [values for name, values in run.needs[0] if name == field][-1]
    told = ("but", *values.ranges) if values.inverted else values.ranges
    assert told == ranges


def test_several_fields_in_one_comparison() -> None:
    """nft joins neighbours in a header into one load."""
    run = ran(ARP, payload(1, 0, 4), cmp(b"\x00\x01\x08\x00"), DROP)
    assert run.verdict is False
    needs = dict(run.needs[0])
    assert (needs["arp htype"].ranges, needs["arp ptype"].ranges) == (((1, 1),), ((0x0800, 0x0800),))


def test_an_address_and_a_mac_together() -> None:
    """A set of pairs is one choice for each address; none of them is every other MAC, or every other address."""
    key = b"\x0a\x0a\x00\x01" + b"\x02\xaa\0\0\0\1\0\0"
    sets = {"pairs": Keys(12, pairs=((key, key),))}
    loads = [IPV4, payload(1, 12, 4, 1), payload(0, 6, 6, 9)]
    run = ran(*loads, lookup("pairs"), ACCEPT, sets=sets)
    assert [dict(needs)["ether saddr"].inverted for needs in run.needs] == [False]
    run = ran(*loads, lookup("pairs", inverted=True), DROP, sets=sets)
    first, second = run.needs
    assert dict(first)["ip saddr"].ranges == ((0x0A0A0001, 0x0A0A0001),)
    assert dict(first)["ether saddr"].inverted
    assert dict(second)["ip saddr"].inverted
    assert "ether saddr" not in dict(second)


def test_large_sets_stay_packed() -> None:
    """Many keys are not taken apart."""
    packed = b"".join(n.to_bytes(4, "big") for n in range(0, 6000, 2))
    run = ran(IPV4, payload(1, 12, 4), lookup("many"), ACCEPT, sets={"many": Keys(4, packed)})
    assert dict(run.needs[0])["ip saddr"].packed == (packed,)


@pytest.mark.parametrize(
    ("expressions", "why"),
    [
        ([payload(1, 12, 4), cmp(bytes(4)), ACCEPT], "reads a header without asking for its protocol"),
        ([payload(2, 2, 2), cmp(bytes(2)), ACCEPT], "reads a header without asking for its l4proto"),
        ([meta(1), cmp(b"\x08\x00", NOT_EQUAL), payload(1, 12, 4), ACCEPT], "without asking for its protocol"),
        ([meta(16), cmp(b"\x20"), payload(2, 2, 2), ACCEPT], "reads a header of l4proto"),
        ([IPV4, payload(1, 13, 2), ACCEPT], "bytes 13 to 15"),
        ([IPV4, payload(1, 40, 4), ACCEPT], "bytes 40 to 44"),
        ([payload(3, 0, 4), ACCEPT], "payload of base 3"),
        ([IPV4, payload(1, 12, 4), bitwise(b"\xff\x00\xff\x00"), cmp(bytes(4)), ACCEPT], "under the mask"),
        ([IPV4, payload(1, 12, 4), bitwise(b"\xff\xff\xff\x00", b"\0\0\0\1"), cmp(bytes(4)), ACCEPT], "under the mask"),
        ([IPV4, payload(1, 12, 4), cmp(bytes(2)), ACCEPT], "a register of 2 bytes"),
        ([cmp(bytes(4)), ACCEPT], "that was not loaded so"),
        ([meta(3), cmp(bytes(4)), ACCEPT], "meta key 3"),
        ([meta(4), cmp(bytes(4)), ACCEPT], "meta key 4"),
        ([expression("meta", number(2, 3), number(3, 1)), ACCEPT], "meta key 3"),
        ([expression("meta", number(2, 16), number(3, 1)), ACCEPT], "writes"),
        ([IPV4, expression("payload", number(5, 1), number(2, 1), number(3, 8), number(4, 1)), ACCEPT], "writes into the packet"),
        ([expression("ct", number(1, 1), number(2, 3)), ACCEPT], "ct key 3"),
        ([expression("ct", number(1, 1), number(2, 0), attribute(3, b"\0")), ACCEPT], "ct key"),
        ([IPV4, payload(1, 0, 1), cmp(b"\x45"), ACCEPT], "version and header length together"),
        ([IPV4, payload(1, 12, 4), expression("cmp", number(2, 0))], "cmp without"),
        ([IPV4, expression("payload", number(1, 1), number(2, 1))], "bytes 0 to 0"),
        ([expression("fwd", number(1, 1))], "fwd"),
        ([expression("queue", number(1, 1))], "queue"),
        ([expression("notrack")], "notrack"),
        ([expression("objref", number(1, 1))], "objref"),
        ([expression("match", text(1, "comment"))], "match"),
        ([expression("log", text(2, "x"))], "a log to no group"),
        ([expression("limit", number(1, 1)), ACCEPT], "a limit before the verdict"),
        ([ACCEPT, expression("counter")], "counter after the verdict"),
        ([verdict(0xFFFFFFFD)], "neither accept nor drop"),
        ([verdict(3)], "neither accept nor drop"),
        ([expression("immediate", number(1, 1), nested(2, attribute(1, bytes(4))))], "neither accept nor drop"),
        ([IPV4, payload(1, 12, 4), expression("lookup", text(1, "m"), number(2, 1), number(3, 0))], "a map"),
        ([expression("payload", number(1, 6), number(2, 0), number(3, 0), number(4, 6))], "register 6"),
    ],
)  # fmt: skip
def test_what_is_not_ours(expressions: list[bytes], why: str) -> None:
    """An expression that may do something else, or that cannot be said exactly, is refused with what it is."""
    with pytest.raises(Unknown, match=why):
        ran(*expressions)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_rule_or_refused(data: bytes) -> None:
    """Whatever bytes come in place of expressions, nothing else is raised."""
    from gateway.isolation.nfnl.messages import Damaged

    run = Run(lambda name: Keys(4))
    try:
        run.go(memoryview(data))
    except (Unknown, Damaged):
        return
    assert run.verdict in (True, False, None)


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255), st.integers(0, 5))
def test_a_comparison_is_what_the_kernel_computes(mask: int, flip: int, data: int, op: int) -> None:
    """For every value of a byte: (value & mask) ^ flip, compared, is what the set of values says."""
    (piece,) = pieces([{0: ("ip ttl", 1)}], 0, 1)
    found = compared(piece, bytes([mask]), bytes([flip]), op, bytes([data]))
    for value in range(256):
        told = (value & mask) ^ flip
        holds = (told == data, told != data, told < data, told <= data, told > data, told >= data)[op]
        assert (value in found) is holds
