"""Two policies: who gains and who loses which openings, exactly; and single questions to a listed ruleset."""

from __future__ import annotations

import dataclasses
import ipaddress
import itertools
from collections.abc import Callable

import pytest

from gateway.isolation import policy, ruleset
from gateway.isolation.groups import Group
from gateway.isolation.policy import Policy
from gateway.isolation.proof.ask import ask
from gateway.isolation.proof.compare import Reach, compare
from gateway.isolation.question import End, Question
from gateway.isolation.ruleset import Rules
from gateway.isolation.verdict import decide


@pytest.fixture
def edited(rich_text: str) -> Callable[..., Policy]:
    """Return the rich policy with pieces of its text replaced."""

    def edit(*pairs: tuple[str, str]) -> Policy:
        text = rich_text
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new)
        return policy.parse(text.encode(), "edited.yaml")

    return edit


def number(address: str) -> int:
    return int(ipaddress.ip_address(address))


def told(found: list[Reach]) -> list[tuple[str, str, str, str, list[str], list[tuple[int, int]]]]:
    """Return the boxes in words that a test can read."""

    def words(one: Reach) -> list[str]:
        kind = ipaddress.IPv4Address if one.version == 4 else ipaddress.IPv6Address
        return [str(kind(first)) if first == last else f"{kind(first)}-{kind(last)}" for first, last in one.addresses]

    return [(one.verb, one.zone, one.hook, one.protocol, words(one), list(one.ports)) for one in found]


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([], []),
        ([("site: rich", "site: other"), ("run: chrony", "run: ntpd")], []),
        (
            [("10.20.0.7]", "10.20.0.8]")],
            [
                ("loses", "bigscreen", "input", "tcp", ["10.20.0.7"], [(8080, 8080)]),
                ("gains", "bigscreen", "input", "tcp", ["10.20.0.8"], [(8080, 8080)]),
            ],
        ),
        ([("10.20.0.60,", "10.20.0.60, 10.20.0.200,")], []),  # the group has its network already
        ([("[10.20.0.0/24, ", "[10.20.0.0/25, 10.20.0.128/25, ")], []),
        (
            [("listen: tcp/22", "listen: tcp/23")],
            [
                ("loses", "management", "input", "tcp", ["10.40.0.0-10.40.0.10", "10.40.0.12-10.40.0.255"], [(22, 22)]),
                ("gains", "management", "input", "tcp", ["10.40.0.0-10.40.0.10", "10.40.0.12-10.40.0.255"], [(23, 23)]),
            ],
        ),
        (
            [("[10.10.0.20, 10.10.0.21]", "[10.10.0.20/31, 10.10.0.22]")],
            [("gains", "culture", "output", "tcp", ["10.10.0.22"], [(80, 80)])],
        ),
        # A service's list is wide, yet hosts of another zone are no senders here.
        ([("[10.11.4.0/22]", "[10.11.4.0/22, 10.40.0.0/24]")], []),
        (
            [("[10.11.4.0/22]", "[10.11.4.0/22, 192.0.2.0/30]")],
            [("gains", "culture", "input", "tcp", ["192.0.2.0-192.0.2.3"], [(443, 443)])],
        ),
    ],
)
def test_who_gains_and_who_loses(
    rich: Policy, edited: Callable[..., Policy], pairs: list[tuple[str, str]], expected: list[object]
) -> None:
    """Only openings for which the answer differs are told, whatever else changed in the text."""
    assert told(compare(rich, edited(*pairs))) == expected


def test_another_zone_takes_senders_away(rich: Policy, edited: Callable[..., Policy]) -> None:
    """Who may send at the port counts, not the service's list alone: what is now behind management comes in there."""
    found = compare(
        rich,
        edited(
            ("{to: 10.11.0.0/16, via: 10.10.0.1}, ", ""),
            ("10.40.0.11/24", "10.11.4.11/24"),
            ("10.40.0.0/24", "10.11.4.0/24"),
            ("10.40.0.16/28", "10.11.4.16/28"),
        ),
    )
    assert told([one for one in found if one.zone == "culture"]) == [
        ("loses", "culture", "input", "tcp", ["10.11.4.0-10.11.4.255"], [(443, 443)])
    ]


def test_a_zone_that_goes(rich: Policy, edited: Callable[..., Policy]) -> None:
    """With its zone a service is lost whole."""
    rest = edited(
        (
            '  management: {port: "02:68:67:28:00:0b", addresses: [10.40.0.11/24]}\n',
            '  institution: {port: "02:68:67:28:00:0b", addresses: [10.60.0.11/24]}\n',
        ),
        ("  ssh:       {zone: management, run: ssh,       listen: tcp/22,   from: [10.40.0.0/24]}\n", ""),
        ("  names:     {zone: management, run: dns,       to: [10.40.0.16/28], port: udp/53}\n", ""),
        ("to: management", "to: institution"),
    )
    assert {(one.verb, one.zone, one.hook) for one in compare(rich, rest)} == {
        ("loses", "management", "input"),
        ("loses", "management", "output"),
    }


def test_the_difference_is_exact(rich: Policy, edited: Callable[..., Policy]) -> None:
    """For addresses and ports at all borders, a box is told if, and only if, the verdicts differ."""
    new = edited(
        ("10.20.0.128/25", "10.20.0.160/27"),
        ("[10.20.0.0/24, ", "[10.20.0.0/26, 10.20.0.200, "),
        ("udp/123", "udp/124"),
        ('"fd20::/64"', '"fd20::/65"'),
    )
    found = [one for one in compare(rich, new) if one.zone == "bigscreen" and one.hook == "input"]
    hosts = [f"10.20.0.{n}" for n in (0, 1, 7, 50, 60, 63, 64, 127, 128, 159, 160, 191, 192, 200, 201, 254, 255)]
    hosts += ["fd20::50", "fd20::7fff:ffff:ffff:ffff", "fd20::8000:0:0:0", "fd20::51", "10.20.1.0"]
    for host, protocol, port in itertools.product(hosts, ("tcp", "udp"), (80, 81, 123, 124, 8080)):
        asked = Question(End.parse(f"bigscreen/{host}"), End(), protocol, port)  # type: ignore[arg-type]
        before, after = decide(rich, asked).allowed, decide(new, asked).allowed
        verbs = [
            one.verb
            for one in found
            if one.protocol == protocol
            and one.version == ipaddress.ip_address(host).version
            and any(first <= number(host) <= last for first, last in one.addresses)
            and any(first <= port <= last for first, last in one.ports)
        ]
        expected = [] if before == after else ["loses" if before else "gains"]
        assert verbs == expected, (host, protocol, port)


def test_one_of_many_hosts(rich: Policy) -> None:
    """In a large group the one that is new is told, and nothing else."""
    packed = b"".join((number("10.20.0.0") + n).to_bytes(4, "big") for n in range(1, 9000, 3))
    one = number("10.20.0.9").to_bytes(4, "big")
    zone = rich.zones["bigscreen"].model_copy(
        update={"addresses": (ipaddress.ip_interface("10.20.0.11/16"),), "neighbours": {}}
    )
    wide = rich.model_copy(update={"zones": {**rich.zones, "bigscreen": zone}})
    old = wide.model_copy(update={"groups": {"subscribers": Group(hosts4=packed)}})
    new = wide.model_copy(
        update={
            "groups": {
                "subscribers": Group(
                    hosts4=b"".join(sorted([packed[i : i + 4] for i in range(0, len(packed), 4)] + [one]))
                )
            }
        }
    )
    assert told(compare(old, new)) == [("gains", "bigscreen", "input", "tcp", ["10.20.0.9"], [(8080, 8080)])]


QUESTIONS = [
    ("bigscreen/10.20.0.50", "box", "tcp", 80, True, "input", "services.delivery"),
    ("bigscreen/fd20::50", "box", "tcp", 8080, True, "input", "services.resolver"),
    ("bigscreen/10.20.0.51", "box", "tcp", 8080, False, "input", "default"),
    ("bigscreen/10.40.0.9", "box", "tcp", 80, False, "ingress", "false sender"),
    ("bigscreen/10.20.0.50", "bigscreen/10.20.0.60", "tcp", 80, False, "ingress", "not for the box"),
    ("bigscreen", "box", "tcp", 8080, True, "input", "services.resolver"),
    ("bigscreen", "box", None, None, True, "input", "services.delivery"),
    ("bigscreen", "box", "tcp", 22, False, "input", "default"),
    ("bigscreen", "box", "icmp", None, False, "input", "default"),
    ("management/10.40.0.9", "box", "tcp", 22, True, "input", "services.ssh"),
    ("bigscreen", "management", None, None, False, "ingress", "not for the box"),
    ("box", "culture/10.10.0.20", "tcp", 80, True, "output", "reach.origin"),
    ("box", "culture/10.10.0.22", "tcp", 80, False, "output", "default"),
    ("box", "culture", "tcp", 80, True, "output", "reach.origin"),
]


@pytest.mark.parametrize(("source", "target", "protocol", "port", "allowed", "hook", "rule"), QUESTIONS)
def test_a_ruleset_answers(
    rich: Policy, source: str, target: str, protocol: None, port: int | None, allowed: bool, hook: str, rule: str
) -> None:
    """The live rules say where and by which rule an opening is decided, and agree with the policy's verdict."""
    rules = {zone: ruleset.compile_zone(rich, zone, "port0") for zone in rich.zones}
    asked = Question(End.parse(source), End.parse(target), protocol, port)
    answer = ask(rich, "port0", rules, asked)
    assert (answer.allowed, answer.hook, answer.rule) == (allowed, hook, rule)
    assert decide(rich, asked).allowed is allowed


def test_an_answer_that_differs(rich: Policy) -> None:
    """A rule that somebody added answers by its own name, and what is not known beside it is told."""
    rules = ruleset.compile_zone(rich, "bigscreen", "port0")
    door = {
        "rule": {"family": "inet", "table": "headgate", "chain": "input", "comment": "door", "expr": [{"accept": None}]}
    }
    place = next(index for index, part in enumerate(rules.objects) if part.get("rule", {}).get("chain") == "input")
    nat = {"table": {"family": "ip", "name": "nat"}}
    changed = Rules((*rules.objects[:place], door, *rules.objects[place:], nat), rules.elements)
    answer = ask(rich, "port0", {"bigscreen": changed}, Question(End.parse("bigscreen/10.20.0.50"), End(), "tcp", 22))
    assert (answer.allowed, answer.rule, answer.unknown) == (True, "door", ("table ip nat",))
    assert dataclasses.asdict(answer)["packet"]["saddr"] == "10.20.0.50"
