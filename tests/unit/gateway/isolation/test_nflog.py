"""The kernel's log messages: read as they are laid out, and any bytes at all taken."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.isolation import nflog


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def message(*attributes: bytes, kind: int = nflog.PACKET) -> bytes:
    body = struct.pack(">BBH", 2, 0, 7) + b"".join(attributes)
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


def packet(sequence: int, payload: bytes = b"E" * 40, prefix: bytes = b"hg default\0", protocol: int = 0x0800) -> bytes:
    return message(
        attribute(nflog.HEADER, struct.pack(">HBx", protocol, 1)),
        attribute(nflog.PREFIX, prefix),
        attribute(nflog.MAC, struct.pack(">HH6sxx", 6, 0, bytes.fromhex("026868676767"))),
        attribute(nflog.SEQUENCE, struct.pack(">I", sequence)),
        attribute(nflog.PAYLOAD, payload),
    )


def test_a_batch_is_read():
    """Several packets in one datagram, closed by the kernel's end mark, come out in order."""
    samples, damaged = nflog.decode(packet(1) + packet(2, prefix=b"hg arp\0") + message(kind=3))

    assert [(s.prefix, s.sequence, s.protocol, s.mac) for s in samples] == [
        ("hg default", 1, 0x0800, "02:68:68:67:67:67"), ("hg arp", 2, 0x0800, "02:68:68:67:67:67")
    ]  # fmt: skip
    assert damaged == 0


def test_the_card_of_a_sender_is_read_from_the_frame_where_the_kernel_tells_no_other():
    """At the port itself only the frame's own header says who sent."""
    frame = bytes.fromhex("02000000000b0200000000010800")
    told = message(
        attribute(nflog.HEADER, struct.pack(">HBx", 0x0800, 0)),
        attribute(nflog.LINK_HEADER, frame),
        attribute(nflog.PAYLOAD, b"E"),
    )

    assert nflog.decode(told)[0][0].mac == "02:00:00:00:00:01"


@pytest.mark.parametrize(
    "datagram",
    [
        packet(1)[:-1],  # cut off
        message(attribute(nflog.PAYLOAD, b"x")),  # no header
        message(attribute(nflog.HEADER, b"\x08\x00\x01\x00")),  # no payload
        struct.pack("=IHHII", 4, nflog.PACKET, 0, 0, 0),  # a length that is none
    ],
)
def test_what_cannot_be_read_is_counted(datagram: bytes):
    """A message that is not as the kernel lays it out is one damaged one, no sample and no failure."""
    assert nflog.decode(datagram) == ([], 1)


def test_a_sample_is_bounded():
    """However much of a packet comes, no more than the headers is kept."""
    assert len(nflog.decode(packet(1, payload=b"E" * 9000))[0][0].payload) == nflog.SNAPLEN


@pytest.mark.parametrize(
    ("last", "sequence", "missing"),
    [(None, 7, 0), (7, None, 0), (7, 8, 0), (7, 10, 2), (0xFFFFFFFF, 0, 0), (0xFFFFFFFE, 1, 2), (500, 0, 0)],
)
def test_gaps(last: int | None, sequence: int | None, missing: int):
    """The numbers between two samples are those that did not come; numbers that begin anew are no gap."""
    assert nflog.gap(last, sequence) == missing


@given(st.binary(max_size=300))
def test_any_bytes_are_taken(data: bytes):
    """Whatever comes from the socket, the decoder returns."""
    samples, damaged = nflog.decode(data)

    assert damaged in (0, 1) or len(data) >= 20 * damaged
    assert all(len(sample.payload) <= nflog.SNAPLEN for sample in samples)
