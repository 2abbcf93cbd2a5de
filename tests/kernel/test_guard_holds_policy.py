"""The guard against the real kernel: applied, read back, put back, taken back."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.identity.keys import PrivateKey
from appliance.journal.verify import verify_folder
from appliance.runtime import command
from appliance.runtime.command import CommandFailed
from appliance.runtime.errors import ConfigError, Refused
from appliance.telemetry.spool import Spool
from gateway.isolation import approval, audit, listing, netns, ruleset
from gateway.isolation import policy as policies
from gateway.isolation.chronicle import BoxChronicle
from gateway.isolation.enforcer import Enforcer
from gateway.isolation.nfnl import requests
from gateway.isolation.nfnl.link import Link
from gateway.isolation.policy import Policy
from gateway.isolation.reconcile import HOME
from gateway.isolation.shelf import Shelf, signatures_beside
from gateway.isolation.topology import topology_of

pytestmark = pytest.mark.kernel


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class SeenUnits:
    """Remembers for which policies units were brought up."""

    def __init__(self) -> None:
        self.brought: list[str] = []

    def bring(self, policy: Policy) -> None:
        self.brought.append(policy.digest)


class Bench:
    """A scratch site with a guard, which can be killed and started again."""

    def __init__(self, site: Any, folder: Path, asked: Path) -> None:
        self.site, self.folder, self.asked, self.clock, self.units = site, folder, asked, Clock(), SeenUnits()
        self.chronicles: list[BoxChronicle] = []
        self.guard = self.again()

    def again(self) -> Enforcer:
        """Return a new guard on the same disk and kernel, as after kill -9."""
        for chronicle in self.chronicles:
            chronicle.close()
        self.chronicles.clear()
        self.site.kernel.close()
        self.guard = Enforcer(
            self.asked,
            Shelf(self.folder / "state", self.folder / "run"),
            self.site.kernel,
            self.units,
            self._chronicle,
            self.clock,
        )
        return self.guard

    def _chronicle(self, site: str) -> BoxChronicle:
        chronicle = BoxChronicle(self.folder / "state", site)
        self.chronicles.append(chronicle)
        return chronicle

    def ask(self, old: str, new: str) -> None:
        """Change the policy asked for."""
        text = self.asked.read_text()
        assert old in text
        self.asked.write_text(text.replace(old, new))

    def rules(self, zone: str) -> str:
        """Return the rules of a zone as people read them, without who owns the tables."""
        told = self.site.kernel.inside(zone, lambda: command.run(["nft", "-s", "list", "ruleset"]))
        return re.sub(r" # progname .*|\tflags .*\n\n", "", told)

    def nft(self, zone: str, *words: str) -> None:
        """Change a zone's ruleset behind the guard's back."""
        self.site.kernel.inside(zone, lambda: command.run(["nft", *words]))

    def ip(self, zone: str, *words: str) -> str:
        """Run ``ip`` in a zone."""
        return command.run(["ip", "-n", self.site.kernel.name(zone), *words])

    def status(self) -> dict[str, Any]:
        """Return the published status."""
        return json.loads((self.folder / "run" / "guard" / "status.json").read_text())

    def decisions(self) -> list[tuple[str, str]]:
        """Return what the guard decided, as it tells the controller."""
        spool = Spool(self.folder / "state" / "spool" / "spool.db")
        bodies = [numbered.record.body for numbered in spool.pending()]
        spool.close()
        return [(body["decision"], body["reason"]) for body in bodies]


@pytest.fixture
def bench(scratch: Callable[..., Any], tmp_path: Path, policy_file: Path) -> Any:
    bench = Bench(scratch(), tmp_path, policy_file)
    yield bench
    for chronicle in bench.chronicles:
        chronicle.close()


def test_start_brings_the_kernel_to_the_policy_and_a_second_look_changes_nothing(bench: Bench) -> None:
    """Ports move into their zones, everything reads back equal, and there is nothing left to do."""
    bench.guard.start()
    assert bench.guard.plan() == []
    assert bench.guard.apply()["actions"] == []
    assert "10.20.0.11/24" in bench.ip("bigscreen", "address", "show", "port0")
    assert "10.11.0.0/16 via 10.10.0.1" in bench.ip("culture", "route")
    wanted = topology_of(bench.site.policy)
    seen = bench.site.kernel.observe(wanted)
    for zone, place in wanted.items():
        assert listing.differences(place.rules, seen[zone].rules) == []
    status = bench.status()
    assert (status["state"], status["wanted"]) == ("enforced", status["enforced"])
    assert (bench.folder / "run" / "policy" / "policy.yaml").read_bytes() == bench.asked.read_bytes()
    assert bench.units.brought[0] == status["enforced"]


# topic -> (zone, command); what is done to tables that are ours is possible on kernels that know no owners
BEHIND_THE_GUARD = {
    "rules": [
        ("bigscreen", "nft insert rule inet headgate input accept"),
        ("culture", "nft flush ruleset"),
        ("culture", "nft delete table netdev headgate"),
        ("management", "nft add chain inet headgate input { policy accept; }"),
        (HOME, "nft flush ruleset"),
    ],
    "tables": [
        ("bigscreen", "nft add table inet mine"),
        ("bigscreen", "nft add table inet mine { flags dormant; }"),
        ("bigscreen", "nft add table bridge mine"),
    ],
    "objects": [
        ("bigscreen", "nft delete element inet headgate televisions4 { 10.20.0.70 }"),
        ("bigscreen", "nft add element inet headgate televisions6 { fd20::71 }"),
        ("bigscreen", "nft add set inet headgate x { type ipv4_addr; flags interval; }"),
        ("bigscreen", "nft add map inet headgate x { type ipv4_addr : verdict; }"),
        ("bigscreen", "nft add counter inet headgate x"),
        ("bigscreen", "nft add chain inet headgate x"),
    ],
    "routes": [
        ("bigscreen", "ip route add 10.77.0.0/16 via 10.20.0.1"),
        ("bigscreen", "ip route add 10.77.0.0/16 via 10.20.0.1 table 77"),
        ("bigscreen", "ip route add local 10.77.0.0/16 dev lo"),
        ("bigscreen", "ip route add blackhole 10.20.0.64/26"),
        ("bigscreen", "ip route add 10.77.0.0/16 dev port0 proto kernel"),
        ("bigscreen", "ip -6 route add fd77::/64 via fd20::1"),
        ("bigscreen", "ip rule add from 10.20.0.50 lookup 77"),
        ("bigscreen", "ip -6 rule add iif port0 lookup 254"),
        ("bigscreen", "ip rule delete pref 32766"),
    ],
    "addresses": [
        ("management", "ip address add 10.9.9.9/24 dev port0"),
        ("bigscreen", "ip address add 10.9.9.9/32 dev lo"),
        ("bigscreen", "ip address add 10.20.0.12 peer 10.77.0.1 dev port0"),
        ("bigscreen", "ip -6 address add fe80::77/64 dev port0 nodad"),
    ],
    "neighbours": [
        ("bigscreen", "ip neighbour add 10.20.0.50 lladdr 02:00:00:00:00:01 dev port0"),
        ("bigscreen", "ip neighbour replace 10.20.0.1 lladdr 02:00:00:00:00:01 dev port0"),
        ("bigscreen", "ip neighbour delete 10.20.0.1 dev port0"),
        ("bigscreen", "ip neighbour add proxy 10.20.0.60 dev port0"),
    ],
    "links and settings": [
        ("culture", "ip link set port0 down"),
        ("culture", "ip link add foreign type veth peer other"),
        ("bigscreen", "sysctl -w net.ipv4.ip_forward=1"),
        ("bigscreen", "sysctl -w net.ipv4.conf.port0.arp_accept=1"),
    ],
}


@pytest.mark.parametrize("topic", BEHIND_THE_GUARD)
def test_what_somebody_changes_behind_the_guard_is_found_told_and_put_back(bench: Bench, topic: str) -> None:
    """After one look the kernel is as before, and journal and spool say that it was not."""
    bench.site.kernel.own = False
    bench.guard.start()
    bench.guard.look()  # from here on, rulesets are listed only when their generation moves
    assert ("put-back", "drift") not in bench.decisions()
    for number, (zone, words) in enumerate(BEHIND_THE_GUARD[topic], 1):
        before = bench.rules(zone)
        bench.site.kernel.inside(zone, lambda words=words: command.run(_words(words)))
        bench.guard.look()
        assert bench.guard.plan() == [], words
        assert bench.rules(zone).count("\n") == before.count("\n"), words
        assert bench.decisions().count(("put-back", "drift")) == number, words
        bench.guard.look()
        assert bench.status()["state"] == "enforced", words
        if zone:
            assert "put back" in bench.status()["zones"][zone]["detail"], words


def _words(text: str) -> list[str]:
    """Return a command's words; what stands in braces is one."""
    head, brace, rest = text.partition("{")
    return [*head.split(), *([brace + rest] if brace else [])]


@pytest.mark.parametrize(
    "words",
    [
        ["insert", "rule", "inet", "headgate", "input", "accept"],
        ["flush", "chain", "inet", "headgate", "input"],
        ["delete", "table", "netdev", "headgate"],
        ["add", "chain", "inet", "headgate", "input", "{ policy accept; }"],
        ["add", "element", "inet", "headgate", "televisions4", "{ 10.20.0.66 }"],
        ["flush", "ruleset"],
    ],
)
def test_nobody_else_changes_what_the_guard_loaded(bench: Bench, words: list[str]) -> None:
    """The kernel refuses it, or leaves our tables out, although it is root who asks."""
    bench.guard.start()
    before = bench.rules("bigscreen")
    assert bench.site.kernel.owning("bigscreen")
    refused = words != ["flush", "ruleset"]  # which leaves out what is not one's own
    with pytest.raises(CommandFailed, match="Operation not permitted") if refused else contextlib.nullcontext():
        bench.nft("bigscreen", *words)
    assert bench.rules("bigscreen") == before
    bench.guard.look()
    assert ("put-back", "drift") not in bench.decisions()


def test_a_guard_takes_over_what_the_one_before_it_owned(bench: Bench) -> None:
    """The tables outlive the guard, and the next one owns them without loading them again."""
    bench.guard.start()
    before = bench.rules("bigscreen")
    bench.again()
    assert bench.rules("bigscreen") == before
    assert not bench.site.kernel.owning("bigscreen")
    assert {type(action).__name__ for action in bench.guard.plan()} == {"OwnTables"}
    bench.guard.start()
    assert bench.site.kernel.owning("bigscreen")
    assert bench.guard.plan() == []


def test_tables_made_without_an_owner_are_replaced_by_owned_ones(bench: Bench) -> None:
    """As when a box gets a newer kernel or newer software."""
    bench.site.kernel.own = False
    bench.guard.start()
    assert not bench.site.kernel.owning("bigscreen")
    before = bench.rules("bigscreen")
    bench.again()
    bench.site.kernel.own = True
    bench.guard.start()
    assert bench.site.kernel.owning("bigscreen")
    assert sorted(bench.rules("bigscreen").splitlines()) == sorted(before.splitlines())


def test_a_policy_that_nobody_confirms_goes_back(bench: Bench) -> None:
    """At the deadline the previous policy holds again, and the journal says why."""
    bench.guard.start()
    first = bench.guard.status()["enforced"]
    bench.ask("listen: tcp/8080", "listen: tcp/8081")
    told = bench.guard.apply(within=30)
    assert told["changed"]
    assert bench.status()["state"] == "pending"
    assert "8081" in bench.rules("bigscreen")
    bench.clock.now += 29
    bench.guard.look()
    assert "8081" in bench.rules("bigscreen")
    bench.clock.now += 2
    bench.guard.look()
    assert "8080" in bench.rules("bigscreen")
    assert bench.status()["enforced"] == first
    assert bench.decisions()[-1] == ("revert", "not-confirmed")


def test_a_policy_that_nobody_confirms_goes_back_also_when_the_guard_was_killed_meanwhile(bench: Bench) -> None:
    """The deadline is on disk: a guard that starts after it begins with the previous policy."""
    bench.guard.start()
    first = bench.guard.status()["enforced"]
    bench.ask("listen: tcp/8080", "listen: tcp/8081")
    bench.guard.apply(within=30)
    bench.clock.now += 10
    bench.again().start()
    assert bench.status()["state"] == "pending"
    assert "8081" in bench.rules("bigscreen")
    bench.clock.now += 40
    bench.again().start()
    assert bench.status()["enforced"] == first
    assert "8081" not in bench.rules("bigscreen")
    bench.again().start()
    assert bench.status()["enforced"] == first


def test_a_confirmed_policy_stays(bench: Bench) -> None:
    """After the confirmation the deadline means nothing any more, and a restart keeps the policy."""
    bench.guard.start()
    bench.ask("listen: tcp/8080", "listen: tcp/8081")
    bench.guard.apply(within=30)
    bench.guard.confirm()
    bench.clock.now += 100
    bench.guard.look()
    assert bench.status()["state"] == "enforced"
    bench.again().start()
    assert "8081" in bench.rules("bigscreen")
    with pytest.raises(Refused) as refused:
        bench.guard.confirm()
    assert refused.value.reason == "nothing-to-confirm"


def test_a_broken_policy_is_refused_and_the_last_good_one_holds_also_after_a_restart(bench: Bench) -> None:
    """Neither kernel nor published policy change; the refusal is told."""
    bench.guard.start()
    first = bench.guard.status()["enforced"]
    bench.ask("zone: bigscreen,  run: delivery", "zone: bigscren,  run: delivery")
    with pytest.raises(ConfigError):
        bench.guard.apply()
    assert bench.guard.findings.drift == {}
    assert bench.decisions()[-1] == ("refuse", "bad-configuration")
    bench.again().start()
    status = bench.status()
    assert status["enforced"] == first
    assert status["wanted"] != first
    assert status["state"] == "pending"


def test_a_policy_whose_port_is_nowhere_is_refused_before_anything_changes(bench: Bench) -> None:
    """The refusal names the zone and the MAC."""
    bench.guard.start()
    bench.ask("02:68:67:14:00:0b", "02:68:67:14:00:99")
    before = bench.rules("bigscreen")
    with pytest.raises(Refused, match="02:68:67:14:00:99") as refused:
        bench.guard.apply()
    assert refused.value.reason == "no-port"
    assert bench.rules("bigscreen") == before


def test_a_port_that_is_missing_at_boot_leaves_the_other_zones_served(bench: Bench) -> None:
    """The zone says so in the status, and is brought up when its port comes."""
    home = bench.site.kernel.home
    command.run(["ip", "-n", home, "link", "set", "bigscreen0", "address", "02:68:67:14:00:77"])
    bench.guard.start()
    assert bench.status()["zones"]["bigscreen"]["state"] == "no-port"
    assert bench.status()["zones"]["culture"]["state"] == "enforced"
    assert "policy drop" in bench.rules("bigscreen")
    command.run(["ip", "-n", home, "link", "set", "bigscreen0", "address", "02:68:67:14:00:0b"])
    bench.guard.look()
    assert bench.status()["state"] == "enforced"
    assert "ingress" in bench.rules("bigscreen")


def test_two_ports_that_change_places_meet_in_no_zone(bench: Bench) -> None:
    """Swapped MACs in the policy swap the ports."""
    bench.guard.start()
    bench.ask("02:68:67:0a:00:0b", "02:68:67:ff:00:0b")
    bench.ask("02:68:67:14:00:0b", "02:68:67:0a:00:0b")
    bench.ask("02:68:67:ff:00:0b", "02:68:67:14:00:0b")
    bench.guard.apply()
    assert bench.guard.plan() == []
    assert "02:68:67:0a:00:0b" in bench.ip("bigscreen", "link", "show", "port0")


def test_a_zone_that_leaves_the_policy_leaves_the_box(bench: Bench) -> None:
    """Its port goes home, down, before its namespace goes."""
    bench.guard.start()
    bench.asked.write_text(
        "site: scratch\nzones:\n  culture: {port: '02:68:67:0a:00:0b', addresses: [10.10.0.11/24]}\n"
        "never: [{from: culture, to: bigscreen}]\n"
    )
    bench.guard.apply()
    assert bench.site.kernel.zones() == ["culture"]
    home = bench.ip(HOME, "link")
    assert "02:68:67:14:00:0b" in home
    assert "02:68:67:28:00:0b" in home
    assert "state UP" not in home


def test_the_audit_sees_what_differs(bench: Bench) -> None:
    """A clean box is clean; a cable that nobody asked for and forwarding are both named, each in its zone."""
    bench.guard.start()
    kernel, policy = bench.site.kernel, bench.guard.policy
    assert policy is not None
    assert not any(audit.deviations(policy, kernel.observe(topology_of(policy))).values())
    culture, bigscreen = kernel.name("culture"), kernel.name("bigscreen")
    command.run(["ip", "-n", culture, "link", "add", "bad0", "type", "veth", "peer", "bad1", "netns", bigscreen])
    kernel.inside("bigscreen", lambda: command.run(["sysctl", "-w", "net.ipv4.ip_forward=1"]))
    found = audit.deviations(policy, kernel.observe(topology_of(policy)))
    assert any("bad0" in line for line in found["culture"])
    assert any("ip_forward" in line for line in found["bigscreen"])


def test_every_decision_is_in_the_journal_and_in_the_spool(bench: Bench) -> None:
    """The journal verifies, and the spool holds the same decisions as audit records."""
    bench.guard.start()
    bench.nft("culture", "add", "table", "inet", "mine")
    bench.guard.look()
    state = bench.folder / "state"
    report = verify_folder(state / "journal" / "guard")
    assert report.ok
    assert report.signed == len(bench.decisions())
    assert ("put-back", "drift") in bench.decisions()


def test_namespaces_of_the_site_are_all_that_a_guard_touches(bench: Bench) -> None:
    """A bystander's namespace has neither tables nor settings of ours."""
    bystander = bench.site.prefix + "bystander"
    netns.make(bystander)
    bench.guard.start()
    assert netns.inside(bystander, lambda: command.run(["nft", "-s", "list", "ruleset"])) == ""


def test_a_zone_whose_ruleset_cannot_be_made_right_loses_its_port(bench: Bench) -> None:
    """A foreign table that its owner keeps cannot be removed: the zone's port goes down, and up again once the table is gone."""
    bench.guard.start()
    with contextlib.closing(bench.site.kernel.inside("bigscreen", Link)) as other:
        other.commit([requests.new_table("inet", "mine", requests.OWNER)])
        bench.guard.look()
        assert "state DOWN" in bench.ip("bigscreen", "link", "show", "port0")
        assert "state UP" in bench.ip("culture", "link", "show", "port0")
        assert bench.status()["state"] == "failed"
        assert ("close", "not-enforced") in bench.decisions()
    bench.guard.look()
    assert "state UP" in bench.ip("bigscreen", "link", "show", "port0")
    assert bench.status()["state"] == "enforced"


def test_a_ruleset_that_is_not_what_the_policy_means_is_never_kept(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were the compiler wrong, the proof would say so with a packet, and the previous policy would stay."""
    bench.guard.start()
    first = bench.guard.status()["enforced"]
    assert all(told["equal"] for told in bench.guard.status()["proofs"].values())
    right = ruleset.compile_zone

    def wrong(policy: Policy, zone: str, *more: Any) -> Any:
        rules = right(policy, zone, *more)
        if "8081" not in str(rules.objects):
            return rules
        objects = json.loads(json.dumps(rules.objects).replace("8081", "8082"))
        return ruleset.Rules(tuple(objects), rules.elements)

    monkeypatch.setattr(ruleset, "compile_zone", wrong)
    bench.ask("listen: tcp/8080", "listen: tcp/8081")
    with pytest.raises(Refused, match=r"zone bigscreen is not proved: .*dport 808[12]") as refused:
        bench.guard.apply()
    assert refused.value.reason == "not-enforced"
    assert bench.guard.status()["enforced"] == first
    assert all(told["equal"] for told in bench.guard.status()["proofs"].values())


def test_a_successor_needs_the_signatures_that_the_policy_in_force_asks_for(bench: Bench, tmp_path: Path) -> None:
    """Two keys over the exact bytes, and a higher serial; one signature, another file's or an old policy change nothing."""
    keys = {name: PrivateKey.generate() for name in ("li-wei", "wang-fang")}
    told = ", ".join(f'{name}: "{key.public}"' for name, key in keys.items())
    asks = f"serial: 1\napproval: {{signatures: 2, keys: {{{told}}}}}\n"
    bench.asked.write_text(asks + bench.asked.read_text())
    sign(bench.asked, keys)
    bench.guard.start()
    first = bench.asked.read_text()

    def refused() -> str:
        with pytest.raises(Refused) as found:
            bench.guard.apply()
        assert bench.guard.status()["enforced"] == hashlib.sha256(first.encode()).hexdigest()
        return found.value.reason

    bench.ask("listen: tcp/8080", "listen: tcp/8081")
    assert refused() == "same-serial"
    bench.ask("serial: 1", "serial: 2")
    assert refused() == "not-signed"  # the signatures beside it are over the first file
    sign(bench.asked, {"li-wei": keys["li-wei"]})
    assert refused() == "too-few-signatures"
    sign(bench.asked, {"li-wei": PrivateKey.generate()})
    assert refused() == "wrong-key"
    sign(bench.asked, keys)
    assert bench.guard.apply()["changed"]
    bench.again().start()  # a guard that starts again keeps what was approved
    assert bench.guard.status()["enforced"] == hashlib.sha256(bench.asked.read_bytes()).hexdigest()
    bench.asked.write_text(first)
    sign(bench.asked, keys)
    with pytest.raises(Refused) as older:
        bench.guard.apply()
    assert older.value.reason == "older-policy"


def sign(path: Path, keys: dict[str, PrivateKey]) -> None:
    """Write the signatures of ``keys`` over the policy at ``path``."""
    told: bytes | None = None
    for name, key in keys.items():
        told = approval.sign(policies.load(path), name, key, told)
    signatures_beside(path).write_bytes(told or b"")
