"""Frames in words."""

import pytest

from gateway.isolation.probe.tell import tell

MACS = bytes.fromhex("02686714000b026867fe0002")


def four(protocol: int, body: bytes) -> bytes:
    """Return a frame with an IPv4 packet."""
    head = bytes([0x45, 0, 0, 20 + len(body), 0, 1, 0, 0, 64, protocol, 0, 0, 10, 20, 0, 11, 10, 20, 0, 50])
    return MACS + b"\x08\x00" + head + body


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (b"short", "5 bytes"),
        (four(1, bytes([3, 1, 0, 0])), "ICMP 3/1 10.20.0.11 > 10.20.0.50"),
        (four(6, bytes([0, 80, 0, 99, *bytes(8), 0x50, 0x12, *bytes(6)])), "TCP SA 10.20.0.11 > 10.20.0.50 ports 80 > 99"),
        (four(17, bytes([0, 53, 0, 99, *bytes(12)])), "UDP 10.20.0.11 > 10.20.0.50 ports 53 > 99"),
        (four(253, b"x"), "IP protocol 253 10.20.0.11 > 10.20.0.50"),
        (four(6, b""), "TCP 10.20.0.11 > 10.20.0.50"),
        (MACS + b"\x88\xcc" + bytes(9), "LLDP frame to 02:68:67:14:00:0b"),
        (MACS + b"\x88\xb5" + bytes(9), "type 0x88b5 frame to 02:68:67:14:00:0b"),
        (MACS + b"\x00\x20" + bytes(32), "802.3 frame to 02:68:67:14:00:0b"),
        (MACS + b"\x08\x06" + bytes.fromhex("0001080006040002") + bytes([2, 0, 0, 0, 0, 9, 10, 20, 0, 11]) + bytes(10),
         "ARP 10.20.0.11 is at 02:00:00:00:00:09"),
    ],
)  # fmt: skip
def test_a_frame_is_told_in_words(frame: bytes, words: str):
    """Also a cut one."""
    assert tell(frame) == words
