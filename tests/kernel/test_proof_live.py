"""The proof against a real kernel: what is loaded is proved, whatever another root process changes is found, and packets confirm it."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import ipaddress
import itertools
import json
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from appliance.runtime import command
from appliance.runtime.errors import Refused
from gateway.isolation import cli_policy, netns, policy, ruleset
from gateway.isolation.evidence import Proof
from gateway.isolation.nfnl import elements
from gateway.isolation.nfnl.link import Link
from gateway.isolation.policy import Policy
from gateway.isolation.proof import diagram, dump, skeleton
from gateway.isolation.proof.dumped import Dump
from gateway.isolation.proof.prove import prove, prove_lock
from gateway.isolation.reconcile import reconcile
from gateway.isolation.ruleset import Rules
from gateway.isolation.topology import PORT, topology_of

pytestmark = pytest.mark.kernel

_spec = importlib.util.spec_from_file_location("frames", Path(__file__).with_name("frames.py"))
assert _spec is not None
assert _spec.loader is not None
frames = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(frames)

_numbers = itertools.count(1)
PATIENCE = 10.0  # seconds for a packet over a veth
MAC = "02:68:67:14:00:0b"
# More than are taken as ranges.
MANY = ", ".join(
    [
        *(f"10.20.1.{n}" for n in range(1, 255)),
        *(f"10.20.2.{n}" for n in range(255)),
        *(f"10.20.3.{n}" for n in (9, 11, 13, 15)),
    ]
)
POLICY = f"""\
site: live
groups:
  subscribers: [10.20.0.50, 10.20.0.128/25, 10.20.0.60, "fd20::50"]
  many: [{MANY}]
zones:
  management: {{port: "02:68:67:28:00:0b", addresses: [10.40.0.11/24]}}
  culture:
    port: "02:68:67:0a:00:0b"
    addresses: [10.10.0.11/24]
    routes: [{{to: 10.11.0.0/16, via: 10.10.0.1}}, {{to: 0.0.0.0/0, via: 10.10.0.1}}]
    neighbours: {{10.10.0.1: "02:aa:00:00:00:01", 10.10.0.20: "02:aa:00:00:00:14"}}
  bigscreen:
    port: "{MAC}"
    addresses: [10.20.0.11/22, "fd20::11/64"]
    neighbours: {{10.20.0.1: "02:aa:00:00:00:02", "fd20::1": "02:aa:00:00:00:02"}}
services:
  delivery:  {{zone: bigscreen,  run: delivery,  listen: tcp/80,   from: [10.20.0.0/22, "fd20::/64"]}}
  resolver:  {{zone: bigscreen,  run: resolver,  listen: tcp/8080, from: ["@subscribers", 10.20.0.7, "@many"], log: true}}
  time:      {{zone: bigscreen,  run: chrony,    listen: udp/123,  from: [10.20.0.0/24]}}
  ssh:       {{zone: management, run: ssh,       listen: tcp/22,   from: [10.40.0.0/24]}}
  far:       {{zone: culture,    run: nginx,     listen: tcp/443,  from: [0.0.0.0/0]}}
reach:
  origin:    {{zone: culture,    run: fetch,     to: [10.10.0.20, 10.10.0.21], port: tcp/80}}
  names:     {{zone: management, run: dns,       to: [10.40.0.16/28], port: udp/53}}
never:
  - {{from: bigscreen, to: management}}
"""


class Scratch:
    """A namespace with a port ``port0``, and one with the host at its other end."""

    def __init__(self) -> None:
        name = f"prf{os.getpid()}-{next(_numbers)}"
        self.box, self.host = f"{name}-box", f"{name}-host"
        self.policy: Policy = policy.parse(POLICY.encode(), "live.yaml")

    def make(self) -> None:
        for name in (self.box, self.host):
            netns.make(name)
        ip = ["ip", "-n", self.box]
        command.run([*ip, "link", "add", "port0", "address", MAC, "type", "veth", "peer", "wire", "netns", self.host])
        for one, link in ((self.box, "lo"), (self.box, "port0"), (self.host, "wire")):
            command.run(["ip", "-n", one, "link", "set", link, "up"])
        command.run([*ip, "address", "add", "10.20.0.11/22", "dev", "port0"])

    def remove(self) -> None:
        for name in (self.box, self.host):
            if name in netns.names():
                netns.remove(name)

    def nft(self, *words: str, stdin: str | None = None) -> str:
        return netns.inside(self.box, lambda: command.run(["nft", *words], stdin=stdin))

    def load(self, rules: Rules) -> None:
        """Put a ruleset in place of all that is there."""
        parts: list[Any] = [{"flush": {"ruleset": None}}, *({"add": part} for part in rules.objects)]
        for (family, name), data in rules.elements.items():
            kind: Callable[[bytes], object] = ipaddress.IPv4Address if name.endswith("4") else ipaddress.IPv6Address
            size = 4 if name.endswith("4") else 16
            found = [str(kind(data[at : at + size])) for at in range(0, len(data), size)]
            parts.append({"add": {"element": {"family": family, "table": "headgate", "name": name, "elem": found}}})
        self.nft("-j", "-f", "-", stdin=json.dumps({"nftables": parts}))

    def proved(self, zone: str = "bigscreen") -> Proof:
        """Return the proof from the kernel's own expressions."""
        return prove(self.policy, zone, "port0", netns.inside(self.box, dump.take))

    def by_diagrams(self, zone: str = "bigscreen") -> Proof:
        """Return the second engine's proof, from the listing of its own reader."""
        return diagram.prove(self.policy, zone, "port0", self.nft(*diagram.LISTING[1:]))


@pytest.fixture(scope="module")
def box() -> Iterator[Scratch]:
    """Return scratch namespaces."""
    made = Scratch()
    try:
        made.make()
        yield made
    finally:
        made.remove()


@pytest.mark.parametrize("zone", ["management", "culture", "bigscreen"])
def test_what_is_loaded_is_proved(box: Scratch, zone: str) -> None:
    """From the kernel's expressions by two engines, from nft's listing by the third; rules and elements are counted."""
    rules = ruleset.compile_zone(box.policy, zone, "port0")
    box.load(rules)
    count = sum("rule" in part for part in rules.objects)
    live = netns.inside(box.box, dump.take)
    for found in (
        prove(box.policy, zone, "port0", live),
        skeleton.prove(box.policy, zone, "port0", live),
        box.by_diagrams(zone),
    ):
        assert found.equal, (found.unknown, found.differences)
        assert found.rules == count
    assert prove(box.policy, zone, "port0", live).elements == sum(
        len(data) // (4 if name.endswith("4") else 16) for (_, name), data in rules.elements.items()
    )


def test_the_initial_namespace_is_shut(box: Scratch) -> None:
    """The lock is proved from the kernel's expressions too."""
    box.load(ruleset.compile_lock())
    live = netns.inside(box.box, dump.take)
    assert prove_lock(box.policy, live).equal
    assert skeleton.prove(box.policy, "", None, live).equal
    box.nft("flush", "ruleset")
    assert {d.packet.hook for d in prove_lock(box.policy, netns.inside(box.box, dump.take)).differences} == {
        "input",
        "output",
        "forward",
    }


def test_a_dump_is_taken_again_only_when_something_changed(box: Scratch) -> None:
    """While the generation stands, the known dump is returned as it is."""
    box.load(ruleset.compile_zone(box.policy, "bigscreen", "port0"))
    known = netns.inside(box.box, dump.take)
    assert netns.inside(box.box, lambda: dump.take(known=known)) is known
    box.nft("add", "element", "inet", "headgate", "subscribers4", "{ 10.20.0.61 }")
    again = netns.inside(box.box, lambda: dump.take(known=known))
    assert again is not known
    assert again.generation > known.generation


MANY4 = ("inet", "many4")
HOST, OTHER = bytes([10, 20, 3, 12]), bytes([10, 20, 3, 14])


def _admit(link: Link, known: Dump, *hosts: bytes) -> None:
    """Add hosts in one transaction on the very ruleset that is known."""
    link.commit(list(elements.added("inet", "headgate", "many4", b"".join(hosts), 4)), known.generation)


def test_after_one_transaction_only_what_it_touched_is_read(box: Scratch) -> None:
    """The new dump is the same as one that is read whole; what differs from the policy is told by the one address."""
    box.load(ruleset.compile_zone(box.policy, "bigscreen", "port0"))

    def work() -> tuple[Dump, Dump]:
        with Link() as link:
            known = dump.take(link)
            _admit(link, known, HOST)
            return dump.after(link, known, {MANY4: (HOST, b"")}), dump.take(link)

    quick, whole = netns.inside(box.box, work)
    assert quick == whole
    (difference,) = prove(box.policy, "bigscreen", "port0", quick).differences
    assert difference.packet.fields["saddr"] == "10.20.3.12"


def _also(link: Link, known: Dump, words: str) -> None:
    _admit(link, known, HOST)
    command.run(["nft", words])


@pytest.mark.parametrize(
    "change",
    [
        lambda link, known: _admit(link, known, OTHER),  # another one than was said
        lambda link, known: _admit(link, known, HOST, OTHER),  # one more
        lambda link, known: _also(link, known, "add element inet headgate many4 { 10.20.3.14 }"),  # somebody else too
        lambda link, known: _also(link, known, "insert rule inet headgate input accept"),
        lambda link, known: command.run(
            ["nft", "flush set inet headgate many4; add element inet headgate many4 { 10.20.3.12 }"]
        ),
        lambda link, known: command.run(["nft", "delete table inet headgate"]),
        lambda link, known: command.run(["nft", "flush ruleset"]),
    ],
)
def test_what_was_not_told_is_read_all_the_same(box: Scratch, change: Callable[[Link, Dump], object]) -> None:
    """Whoever says that one host was added, and did something else or not that alone, is not believed."""
    box.load(ruleset.compile_zone(box.policy, "bigscreen", "port0"))

    def work() -> tuple[Dump, Dump]:
        with Link() as link:
            known = dump.take(link)
            change(link, known)
            return dump.after(link, known, {MANY4: (HOST, b"")}), dump.take(link)

    quick, whole = netns.inside(box.box, work)
    assert quick == whole


def test_what_the_guard_loads_is_proved(scratch: Callable[[], Any]) -> None:
    """As the guard brings the kernel there, its tables owned: each zone and the home, elements taken from its own reading."""
    site = scratch()
    wanted = topology_of(site.policy)
    for _ in range(2):
        for action in reconcile(wanted, site.kernel.observe(wanted)):
            site.kernel.act(action)
    for zone, space in site.kernel.observe(wanted).items():
        for live in (
            site.kernel.inside(zone, functools.partial(dump.beside, space.rules.elements, space.generation)),
            site.kernel.inside(zone, functools.partial(dump.beside, space.rules.elements, space.generation - 1)),
            space.rules,
        ):
            found = prove(site.policy, zone, PORT, live) if zone else prove_lock(site.policy, live)
            assert found.equal, (zone, found.unknown, found.differences)
    site.kernel.close()


INFO = struct.Struct("=32sI5I5III")
REPLACE = struct.Struct("=32sIII5I5IIQ")


def _iptables(work: Callable[[Any, Any, socket.socket], None]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as asking:

        def ask(option: int, data: bytes) -> bytes:
            buffer, length = ctypes.create_string_buffer(data, len(data)), ctypes.c_uint32(len(data))
            assert libc.getsockopt(asking.fileno(), 0, option, buffer, ctypes.byref(length)) == 0, os.strerror(
                ctypes.get_errno()
            )
            return buffer.raw

        work(ask, libc, asking)


def _look_at_iptables() -> None:
    """Do as ``iptables-legacy -L`` does: the table is made by the look at it."""
    _iptables(lambda ask, *_: ask(64, INFO.pack(b"filter", *(0,) * 13)))


def _add_rule_to_iptables() -> None:
    """Put one rule that accepts everything before the policy of INPUT."""

    def work(ask: Any, libc: Any, asking: socket.socket) -> None:
        _, hooks, *rest = INFO.unpack(ask(64, INFO.pack(b"filter", *(0,) * 13)))
        entries, underflows, count, size = rest[:5], rest[5:10], rest[10], rest[11]
        told = ask(65, struct.pack("=32sI4x", b"filter", size) + bytes(size))[40:]
        length = struct.unpack_from("=H", told, entries[1] + 90)[0]
        rule = told[entries[1] : entries[1] + length]
        after = [place + length if number in (2, 3) else place for number, place in enumerate(entries)]
        under = [place + length if number in (1, 2, 3) else place for number, place in enumerate(underflows)]
        counters = ctypes.create_string_buffer(16 * count)
        head = REPLACE.pack(
            b"filter", hooks, count + 1, size + length, *after, *under, count, ctypes.addressof(counters)
        )
        blob = head + told[: entries[1]] + rule + told[entries[1] :]
        assert libc.setsockopt(asking.fileno(), 0, 64, blob, len(blob)) == 0, os.strerror(ctypes.get_errno())

    _iptables(work)


def test_rules_that_nft_does_not_list_are_found() -> None:
    """A rule of the old iptables is told, though nftables' generation does not move; a mere look at its tables is nothing."""
    made = Scratch()
    try:
        made.make()
        made.load(ruleset.compile_zone(made.policy, "bigscreen", "port0"))
        known = netns.inside(made.box, dump.take)
        try:
            netns.inside(made.box, _look_at_iptables)
        except AssertionError as failed:
            pytest.skip(f"this kernel has no old iptables: {failed}")
        assert netns.inside(made.box, lambda: dump.take(known=known)) is known
        netns.inside(made.box, _add_rule_to_iptables)
        found = prove(made.policy, "bigscreen", "port0", netns.inside(made.box, lambda: dump.take(known=known)))
        assert found.unknown == ("ip_tables filter, which holds rules besides nftables'",)
        assert not found.equal
    finally:
        made.remove()


# What another root process does; whether it shows as packets treated otherwise, or as something that nothing explains.
CHANGES = [
    ("insert rule inet headgate input accept", "packets"),
    ("insert rule inet headgate input tcp dport 22 accept", "packets"),
    ("insert rule inet headgate input ip saddr 10.20.0.99 accept", "packets"),
    ("insert rule inet headgate input ct state untracked accept", "packets"),
    ("insert rule inet headgate input iifname port0 udp sport 53 accept", "packets"),
    ("insert rule inet headgate input ip6 saddr fd20::9 meta l4proto udp accept", "packets"),
    ("insert rule inet headgate input tcp flags syn tcp dport 1-1023 accept", "packets"),
    ("insert rule inet headgate input ip ttl < 5 accept", "packets"),
    ("insert rule inet headgate forward accept", "packets"),
    ("insert rule inet headgate output ip daddr 10.20.0.0/28 accept", "packets"),
    ("insert rule inet headgate output ip daddr { 10.20.0.3, 10.20.0.5-10.20.0.9 } udp dport { 53, 123 } accept", "packets"),
    ("insert rule inet headgate input ip saddr . tcp dport { 10.20.0.77 . 22 } accept", "packets"),
    ("insert rule netdev headgate ingress accept", "packets"),
    ("insert rule netdev headgate ingress ether type 8021q accept", "packets"),
    ("insert rule netdev headgate ingress ether saddr 02:00:00:00:00:66 accept", "packets"),
    ("insert rule netdev headgate ingress arp operation reply accept", "packets"),
    ("insert rule netdev headgate ingress ip frag-off & 0x2000 != 0 accept", "packets"),
    ("insert rule netdev headgate ingress ip protocol gre accept", "packets"),
    ("flush chain inet headgate input", "packets"),
    ("flush chain netdev headgate ingress", "packets"),
    ("add element inet headgate subscribers4 { 10.20.0.61 }", "packets"),
    ("add element inet headgate many4 { 10.20.3.12 }", "packets"),
    ("delete element inet headgate many4 { 10.20.1.77 }", "packets"),
    ("add element inet headgate subscribers6 { fd20::51 }", "packets"),
    ("flush set inet headgate many4", "packets"),
    ("delete table netdev headgate", "packets"),
    ("delete table inet headgate", "packets"),
    ("flush ruleset", "packets"),
    ("add table inet headgate { flags dormant; }", "both"),
    ("add chain inet headgate input { policy accept; }", "unknown"),
    ("add table ip nat", "unknown"),
    ("add chain inet headgate early { type filter hook input priority -300; policy accept; }", "unknown"),
    ("add chain netdev headgate out { type filter hook egress device port0 priority 0; policy accept; }", "unknown"),
    ("add chain inet headgate aside", "unknown"),
    ("add set inet headgate guests { type ipv4_addr; }", "unknown"),
    ("add map inet headgate guests { type ipv4_addr : verdict; }", "unknown"),
    ("add counter inet headgate guests", "unknown"),
    ("add ct helper inet headgate ftp { type \"ftp\" protocol tcp; }", "unknown"),
    ("add flowtable inet headgate fast { hook ingress priority 0; devices = { port0 }; }", "unknown"),
    ("insert rule inet headgate input limit rate 1/second accept", "unknown"),
    ("insert rule inet headgate input meta mark 1 accept", "unknown"),
    ("insert rule inet headgate input meta mark set 1", "unknown"),
    ("insert rule inet headgate input ct mark set 1", "unknown"),
    ("insert rule inet headgate input ct original ip saddr 10.0.0.1 accept", "unknown"),
    ("insert rule inet headgate input ip saddr vmap { 10.20.0.9 : accept }", "unknown"),
    ("insert rule inet headgate input ip dscp set cs1", "unknown"),
    ("insert rule inet headgate input fib saddr type local accept", "unknown"),
    ("insert rule inet headgate input log prefix \"x\"", "unknown"),
    ("insert rule inet headgate input @nh,96,24 0x0a1400 accept", "unknown"),
    ("insert rule inet headgate input update @guests { ip saddr }", "unknown"),
    ("insert rule netdev headgate ingress dup to lo", "unknown"),
    ("insert rule netdev headgate ingress fwd to lo", "unknown"),
    ("insert rule inet headgate input quota over 5 bytes accept", "unknown"),
    ("insert rule inet headgate output reject", "unknown"),
    ("insert rule inet headgate input notrack", "unknown"),
    ("insert rule inet headgate input queue num 1", "unknown"),
    ("insert rule inet headgate input numgen random mod 2 0 accept", "unknown"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "shows"), CHANGES, ids=[change for change, _ in CHANGES])
def test_what_another_root_process_changes_is_found(box: Scratch, change: str, shows: str) -> None:
    """By the kernel's own expressions; a change that this kernel does not take cannot be made here."""
    box.load(ruleset.compile_zone(box.policy, "bigscreen", "port0"))
    if "@guests" in change:
        box.nft("add set inet headgate guests { type ipv4_addr; flags dynamic; }")
    try:
        box.nft(change)
    except command.CommandFailed as failed:
        pytest.skip(f"this kernel lacks it, or nft does: {str(failed).splitlines()[0]}")
    found = box.proved()
    assert not found.equal
    assert {
        "packets": bool(found.differences),
        "unknown": bool(found.unknown),
        "both": bool(found.unknown and found.differences),
    }[shows]


@pytest.mark.parametrize(
    "change",
    [
        "insert rule inet headgate input tcp dport 22 accept",
        "add element inet headgate many4 { 10.20.3.12 }",
        "delete table netdev headgate",
        "add table ip nat",
        "insert rule inet headgate input meta mark 1 accept",
        "insert rule netdev headgate ingress ip frag-off & 0x2000 != 0 accept",
    ],
)
def test_the_second_engine_finds_it_too(box: Scratch, change: str) -> None:
    """From nft's numeric listing, by diagrams."""
    box.load(ruleset.compile_zone(box.policy, "bigscreen", "port0"))
    box.nft(change)
    first, second = box.proved(), box.by_diagrams()
    assert not second.equal
    assert bool(first.unknown) == bool(second.unknown)
    assert {d.packet.hook for d in first.differences} == {d.packet.hook for d in second.differences}


def test_what_a_listing_hides_is_found(box: Scratch) -> None:
    """nft lists this rule as ``icmp type destination-unreachable``, as ours; the kernel lets IPv6 with such bytes in as well."""
    rules = ruleset.compile_zone(box.policy, "bigscreen", "port0")
    box.load(rules)
    listed = json.loads(box.nft("-j", "list", "chain", "inet", "headgate", "input"))["nftables"]
    is_errors = [
        p["rule"]["handle"]
        for p in listed
        if p.get("rule", {}).get("comment") == "errors" and '"icmp"' in json.dumps(p)
    ]
    wider = "ct state related meta l4proto icmp @th,0,8 3 accept comment errors"
    box.nft(f"replace rule inet headgate input handle {is_errors[0]} {wider}")
    after = json.loads(box.nft("-j", "list", "chain", "inet", "headgate", "input"))["nftables"]

    def told(parts: list[Any]) -> list[Any]:
        """Return the rules without their handles and counts."""
        rules = [p["rule"] for p in parts if "rule" in p]
        return [[e for e in rule["expr"] if "counter" not in e] for rule in rules]

    assert told(after) == told(listed)
    (difference,) = box.proved().differences
    assert (difference.packet.fields["ether type"], difference.packet.fields["proto"], difference.live) == (
        "ip6",
        "icmp",
        "accept",
    )


@pytest.fixture
def as_zone(box: Scratch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the scratch namespace be the zone ``bigscreen``, its ruleset loaded, and return the policy's file."""
    box.load(ruleset.compile_zone(box.policy, "bigscreen", "port0"))
    (tmp_path / "netns").mkdir()
    (tmp_path / "netns" / "bigscreen").symlink_to(netns.FOLDER / box.box)
    monkeypatch.setattr(netns, "FOLDER", tmp_path / "netns")
    (tmp_path / "live.yaml").write_text(POLICY)
    return tmp_path / "live.yaml"


def _explain(file: Path, *words: str) -> Any:
    return CliRunner().invoke(cli_policy.commands, ["explain", str(file), "--live", *words])


def test_explain_asks_the_running_kernel(box: Scratch, as_zone: Path) -> None:
    """It says which live rule decides, and whether that is what the policy says."""
    ask = ["--from", "bigscreen/10.20.0.61", "--to", "box", "--proto", "tcp", "--port"]
    done = _explain(as_zone, *ask, "80")
    assert done.exit_code == 0, done.output
    assert "the running kernel lets it through: rule 'services.delivery' of input" in done.output
    assert "as the policy says" in done.output
    done = _explain(as_zone, *ask, "8080")
    assert done.exit_code == 1
    assert "the running kernel drops it: rule 'default' of input" in done.output
    command.run(["ip", "netns", "exec", box.box, "nft", "add element inet headgate subscribers4 { 10.20.0.61 }"])
    done = _explain(as_zone, *ask, "8080")
    assert "NOT as the policy says" in done.output
    assert isinstance(done.exception, Refused)
    assert done.exception.reason == "live-differs"
    told = json.loads(_explain(as_zone, *ask, "8080", "--json").stdout.splitlines()[0])
    assert told["allowed"] is False
    assert {key: told["live"][key] for key in ("allowed", "hook", "rule", "agrees")} == {
        "allowed": True,
        "hook": "input",
        "rule": "services.resolver",
        "agrees": False,
    }
    assert _explain(as_zone, "--from", "culture", "--to", "bigscreen", "--lane", "release").exit_code == 2
    done = _explain(as_zone, "--from", "management/10.40.0.9", "--to", "box", "--proto", "tcp", "--port", "22")
    assert isinstance(done.exception, netns.KernelFailed)


SEEN = """\
table netdev seen {{
  chain before {{ type filter hook ingress device port0 priority -600; ether saddr {source} counter comment "before"
  }}
  chain ingress {{ type filter hook ingress device port0 priority 0; ether saddr {source} counter comment "ingress"
  }}
}}
table inet seen {{ chain input {{ type filter hook input priority 100; ether saddr {source} counter comment "input"
  }}
}}
"""  # of that sender alone: the kernel's own multicast reports come past too


def _counts(box: Scratch) -> dict[str, int]:
    parts = json.loads(box.nft("-j", "list", "ruleset"))["nftables"]
    rules = [part["rule"] for part in parts if part.get("rule", {}).get("table") == "seen"]
    return {rule["comment"]: next(e["counter"]["packets"] for e in rule["expr"] if "counter" in e) for rule in rules}


def _let_through(box: Scratch, hook: str, fields: Any) -> bool:
    """Send the packet twice and return whether the first one came behind our chain: when the second arrives, it is decided."""
    body = frames.opening(fields["proto"], fields["saddr"], fields["daddr"], (40000, int(fields.get("dport", 80))))
    if ":" in fields["saddr"]:
        kind, packet = frames.IPV6, frames.ip6(fields["proto"], fields["saddr"], fields["daddr"], body)
    else:
        options = b"\x01\x01\x01\x00" * (int(fields.get("hdrlength", 5)) - 5)
        packet = frames.ip4(
            fields["proto"],
            fields["saddr"],
            fields["daddr"],
            body,
            field=int(fields.get("frag-off", 0)),
            options=options,
        )
        kind = frames.IPV4
    source = fields.get("ether saddr", "02:00:00:00:00:50")
    box.nft("-f", "-", stdin=SEEN.format(source=source))
    frame = frames.frame(kind, MAC, packet, source)

    def send() -> None:
        with closing(socket.socket(socket.AF_PACKET, socket.SOCK_RAW)) as raw:
            raw.bind(("wire", 0))
            raw.send(frame)

    before = _counts(box)
    end = time.monotonic() + PATIENCE
    for number in (1, 2):
        netns.inside(box.host, send)
        while (after := _counts(box))["before"] < before["before"] + number:
            assert time.monotonic() < end
    return after[hook] > before[hook]


PACKETS = [
    # A rule, or one thing that it asks.
    ("ingress", "whole packets/saddr", {}),
    ("ingress", "whole packets/hdrlength", {}),
    ("ingress", "whole packets/frag-off", {}),
    ("ingress", "whole packets/daddr", {"daddr": "10.20.0.12"}),
    ("ingress", "false neighbour", {}),
    ("ingress", "whole packets", {}),
    # The smallest sender is the network's own address, which the kernel's routing drops; its neighbour is of the same range.
    ("input", "services.delivery", {"daddr": "10.20.0.11", "saddr": "10.20.0.1", "ether saddr": "02:aa:00:00:00:02"}),
    ("input", "services.time", {"daddr": "10.20.0.11", "saddr": "10.20.0.2"}),
]


@pytest.mark.parametrize(("hook", "lost", "rest"), PACKETS, ids=[lost for _, lost, _ in PACKETS])
def test_the_kernel_treats_the_packet_as_the_proof_says(
    box: Scratch, hook: str, lost: str, rest: dict[str, str]
) -> None:
    """Without one of its rules the real kernel does with the told packet what the proof says it does, and with them all what is wanted."""
    rules = ruleset.compile_zone(box.policy, "bigscreen", "port0")
    lost, _, asked = lost.partition("/")
    place, rule = next(
        (number, part)
        for number, part in enumerate(rules.objects)
        if part.get("rule", {}).get("comment") == lost
        and {"accept", "drop"} & {kind for e in part["rule"]["expr"] for kind in e}
    )
    if lost == "false neighbour":  # of ARP first; the packets' is what is sent here
        place = next(
            n
            for n, part in enumerate(rules.objects)
            if lost in json.dumps(part) and '"ip"' in json.dumps(part) and "drop" in str(part)
        )
    less = [e for e in rule["rule"]["expr"] if f'"field": "{asked}"' not in json.dumps(e)]
    instead = [{"rule": {**rule["rule"], "expr": less}}] if asked else []
    assert not asked or len(less) < len(rule["rule"]["expr"])
    box.load(Rules((*rules.objects[:place], *instead, *rules.objects[place + 1 :]), rules.elements))
    found = [d for d in box.proved().differences if d.packet.hook == hook]
    (difference, *_) = [d for d in found if d.packet.fields["ether type"] == "ip"]
    fields = {**difference.packet.fields, **rest}
    assert _let_through(box, hook, fields) is (difference.live == "accept")
    box.load(rules)
    assert _let_through(box, hook, fields) is (difference.wanted == "accept")
