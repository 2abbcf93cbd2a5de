"""All 37 ways across that docs/isolation.md knows: what shows each one, or why no software can.

A row names probes (packets that are sent), cheats (what is planted on the box) and tests; ``open`` says what stays open all the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.isolation.bridges.known import NAMES
from gateway.isolation.probe.catalogue import BY_NAME as PROBES
from tests.kernel.cheats import ATTEMPTS, CORPUS

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Way:
    """One way across: its name, the tests that show it closed beside probes and cheats of its number, and what stays open."""

    name: str
    tests: tuple[str, ...] = ()
    open: str = ""


LINKS = "unit/gateway/isolation/bridges/test_judging_links.py::"
PROCESSES = "unit/gateway/isolation/bridges/test_judging_processes.py::"
DESCRIPTORS = "unit/appliance/runtime/test_descriptors.py::"
MANIFEST = "unit/gateway/release/test_manifest.py::"
DECIDE = "unit/gateway/filters/admission/test_admission_decide.py::"
DOWN = "kernel/test_tripwire_sets_links_down.py::"
PUT_BACK = "kernel/test_guard_holds_policy.py::test_what_somebody_changes_behind_the_guard_is_found_told_and_put_back"
OWNED = "kernel/test_guard_holds_policy.py::test_nobody_else_changes_what_the_guard_loaded"
PROVED = "kernel/test_proof_live.py::test_what_another_root_process_changes_is_found"
CONFINED = "flows/test_daemons_are_sandboxed.py::test_what_joins_zones_is_closed_to_a_daemon"

WAYS = {
    1: Way("ARP for another zone's address"),
    2: Way("false ARP", (PUT_BACK,)),
    3: Way("another zone's local address"),
    4: Way("IPv6 router and neighbour messages"),
    5: Way("source routes, routing headers"),
    6: Way("fragments"),
    7: Way("VLAN tags", (LINKS + "test_any_other_link_of_a_zone_is_foreign",)),
    8: Way("tunnels", (LINKS + "test_any_other_link_of_a_zone_is_foreign",)),
    9: Way("ICMP redirects and packet sizes"),
    10: Way(
        "broadcast and multicast",
        (LINKS + "test_routing_elsewhere_is_found_in_zones",),
    ),
    11: Way("DHCP"),
    12: Way("tunnels in names and pings", open="what a zone asks of its own servers leaves the zone by them, not by the box"),
    13: Way(
        "connection helpers", (LINKS + "test_routing_elsewhere_is_found_in_zones",)
    ),
    14: Way("odd TCP"),
    15: Way("other transports"),
    16: Way("virtual links between zones", (DOWN + "test_a_foreign_link_is_down_again_each_time_it_is_up",)),
    17: Way("bridges, bonds, promiscuous ports"),
    18: Way("traffic control, fwd and dup, policy routing", (PUT_BACK, PROVED)),
    19: Way("BPF: XDP, AF_XDP, socket maps"),
    20: Way("a process in two zones"),
    21: Way("a tap held from another zone"),
    22: Way("entering by a descriptor or a name"),
    23: Way(
        "descriptors passed over a socket", (DESCRIPTORS + "test_a_listener_and_all_it_accepts_take_no_descriptor",)
    ),
    24: Way(
        "descriptors and memory taken from another process",
        (DESCRIPTORS + "test_another_process_of_the_same_user_takes_no_descriptor", CONFINED),
    ),
    25: Way("abstract Unix sockets"),
    26: Way(
        "paths: sockets, FIFOs, files, memory; AF_VSOCK",
        (CONFINED, PROCESSES + "test_the_exchange_may_be_met_at_its_sockets_and_nobody_else_there"),
        open="what root writes to a file in one zone and reads in another, without having it open at any one look of the guard",
    ),
    27: Way("io_uring past system call filters", (CONFINED,)),
    28: Way("raw and packet sockets"),
    29: Way("user namespaces as a launch pad"),
    30: Way("a card that falls back to the initial namespace", (DOWN + "test_nothing_is_up_at_home",)),
    31: Way("rulesets flushed, replaced, preceded", (OWNED, PUT_BACK, PROVED)),
    32: Way("floods of sets", ("kernel/test_denied.py::test_a_flood_is_counted_whole_and_recorded_in_part",)),
    33: Way("time, names and certificates as a side channel"),
    34: Way("timing and shared resources", open="one kernel serves all zones: only two boxes with a one-way line between them close it"),
    35: Way(
        "cards shared by zones, management controllers",
        (LINKS + "test_two_zones_on_one_card_are_told",),
        open="firmware of cards and of the management controller: separate cards, and a port of its own for the controller",
    ),
    36: Way("management in a zone", (LINKS + "test_what_listens_in_a_zone_is_a_service_of_the_policy",)),
    37: Way(
        "content that is more than it seems",
        (MANIFEST + "test_any_bytes_give_a_release_or_corrupt", DECIDE + "test_what_is_no_signed_release_is_refused"),
        open="meaning hidden in what a body signed: signatures say who answers for it",
    ),
}  # fmt: skip


def shown(way: int) -> list[str]:
    """Return what shows a way, in words."""
    probes = [f"probe {name}" for name, attack in PROBES.items() if attack.way == way]
    planted = [f"cheat {cheat.name}" for cheat in CORPUS if cheat.way == way]
    refused = [f"refused {attempt.name}" for attempt in ATTEMPTS if attempt.way == way]
    return [*probes, *planted, *refused, *WAYS[way].tests]


def test_all_ways_are_there():
    """1 to 37, each once, and no finding, probe or cheat of another number."""
    assert sorted(WAYS) == list(range(1, 38))
    numbers = (
        {name.way for name in NAMES.values()} | {attack.way for attack in PROBES.values()} | {c.way for c in CORPUS}
    )
    assert numbers <= set(WAYS)


@pytest.mark.parametrize("way", WAYS)
def test_a_way_is_shown_or_said_to_be_open(way: int):
    """At least one probe, cheat or test for each; what has none says why nothing here can close it."""
    assert shown(way) or WAYS[way].open, f"{way} {WAYS[way].name}: nothing shows it, and nothing says why"


@pytest.mark.parametrize("test", sorted({test for way in WAYS.values() for test in way.tests}))
def test_a_named_test_is_there(test: str):
    """A test that was renamed or taken away leaves a hole in this table."""
    path, _, name = test.partition("::")
    assert re.search(rf"^(async )?def {name}\b", (ROOT / "tests" / path).read_text(), re.MULTILINE), test


def test_only_what_no_software_closes_has_nothing_that_shows_it():
    """Timing on one kernel is the one such way; whoever adds another must say so here as well."""
    assert [way for way in WAYS if not shown(way)] == [34]
