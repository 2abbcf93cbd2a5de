"""Live rulesets against their policy: what was compiled is proved, whatever was changed is found, with a packet that shows it."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.isolation import policy, ruleset
from gateway.isolation.policy import Policy
from gateway.isolation.proof.prove import prove, prove_lock
from gateway.isolation.ruleset import Rules

Judge = Callable[[Rules, str, Mapping[str, str]], str]
Mutate = Callable[[Rules], Iterator[tuple[str, Rules]]]
ZONES = ("management", "culture", "bigscreen")


@pytest.mark.parametrize("device", ["port0", None])
@pytest.mark.parametrize("zone", ZONES)
def test_what_is_compiled_is_what_the_policy_means(rich: Policy, zone: str, device: str | None) -> None:
    """The compiler and the proof's own reading of the policy agree over all packets."""
    found = prove(rich, zone, device, ruleset.compile_zone(rich, zone, device))
    assert found.equal, (found.differences, found.unknown)
    assert found.rules > 10


def test_the_lock_lets_nothing_through(rich: Policy) -> None:
    """The initial namespace's ruleset is proved too, and a service in it is a difference."""
    lock = ruleset.compile_lock()
    assert prove_lock(rich, lock).equal
    open_door = {
        "rule": {"family": "inet", "table": "headgate", "chain": "input", "comment": "door", "expr": [{"accept": None}]}
    }
    place = next(i for i, part in enumerate(lock.objects) if "rule" in part)
    found = prove_lock(rich, Rules((*lock.objects[:place], open_door, *lock.objects[place:])))
    assert [(d.live, d.wanted, d.rule) for d in found.differences] == [("accept", "drop", "door")]


@pytest.mark.parametrize("zone", ["management", "culture", pytest.param("bigscreen", marks=pytest.mark.server)])
def test_every_change_is_found(
    rich: Policy, compiled: Callable[[str], Rules], mutated: Mutate, judged: Judge, zone: str
) -> None:
    """Each packet that is told is really treated otherwise; where none is told, no packet of any mutation's is."""
    original = compiled(zone)
    packets: list[tuple[str, Mapping[str, str]]] = []
    unseen: list[tuple[str, Rules]] = []
    for what, changed in mutated(original):
        found = prove(rich, zone, "port0", changed)
        assert not found.unknown, what
        for difference in found.differences:
            hook, fields = difference.packet.hook, difference.packet.fields
            assert judged(changed, hook, fields) == difference.live, (what, str(difference.packet))
            assert judged(original, hook, fields) == difference.wanted, (what, str(difference.packet))
            packets.append((hook, fields))
        if not found.differences:
            unseen.append((what, changed))
    assert len(packets) > 50
    for what, changed in unseen:
        for hook, fields in packets[::7]:
            assert judged(changed, hook, fields) == judged(original, hook, fields), (what, hook, fields)


def test_a_difference_names_the_line_and_the_smallest_packet(
    rich: Policy, rich_text: str, compiled: Callable[[str], Rules]
) -> None:
    """One address too many in a set is told as that address, with the rule and the policy's line."""
    rules = compiled("bigscreen")
    name = ("inet", "subscribers4")
    wider = Rules(rules.objects, {**rules.elements, name: rules.elements[name] + bytes([10, 20, 0, 77])})
    (difference,) = prove(rich, "bigscreen", "port0", wider).differences
    assert str(difference.packet) == (
        "bigscreen input: ether type ip iif port0 ct state new proto tcp dport 8080 tcp flags syn saddr 10.20.0.77"
    )
    assert (difference.live, difference.wanted, difference.rule) == ("accept", "drop", "services.resolver")
    assert rich_text.splitlines()[difference.line - 1].startswith("  resolver:")


def test_large_sets_that_differ_in_one_address(rich_text: str, judged: Judge) -> None:
    """Among many hosts, in IPv4 and IPv6, the one that is missing and the one too many are named."""
    four = [f"10.20.{n >> 8}.{n & 255}" for n in range(256, 2560, 2)]
    six = [f"fd20::{n:x}:{n % 7}" for n in range(1, 1200)]
    text = rich_text.replace("10.20.0.11/24", "10.20.0.11/16").replace(
        "[10.20.0.50,", f"[{', '.join(four)}, 10.20.0.50,"
    )
    text = text.replace('"fd20::50"]', ", ".join(f'"{a}"' for a in six) + "]").replace('"fd20::11/64"', '"fd20::11/64"')
    many = policy.parse(text.encode(), "many.yaml")
    rules = ruleset.compile_zone(many, "bigscreen", "port0")
    assert prove(many, "bigscreen", "port0", rules).equal
    for version, size in ((4, 4), (6, 16)):
        name = ("inet", f"subscribers{version}")
        data = rules.elements[name]
        lost, added = data[size * 500 : size * 501], (int.from_bytes(data[-size:], "big") + 9).to_bytes(size, "big")
        changed = Rules(rules.objects, {**rules.elements, name: data[: size * 500] + data[size * 501 :] + added})
        found = prove(many, "bigscreen", "port0", changed)
        told = {(str(ipaddress.ip_address(d.packet.fields["saddr"])), d.live) for d in found.differences}
        assert told == {(str(ipaddress.ip_address(lost)), "drop"), (str(ipaddress.ip_address(added)), "accept")}
        for difference in found.differences:
            assert judged(changed, "input", difference.packet.fields) == difference.live
            assert judged(rules, "input", difference.packet.fields) == difference.wanted


@pytest.mark.server  # takes seconds
def test_as_many_neighbours_and_services_as_a_policy_may_have() -> None:
    """A thousand pinned neighbours, two hundred services: within the second in which the guard proves (naively it takes minutes)."""
    pinned = ", ".join(
        f'10.20.{4 + n // 250}.{1 + n % 250}: "02:aa:00:00:{n >> 8:02x}:{n & 255:02x}"' for n in range(1000)
    )
    lines = [
        "site: large",
        "zones:",
        '  management: {port: "02:68:67:28:00:0b", addresses: [10.40.0.11/24]}',
        f'  bigscreen: {{port: "02:68:67:14:00:0b", addresses: [10.20.0.11/16], neighbours: {{{pinned}}}}}',
        "services:",
        *(
            f"  s{n}: {{zone: bigscreen, run: r{n}, listen: tcp/{100 + n}, from: [10.20.1.{n + 1}, 10.20.2.0/25]}}"
            for n in range(200)
        ),
        "never:",
        "  - {from: bigscreen, to: management}",
    ]
    large = policy.parse("\n".join(lines).encode(), "large.yaml")
    rules = ruleset.compile_zone(large, "bigscreen", "port0")
    found = prove(large, "bigscreen", "port0", rules)
    assert found.equal, (found.differences, found.unknown)
    assert found.seconds < 20  # on any machine; a second or less where the figures were taken
    last = max(
        place for place, part in enumerate(rules.objects) if part.get("rule", {}).get("comment") == "services.s199"
    )
    (difference,) = prove(
        large, "bigscreen", "port0", Rules((*rules.objects[:last], *rules.objects[last + 1 :]))
    ).differences
    assert (difference.packet.fields["dport"], difference.live) == ("299", "drop")


def test_one_set_written_otherwise_is_the_same(rich: Policy, compiled: Callable[[str], Rules]) -> None:
    """What counts is which packets pass: elements in another order, a network in halves, a port as a range are no difference."""
    rules = compiled("bigscreen")
    name = ("inet", "subscribers4")
    data = rules.elements[name]
    turned = b"".join(data[at : at + 4] for at in range(len(data) - 4, -4, -4))
    assert turned != data

    def halves(value: Any) -> Any:
        if value == {"prefix": {"addr": "10.20.0.0", "len": 24}}:
            return {"set": [{"range": ["10.20.0.0", "10.20.0.99"]}, {"range": ["10.20.0.100", "10.20.0.255"]}]}
        if isinstance(value, dict):
            return {key: halves(inner) for key, inner in value.items()}
        return [halves(inner) for inner in value] if isinstance(value, list) else value

    objects = tuple(halves(part) for part in rules.objects)
    assert objects != rules.objects
    found = prove(rich, "bigscreen", "port0", Rules(objects, {**rules.elements, name: turned}))
    assert found.equal, (found.differences, found.unknown)


def test_without_its_chains_everything_is_open(rich: Policy) -> None:
    """An empty namespace drops nothing: each hook tells a packet that comes through."""
    found = prove(rich, "bigscreen", "port0", Rules())
    assert {d.packet.hook for d in found.differences} == {"ingress", "input", "output", "forward"}
    assert {d.live for d in found.differences} == {"accept"}


networks = st.sampled_from(
    [
        "10.20.0.0/24",
        "10.20.0.64/26",
        "10.20.0.7",
        "10.20.0.8",
        "fd20::/64",
        "fd20::9",
        "10.20.0.128/25",
        "@few",
        "@more",
    ]
)
services = st.lists(
    st.tuples(
        st.sampled_from(["tcp", "udp"]),
        st.integers(1, 4),
        st.lists(networks, min_size=1, max_size=4, unique=True),
        st.booleans(),
    ),
    max_size=4,
    unique_by=lambda one: one[:2],
)


def written(offered: list[tuple[str, int, list[str], bool]], pinned: bool, default: bool) -> Policy:
    """Return a small policy."""
    used = {name for *_, sources, _ in offered for name in sources}
    groups = {"@few": "few: [10.20.0.7, 10.20.0.30]", "@more": 'more: [10.20.0.31, 10.20.0.96/27, "fd20::77"]'}
    lines = [
        "site: small",
        "zones:",
        '  management: {port: "02:68:67:28:00:0b", addresses: [10.40.0.11/24]}',
        '  bigscreen: {port: "02:68:67:14:00:0b", addresses: [10.20.0.11/24, "fd20::11/64"]'
        + (", routes: [{to: 0.0.0.0/0, via: 10.20.0.1}]" if default else "")
        + (', neighbours: {10.20.0.1: "02:aa:00:00:00:02"}' if pinned else "")
        + "}",
        "groups: {" + ", ".join(text for name, text in groups.items() if name in used) + "}",
        "services:" if offered else "services: {}",
    ]
    for number, (protocol, port, sources, log) in enumerate(offered):
        froms = ", ".join(f'"{one}"' for one in sources)
        lines.append(
            f"  s{number}: {{zone: bigscreen, run: r{number}, listen: {protocol}/{port}, from: [{froms}], log: {str(log).lower()}}}"
        )
    lines += ["never:", "  - {from: bigscreen, to: management}"]
    return policy.parse("\n".join(lines).encode(), "small.yaml")


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(services, st.booleans(), st.booleans(), st.data())
def test_any_policy_is_proved_and_any_change_found(
    mutated: Mutate,
    judged: Judge,
    offered: Any,
    pinned: bool,
    default: bool,
    data: st.DataObject,
) -> None:
    """Whatever is compiled is proved; whatever is changed, and shows in some packet, is told with a packet that shows it."""
    small = written(offered, pinned, default)
    rules = ruleset.compile_zone(small, "bigscreen", "port0")
    found = prove(small, "bigscreen", "port0", rules)
    assert found.equal, (found.differences, found.unknown)
    what, changed = data.draw(st.sampled_from(list(mutated(rules))))
    for difference in prove(small, "bigscreen", "port0", changed).differences:
        fields, hook = difference.packet.fields, difference.packet.hook
        assert (judged(changed, hook, fields), judged(rules, hook, fields)) == (difference.live, difference.wanted), (
            what
        )
