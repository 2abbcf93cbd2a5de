"""Denied packets on a real kernel: every one counted, some recorded, both told right, whatever happens to the zone."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator

import pytest

from appliance.runtime import command
from gateway.isolation import netns, nflog
from gateway.isolation.netns import KernelFailed
from gateway.isolation.sampler import Denied

pytestmark = pytest.mark.kernel
ZONE, HOST = f"hgd{os.getpid()}z", f"hgd{os.getpid()}h"
RULES = """
table inet t {
  chain input {
    type filter hook input priority 0; policy drop;
    tcp dport 80 accept
    ip saddr 10.66.0.9 limit rate 10/second burst 5 packets log prefix "hg false sender" group 7 snaplen 128
    ip saddr 10.66.0.9 counter drop comment "false sender"
    limit rate 10/second burst 5 packets log prefix "hg default" group 7 snaplen 128
    counter drop comment "default"
  }
}
table netdev n {
  chain ingress {
    type filter hook ingress device "port" priority 0; policy accept;
    arp operation reply limit rate 10/second log prefix "hg arp reply" group 7
    arp operation reply counter drop comment "arp reply"
  }
}
"""


def make() -> None:
    netns.make(ZONE)
    command.run(["ip", "-n", HOST, "link", "add", "wire", "type", "veth", "peer", "port", "netns", ZONE])
    for name, link, address in ((HOST, "wire", "10.66.0.2"), (ZONE, "port", "10.66.0.1")):
        command.run(["ip", "-n", name, "address", "add", f"{address}/24", "dev", link])
        command.run(["ip", "-n", name, "link", "set", link, "up"])
    command.run(["ip", "-n", HOST, "address", "add", "10.66.0.9/24", "dev", "wire"])
    command.run(["ip", "netns", "exec", ZONE, "nft", "-f", "-"], stdin=RULES)


@pytest.fixture
def zone() -> Iterator[str]:
    netns.make(HOST)
    try:
        make()
        yield ZONE
    finally:
        for name in {ZONE, HOST} & set(netns.names()):
            netns.remove(name)


@pytest.fixture
def denied(zone: str) -> Iterator[Denied]:
    reader = Denied({"bigscreen": zone})
    reader.start()
    yield reader
    reader.stop()


def count(_zone: str) -> dict[str, int]:
    if ZONE not in netns.names():
        raise KernelFailed("there is no such zone")
    listed = json.loads(command.run(["ip", "netns", "exec", ZONE, "nft", "-j", "list", "ruleset"]))["nftables"]
    rules = [part["rule"] for part in listed if "rule" in part]
    return {
        rule["comment"]: word["counter"]["packets"]
        for rule in rules
        for word in rule["expr"]
        if "comment" in rule and "counter" in word
    }


def send(packets: int, *, port: int = 9999, source: str = "10.66.0.2", host: str = HOST) -> None:
    def go() -> None:
        import socket

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.bind((source, 0))
            for _ in range(packets):
                udp.sendto(b"x" * 32, ("10.66.0.1", port))

    netns.inside(host, go)


def gathered(denied: Denied, enough: Callable[[dict], bool]) -> dict:
    """Take rows until they are enough, summed by reason."""
    sums: dict[str, dict] = {}
    end = time.monotonic() + 10
    while True:
        for row in denied.take(count):
            known = sums.setdefault(row["reason"], {"denied": 0, "recorded": 0, "lost": 0, "samples": []})
            assert row["recorded"] <= row["denied"] + row["earlier"]
            for key in known:
                known[key] += row[key]
        if enough(sums):
            return sums
        assert time.monotonic() < end, sums
        time.sleep(0.02)


def test_a_flood_is_counted_whole_and_recorded_in_part(denied: Denied):
    """Of 5,000 packets every one is counted, no more than the limit lets through are recorded, and what they were is told."""
    began = time.monotonic()
    send(5000)
    seconds = time.monotonic() - began
    sums = gathered(
        denied, lambda sums: sums.get("default", {}).get("denied") == 5000 and sums["default"]["recorded"] > 0
    )["default"]

    assert sums["recorded"] <= 6 + 10 * (seconds + 1)
    sample = sums["samples"][0]
    assert {k: sample[k] for k in ("proto", "src", "dst", "dport")} == {
        "proto": "udp", "src": "10.66.0.2", "dst": "10.66.0.1", "dport": 9999
    }  # fmt: skip
    assert len(sample["mac"]) == 17
    assert sum(s["packets"] for s in sums["samples"]) == sums["recorded"]
    assert denied.totals()["bigscreen", "default"] == (5000, sums["recorded"])


def test_reasons_are_kept_apart(denied: Denied):
    """Two rules' denials come as two reasons, each with its own figures."""
    send(3)
    send(4, source="10.66.0.9")
    sums = gathered(
        denied, lambda s: s.get("default", {}).get("recorded") == 3 and s.get("false sender", {}).get("recorded") == 4
    )

    assert (sums["default"]["denied"], sums["false sender"]["denied"]) == (3, 4)


def test_arp_at_the_port_is_told(denied: Denied):
    """A frame that the port itself drops is told by its addresses, and by its sender's card."""
    mac = json.loads(command.run(["ip", "-n", HOST, "-j", "link", "show", "wire"]))[0]["address"]
    from scapy.layers.l2 import ARP, Ether

    frame = bytes(Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=2, hwsrc=mac, psrc="10.66.0.77", pdst="10.66.0.1"))

    def go() -> None:
        import socket

        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
            raw.bind(("wire", 0))
            raw.send(frame)

    netns.inside(HOST, go)
    sums = gathered(
        denied, lambda s: any(x.get("src") == "10.66.0.77" for x in s.get("arp reply", {}).get("samples", []))
    )

    told = next(x for x in sums["arp reply"]["samples"] if x["src"] == "10.66.0.77")
    assert told == {"proto": "arp", "src": "10.66.0.77", "dst": "10.66.0.1", "mac": mac, "packets": 1}


def test_a_zone_that_vanishes_is_let_go_and_one_made_anew_is_taken_up(denied: Denied):
    """Its port comes free when its name goes (a socket would keep it), and samples come again from the zone of that name."""
    send(2)
    gathered(denied, lambda s: s.get("default", {}).get("recorded") == 2)
    netns.remove(ZONE)

    end = time.monotonic() + 5
    while "wire" in command.run(["ip", "-n", HOST, "-o", "link"]):  # its peer dies with the namespace
        assert time.monotonic() < end, "the namespace lives on"
        time.sleep(0.05)
    assert denied.take(count) == []

    make()
    denied.watch({"bigscreen": ZONE})
    gathered(denied, lambda s: not denied.faults and "bigscreen" in denied._open)
    send(3)
    sums = gathered(denied, lambda s: s.get("default", {}).get("recorded") == 3)
    assert sums["default"]["denied"] == 3


def test_a_group_that_somebody_holds_is_told(zone: str):
    """Who takes the log group before us takes the samples, not the counters; it is told, and mended when he lets go."""
    thief = netns.inside(zone, nflog.Socket)
    reader = Denied({"bigscreen": zone})
    reader.start()
    try:
        assert "bigscreen" in reader.faults
        send(7)
        rows = reader.take(count)
        assert [(row["reason"], row["denied"], row["recorded"]) for row in rows] == [("default", 7, 0)]
        thief.close()
        end = time.monotonic() + 5
        while reader.faults:
            assert time.monotonic() < end
            time.sleep(0.02)
        send(1)
        gathered(reader, lambda s: s.get("default", {}).get("recorded") == 1)
    finally:
        thief.close()
        reader.stop()


def test_samples_that_the_kernel_drops_are_counted_as_lost(zone: str):
    """Where nobody reads in time, the gap in the numbers says how many samples there were beside those that came."""
    command.run(["ip", "netns", "exec", zone, "nft", "-f", "-"],
                stdin='insert rule inet t input log prefix "hg all" group 7 snaplen 128')  # fmt: skip
    samples = netns.inside(zone, nflog.Socket)
    try:
        send(20000)
        datagrams = iter(samples.read, None)
        seen = [sample.sequence for datagram in datagrams for sample in nflog.decode(datagram)[0]]
        send(100)
        end = time.monotonic() + 5
        while True:
            datagram = samples.read()
            if datagram:
                after = nflog.decode(datagram)[0]
                break
            assert time.monotonic() < end
            time.sleep(0.01)
    finally:
        samples.close()

    assert len(seen) < 20000
    assert nflog.gap(seen[-1], after[0].sequence) > 0
