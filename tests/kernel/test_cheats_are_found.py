"""Every way across two zones that this kernel can do is planted for real, found with its name, and undone."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.isolation import netns
from gateway.isolation.bridges import watch
from gateway.isolation.bridges.known import NAMES
from gateway.isolation.bridges.nouns import Found
from gateway.isolation.bridges.watch import Bridges, must_stop_lanes
from tests.kernel import cheats
from tests.kernel.zones import Site

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    made = Site()
    try:
        made.make()
        yield made
    finally:
        made.remove()


class Planted:
    """Cheats between two zones, planted by a program that is not ours, so that nothing of them is the guard's child."""

    def __init__(self, site: Site) -> None:
        self.a, self.b = site.name("culture"), site.name("bigscreen")
        self.home = site.name("")
        self.pids: list[int] = []

    def __call__(self, name: str, verb: str = "plant", *words: str) -> list[int]:
        a = self.home if name == "link-at-home" else self.a
        argv = [sys.executable, "-I", cheats.__file__, verb, name, a, self.b, *words]
        told = json.loads(subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True).stdout)
        if "refused" in told:
            pytest.fail(f"the cheat {name} could not be planted: {told['refused']}")
        self.pids += told.get("pids", [])
        return told.get("pids", [])

    def undo(self) -> None:
        cheats.undo(self.a, self.b, self.pids)
        cheats.undo(self.home, self.b, [])


@pytest.fixture
def plant(site: Site) -> Iterator[Planted]:
    planted = Planted(site)
    yield planted
    planted.undo()


@pytest.fixture
def bridges(site: Site) -> Bridges:
    return Bridges(site, virtual=True)


def told(findings: list[Found]) -> str:
    return "\n".join(f"{f.way} {f.name} {f.zones}: {f.what}" for f in findings)


def test_a_box_without_cheats_has_no_finding(site: Site, bridges: Bridges):
    """Ports, hosts behind their cables and everything else on this machine join nothing, however often one looks."""
    for _ in range(3):
        assert told(bridges.scan(site.policy)) == ""


def found_with(bridges: Bridges, site: Site, plant: Planted, cheat: cheats.Cheat) -> tuple[list[Found], list[int]]:
    pids = plant(cheat.name)
    findings = bridges.scan(site.policy)
    if cheat.name == "courier":
        assert told(findings) == ""  # it is in one zone and holds nothing
        plant(cheat.name, "go", *map(str, pids))
        findings = bridges.scan(site.policy)
    if cheat.name == "in-flight":  # a socket may be between two hands for a moment: only the second look tells
        findings = bridges.scan(site.policy)
    return findings, pids


def test_what_is_gone_a_moment_later_is_not_ended(site: Site, bridges: Bridges, plant: Planted, monkeypatch: Any):
    """Between fork and exec a process may hold what its parent does; the second look no longer shows it."""
    pids = plant("two-sockets")
    monkeypatch.setattr(watch.time, "sleep", lambda _: cheats.end(pids))

    assert told(bridges.scan(site.policy)) == ""


# Told, and left to somebody else: the reconciling of the zones, the ruleset, or an operator.
ONLY_TOLD = {"promiscuous", "rule", "namespace-held", "io-uring", "raw", "packet", "listener"}


@pytest.mark.parametrize("cheat", cheats.CORPUS, ids=lambda cheat: cheat.name)
def test_a_cheat_is_found_by_its_name_and_undone(site: Site, bridges: Bridges, plant: Planted, cheat: cheats.Cheat):
    """What joins two zones is known for what it is; undone, the next look finds nothing of it."""
    findings, pids = found_with(bridges, site, plant, cheat)

    named = [f for f in findings if f.name == cheat.finds]
    assert named, told(findings)
    assert all(f.way in (cheat.way, NAMES[f.name].way) for f in named)
    if pids:
        assert {f.pid for f in named} <= {*pids, None}
    undone = bridges.undo_all(findings)
    assert must_stop_lanes(undone) is False, told([f for f in undone if not f.done])
    left = bridges.scan(site.policy)
    if cheat.name in ONLY_TOLD:
        assert {f.name for f in left} == {f.name for f in findings}
    else:
        assert all(f.done for f in undone if f.name == cheat.finds)
        assert cheat.finds not in {f.name for f in left}, told(left)


def test_a_frame_crosses_by_xdp_until_it_is_found(site: Site, bridges: Bridges, plant: Planted):
    """The way is real: a frame of culture's host arrives at bigscreen's, and after one look of the guard no more does."""
    with listening(site, "bigscreen") as arriving, listening(site, "culture") as leaving:
        plant("xdp-device-map")
        leaving.send(FRAME + b"before")
        assert arrived(arriving) == b"before"

        (finding,) = bridges.scan(site.policy)
        assert bridges.undo(finding).done == "took the program off"
        leaving.send(FRAME + b"after")
        assert arrived(arriving) is None


FRAME = b"\xff" * 6 + b"\x02\0\0\0\0\x05" + b"\x88\xb5" + b"nonce"


def listening(site: Site, zone: str) -> socket.socket:
    def opened() -> socket.socket:
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88B5))
        made.bind(("wire", 0x88B5))
        return made

    return netns.inside(site.name(zone) + "-host", opened)


def arrived(where: socket.socket) -> bytes | None:
    """Return what came behind the nonce, or None if nothing does in a time in which everything else did."""
    where.settimeout(0.5)
    try:
        return where.recv(2048).removeprefix(FRAME).rstrip(b"\0")
    except TimeoutError:
        return None
