"""One zone's ruleset on a real kernel: owned, read whole, changed by single elements, replaced without losing a packet."""

from __future__ import annotations

import importlib.util
import ipaddress
import itertools
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from appliance.runtime import command
from gateway.isolation import listing, netns
from gateway.isolation import policy as policies
from gateway.isolation.kernel import Kernel
from gateway.isolation.netns import KernelFailed
from gateway.isolation.nfnl import requests
from gateway.isolation.nfnl.events import Change, Events
from gateway.isolation.nfnl.link import Link
from gateway.isolation.policy import Policy
from gateway.isolation.reconcile import ChangeElements, LoadRules, reconcile
from gateway.isolation.topology import topology_of

pytestmark = pytest.mark.kernel
ZONE, MAC, PORT = "bigscreen", "02:68:67:14:00:0b", 5353
PATIENCE = 10.0
_numbers = itertools.count(1)
_spec = importlib.util.spec_from_file_location("frames", Path(__file__).with_name("frames.py"))
assert _spec is not None
assert _spec.loader is not None
frames = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(frames)


def policy(members: int, *, without: int | None = None, other: int = 443) -> Policy:
    """Return a policy that admits many televisions, the first at 10.20.1.0."""
    first = int(ipaddress.IPv4Address("10.20.1.0"))
    told = "\n".join(f"    {ipaddress.IPv4Address(first + n)}" for n in range(members) if n != without)
    return policies.parse(
        f"""\
site: many
zones: {{bigscreen: {{port: "{MAC}", addresses: [10.20.0.11/15]}}}}
groups:
  televisions: |
{told}
services:
  time: {{zone: bigscreen, run: chrony, listen: udp/{PORT}, from: ["@televisions"]}}
  other: {{zone: bigscreen, run: nginx, listen: tcp/{other}, from: ["@televisions", 10.20.0.7]}}
never: [{{from: bigscreen, to: culture}}]
""".encode()
    )


class Box:
    """A zone with a port, a host on its wire, and the kernel that holds it."""

    def __init__(self) -> None:
        self.prefix = f"own{os.getpid()}-{next(_numbers)}-"
        self.kernel, self.host = Kernel(self.prefix, self.prefix + "home"), self.prefix + "host"

    def make(self) -> None:
        netns.make(self.kernel.home)
        netns.make(self.host)
        link = ["link", "add", "eth0", "address", MAC, "type", "veth", "peer", "wire", "netns", self.host]
        command.run(["ip", "-n", self.kernel.home, *link])
        command.run(["ip", "-n", self.host, "link", "set", "wire", "up"])

    def enforce(self, wanted: Policy) -> list[Any]:
        places, done = topology_of(wanted), []
        for _ in range(4):
            actions = reconcile(places, self.kernel.observe(places, fresh=False))
            if not actions:
                return done
            for action in actions:
                self.kernel.act(action)
            done += actions
        raise AssertionError(f"still to do: {actions}")

    def nft(self, words: str) -> str:
        return self.kernel.inside(ZONE, lambda: command.run(["nft", "-f", "-"], stdin=words + "\n"))

    def elements(self) -> bytes:
        """Return the televisions that the kernel has, asked anew."""
        return self.kernel.rules(ZONE, fresh=True).rules.elements["inet", "televisions4"]

    def remove(self) -> None:
        self.kernel.close()
        for name in netns.names():
            if name.startswith(self.prefix):
                netns.remove(name)


@pytest.fixture
def box() -> Iterator[Box]:
    made = Box()
    try:
        made.make()
        yield made
    finally:
        made.remove()


def key(number: int) -> bytes:
    return (int(ipaddress.IPv4Address("10.20.1.0")) + number).to_bytes(4, "big")


def test_many_are_loaded_and_read_back_whole(box: Box) -> None:
    """Also right after they were loaded, as nft itself counts them."""
    wanted = policy(30_000)
    box.enforce(wanted)
    assert box.elements() == wanted.group("televisions").hosts4
    told = json.loads(
        box.kernel.inside(ZONE, lambda: command.run(["nft", "-j", "list", "set", "inet", "headgate", "televisions4"]))
    )
    (listed,) = [part["set"] for part in told["nftables"] if "set" in part]
    assert len(listed["elem"]) == 30_000


def test_one_admission_is_one_element_and_is_known_without_reading_all_again(box: Box) -> None:
    """The kept ruleset is the kernel's, one generation on."""
    box.enforce(policy(3000, without=7))
    before = box.kernel.rules(ZONE)
    (action,) = box.enforce(policy(3000))
    assert isinstance(action, ChangeElements)
    assert [(c.add, c.drop) for c in action.changes] == [(key(7), b"")]
    kept = box.kernel.rules(ZONE)
    assert kept.generation == before.generation + 1
    assert kept.rules.objects is before.rules.objects
    assert kept.rules.elements["inet", "televisions4"] == box.elements()
    (action,) = box.enforce(policy(3000, without=8))
    assert [(c.add, c.drop) for c in action.changes] == [(b"", key(8))]
    assert box.kernel.rules(ZONE).rules.elements["inet", "televisions4"] == box.elements()


def test_a_change_that_another_was_faster_than_is_made_all_the_same(box: Box) -> None:
    """On a kernel without owners: what the other removed already is no error, and what it added is seen next."""
    box.kernel.own = False
    box.enforce(policy(20))
    places = topology_of(policy(20, without=3))
    actions = reconcile(places, box.kernel.observe(places, fresh=False))
    box.nft(
        "delete element inet headgate televisions4 { 10.20.1.3 }; add element inet headgate televisions4 { 10.20.1.77 }"
    )
    for action in actions:
        box.kernel.act(action)
    assert key(77) in box.elements()
    (again,) = reconcile(places, box.kernel.observe(places, fresh=False))
    assert isinstance(again, ChangeElements)
    assert again.changes[0].drop == key(77)


def test_a_set_that_is_too_small_is_replaced_by_a_larger_one(box: Box) -> None:
    """By way of a set under a passing name, of which nothing is left."""
    box.enforce(policy(10))
    grown = policy(5000, other=444)
    assert any(isinstance(action, LoadRules) for action in box.enforce(grown))
    rules = box.kernel.rules(ZONE, fresh=True).rules
    assert listing.differences(topology_of(grown)[ZONE].rules, rules) == []
    assert [name for _, name, _ in listing.plain_sets(rules.objects)] == ["televisions4"]


def test_what_a_replacement_that_was_cut_short_left_does_no_harm(box: Box) -> None:
    """A set under a passing name that somebody finds is taken out, and its elements admit nobody."""
    box.kernel.own = False
    box.enforce(policy(10))
    box.nft("add set inet headgate televisions4-passing { type ipv4_addr; }")
    box.nft("add element inet headgate televisions4-passing { 10.20.0.66 }")
    box.enforce(policy(5000))
    assert box.elements() == policy(5000).group("televisions").hosts4
    assert box.enforce(policy(5000)) == []


def test_a_foreign_table_that_another_process_owns_is_told_and_ours_stand(box: Box) -> None:
    """It cannot be removed; the caller must shut the zone."""
    box.enforce(policy(10))
    with closing(box.kernel.inside(ZONE, Link)) as other:
        other.commit([requests.new_table("inet", "mine", requests.OWNER)])
        with pytest.raises(KernelFailed, match="cannot be removed: inet mine"):
            box.enforce(policy(10, other=445))
        assert "445" in box.kernel.inside(
            ZONE, lambda: command.run(["nft", "list", "chain", "inet", "headgate", "input"])
        )
    assert box.enforce(policy(10, other=445)) == []


def test_a_second_guard_is_refused(box: Box) -> None:
    """What the first one owns stays as it is, and the second one is told whose it is."""
    box.enforce(policy(10))
    second = Kernel(box.prefix, box.kernel.home)
    with closing(second):
        wanted = topology_of(policy(10, other=445))
        with pytest.raises(KernelFailed, match="is owned by"):
            second.act(LoadRules(ZONE, wanted[ZONE].rules))
        assert not second.owning(ZONE)
    assert box.kernel.owning(ZONE)
    assert box.enforce(policy(10)) == []


def test_a_namespace_whose_name_is_gone_is_let_go(box: Box) -> None:
    """Or our socket would keep it alive, and its port in it: the other end of its wire goes when it dies."""
    box.enforce(policy(10))
    netns.remove(box.kernel.name(ZONE))
    box.kernel.observe({})
    deadline = time.monotonic() + PATIENCE
    while "wire" in command.run(["ip", "-n", box.host, "link"]):
        assert time.monotonic() < deadline, "the namespace lives on"


def test_who_changed_the_ruleset_is_told(box: Box) -> None:
    """With generation, process and command; and that some were missed, where the reader was too slow."""
    box.kernel.own = False
    box.enforce(policy(10))
    with closing(box.kernel.inside(ZONE, Events)) as events:
        assert events.read() == ([], False)
        box.nft("add table inet mine")
        (change,), missed = events.read()
        assert isinstance(change, Change)
        assert (change.command, missed) == ("nft", False)
        assert change.generation == box.kernel.rules(ZONE).generation
        assert change.pid not in (0, os.getpid())
        events.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        box.enforce(policy(3000))
        _, missed = events.read()
        assert missed


def test_whole_replacements_lose_no_packet(box: Box) -> None:
    """Rules change, sets grow, elements come and go; each packet of who is admitted all the time arrives."""
    box.enforce(policy(2000))
    stop, sent = threading.Event(), [0]

    def go() -> None:
        with closing(socket.socket(socket.AF_PACKET, socket.SOCK_RAW)) as raw:
            raw.bind(("wire", 0))
            while not stop.is_set():
                source = f"10.20.1.{sent[0] % 250}"
                (packet,) = frames.packets("whole", "udp", source, "10.20.0.11", (1024 + sent[0] % 60000, PORT))
                raw.send(frames.frame(frames.IPV4, MAC, packet))
                sent[0] += 1

    with closing(box.kernel.inside(ZONE, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))) as server:
        server.setsockopt(socket.SOL_SOCKET, 33, 256 << 20)  # SO_RCVBUFFORCE
        server.bind(("10.20.0.11", PORT))
        server.setblocking(False)
        sender = threading.Thread(target=lambda: netns.inside(box.host, go))
        sender.start()
        try:
            for number, members in enumerate((2000, 9000, 300, 9000)):
                assert any(isinstance(action, LoadRules) for action in box.enforce(policy(members, other=500 + number)))
        finally:
            stop.set()
            sender.join()
        arrived = 0
        while True:
            try:
                server.recv(64)
            except BlockingIOError:
                break
            arrived += 1
    assert sent[0] > 200
    assert arrived == sent[0]
