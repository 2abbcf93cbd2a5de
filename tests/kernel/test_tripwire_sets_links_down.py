"""The trip-wire against the real kernel: a foreign link does not stay up, and the guard is told of everything else."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.runtime import command
from gateway.isolation import netns
from gateway.isolation.bridges.tripwire import Tripwire
from tests.kernel.zones import Site

pytestmark = pytest.mark.kernel
FLAPPING = Path(__file__).with_name("flapping.py")


class Heard:
    """What the guard is told, in order."""

    def __init__(self) -> None:
        self.lines: queue.Queue[str] = queue.Queue()
        self.seen: list[str] = []

    def until(self, words: str) -> str:
        """Return the first telling that holds ``words``; fails if none comes in ten seconds."""
        while True:
            try:
                line = self.lines.get(timeout=10)
            except queue.Empty:
                pytest.fail(f"nothing was told of '{words}', only {self.seen}")
            self.seen.append(line)
            if words in line:
                return line


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    made = Site()
    try:
        made.make()
        yield made
    finally:
        made.remove()


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def tripwire(site: Site, heard: Heard) -> Iterator[Tripwire]:
    made = Tripwire(site, virtual=True)
    made.start(site.policy, heard.lines.put)
    yield made
    made.stop()


def flags(site: Site, zone: str, link: str) -> list[str]:
    return json.loads(command.run(["ip", "-j", "-n", site.name(zone), "link", "show", link]))[0]["flags"]


def test_a_foreign_link_is_down_again_each_time_it_is_up(site: Site, tripwire: Tripwire, heard: Heard):
    """Set up a hundred times, it is down again each time, without any look of the guard; how soon, `./dev bench bridges` tells."""
    argv = [sys.executable, str(FLAPPING), site.name("culture"), "100"]
    took = json.loads(subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout)

    assert len(took) == 100
    assert "culture: link cheat0 was up and was set down" in heard.until("cheat0 was up")


def test_ports_stay_up(site: Site, tripwire: Tripwire, heard: Heard):
    """The port of a zone and loopback may go down and up again; a link of the port's own kind beside it may not."""
    zone = site.name("bigscreen")
    for state in ("down", "up"):
        command.run(["ip", "-n", zone, "link", "set", "port0", state])
    command.run(["ip", "-n", zone, "link", "add", "port1", "type", "veth", "peer", "name", "port2"])
    command.run(["ip", "-n", zone, "link", "set", "port1", "up"])

    heard.until("bigscreen: link port1 was up and was set down")
    assert "UP" in flags(site, "bigscreen", "port0")
    assert "UP" in flags(site, "bigscreen", "lo")
    command.run(["ip", "-n", zone, "link", "delete", "port1"])


def test_nothing_is_up_at_home(site: Site, tripwire: Tripwire, heard: Heard):
    """A card that falls back into the initial namespace is set down there."""
    command.run(["ip", "-n", site.name(""), "link", "add", "card", "type", "ifb"])
    command.run(["ip", "-n", site.name(""), "link", "set", "card", "up"])

    heard.until("home: link card was up and was set down")
    assert "UP" not in flags(site, "", "card")
    command.run(["ip", "-n", site.name(""), "link", "delete", "card"])


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["ip", "-n", "{zone}", "address", "add", "192.0.2.1/32", "dev", "lo"], "address"),
        (["ip", "-n", "{zone}", "address", "add", "2001:db8::1/128", "dev", "lo"], "address"),
        (["ip", "-n", "{zone}", "route", "add", "blackhole", "192.0.2.0/24"], "route"),
        (["ip", "-n", "{zone}", "rule", "add", "priority", "200", "table", "200"], "rule"),
        (
            ["ip", "-n", "{zone}", "neighbour", "add", "10.10.0.9", "lladdr", "02:00:00:00:00:09", "dev", "port0"],
            "neighbour",
        ),
        (["tc", "-n", "{zone}", "qdisc", "add", "dev", "port0", "clsact"], "traffic control"),
        (["ip", "netns", "exec", "{zone}", "nft", "add", "table", "inet", "cheat"], "ruleset, by process"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_guard_is_told_of_every_change(site: Site, tripwire: Tripwire, heard: Heard, argv: list[str], words: str):
    """Addresses, routes, rules, pinned neighbours, traffic control, rulesets: each wakes the guard with the zone's name."""
    command.run([word.format(zone=site.name("culture")) for word in argv])

    assert heard.until(words).startswith("culture: ")


def test_it_takes_in_new_zones_and_lets_go_of_those_that_are_gone(site: Site, tripwire: Tripwire, heard: Heard):
    """A zone that is made anew is listened in, and the old one ends although the trip-wire had its ears in it."""
    old = (netns.FOLDER / site.name("management")).stat().st_ino
    netns.remove(site.name("management"))
    netns.remove(site.name("management") + "-host")
    site.make_zone("management")
    tripwire.arm(site.policy)

    command.run(["ip", "-n", site.name("management"), "link", "add", "late", "type", "ifb"])
    command.run(["ip", "-n", site.name("management"), "link", "set", "late", "up"])

    heard.until("management: link late was up and was set down")
    assert old not in {space["inode"] for space in json.loads(tripwire._armed)["arm"]}
    assert "UP" not in flags(site, "management", "late")
    command.run(["ip", "-n", site.name("management"), "link", "delete", "late"])


def test_it_is_silent_about_rulesets_while_the_guard_loads_them(site: Site, tripwire: Tripwire, heard: Heard):
    """Inside ``quiet()`` the kernel tells nobody of elements; after it, everything is heard again."""
    nft = ["ip", "netns", "exec", site.name("culture"), "nft"]
    with tripwire.quiet():
        command.run([*nft, "add", "table", "inet", "unheard"])
        command.run(["ip", "-n", site.name("culture"), "address", "add", "192.0.2.7/32", "dev", "lo"])
        heard.until("address")
    command.run([*nft, "add", "table", "inet", "heard"])

    heard.until("ruleset")
    assert sum("ruleset" in line for line in heard.seen) == 1


def test_killed_ears_are_told_of_and_grown_again(site: Site, tripwire: Tripwire, heard: Heard):
    """Whoever kills the trip-wire's process wakes the guard, which arms it once more."""
    before = tripwire.process
    assert before is not None
    os.kill(before, signal.SIGKILL)
    heard.until("the trip-wire ended")
    tripwire.arm(site.policy)

    assert tripwire.process not in (None, before)
    command.run(["ip", "-n", site.name("culture"), "link", "add", "again", "type", "ifb"])
    command.run(["ip", "-n", site.name("culture"), "link", "set", "again", "up"])
    heard.until("link again was up and was set down")
    command.run(["ip", "-n", site.name("culture"), "link", "delete", "again"])
