"""The second and third engine: what the algebra says, z3 and CUDD say too, and where one of them is silent, nothing is proved."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gateway.isolation import ruleset
from gateway.isolation.policy import Policy
from gateway.isolation.proof import aside, diagram, intended, skeleton
from gateway.isolation.proof.prove import prove
from gateway.isolation.proof.written import large_sets, rules_as_json
from gateway.isolation.ruleset import Rules

Mutate = Callable[[Rules], Iterator[tuple[str, Rules]]]
ZONES = ("management", "culture", "bigscreen")


# Many questions to one process: starting one for each would take its time.
MANY = """
import json, os, sys
from gateway.isolation.proof import diagram
json.dump([diagram.answer(request) for request in json.load(sys.stdin)], sys.stdout)
sys.stdout.flush()
os._exit(0)
"""


def by_diagrams(policy: Policy, zone: str, listings: list[str]) -> list[dict[str, Any]]:
    """Return what CUDD answers to each listing."""
    wanted = intended.of_zone(policy, zone, "port0").hooks
    hooks = {hook: rules_as_json(rules) for hook, rules in wanted.items()}
    same = {"hooks": hooks, "sets": large_sets(wanted.values())}
    requests = json.dumps([{"listing": listing, **same} for listing in listings])
    done = subprocess.run([sys.executable, "-c", MANY], input=requests, text=True, capture_output=True, check=True)
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


@pytest.mark.parametrize("zone", ZONES)
def test_three_engines_agree_on_what_is_compiled(rich: Policy, zone: str, listing: Callable[[Rules], str]) -> None:
    """Set algebra, z3 and CUDD, each in its own way, prove the compiled ruleset."""
    rules = ruleset.compile_zone(rich, zone, "port0")
    for found in (
        prove(rich, zone, "port0", rules),
        skeleton.prove(rich, zone, "port0", rules),
        diagram.prove(rich, zone, "port0", listing(rules)),
    ):
        assert found.equal, found
        assert found.rules == sum("rule" in part for part in rules.objects)


def test_the_initial_namespace(rich: Policy, listing: Callable[[Rules], str]) -> None:
    """The lock is proved by the other engines too, and an empty namespace is not locked."""
    lock = ruleset.compile_lock()
    assert skeleton.prove(rich, "", None, lock).equal
    assert diagram.prove(rich, "", None, listing(lock)).equal
    assert not skeleton.prove(rich, "", None, Rules()).equal
    empty = diagram.prove(rich, "", None, listing(Rules()))
    assert {d.packet.hook for d in empty.differences} == {"input", "output", "forward"}


@pytest.mark.parametrize("step", [12, pytest.param(3, marks=pytest.mark.server)])
@pytest.mark.parametrize("zone", ZONES)
def test_diagrams_find_what_the_algebra_finds(
    rich: Policy,
    zone: str,
    step: int,
    compiled: Callable[[str], Rules],
    mutated: Mutate,
    listing: Callable[[Rules], str],
) -> None:
    """Of every change both say alike whether it shows in any packet, and at which hooks; each run takes others of them."""
    shown = 0
    changes = list(mutated(compiled(zone)))[random.randrange(step) :: step]
    answers = by_diagrams(rich, zone, [listing(changed) for _, changed in changes])
    for (what, changed), told in zip(changes, answers, strict=True):
        algebra = {difference.packet.hook for difference in prove(rich, zone, "port0", changed).differences}
        assert not told["unknown"], (what, told["unknown"])
        assert {hook for hook, packet in told["hooks"].items() if packet is not None} == algebra, what
        shown += bool(algebra)
    assert shown > len(changes) // 3


def test_z3_names_the_claim_that_does_not_hold(rich: Policy, compiled: Callable[[str], Rules]) -> None:
    """A door at the port is told in the auditor's words, with a packet."""
    rules = compiled("bigscreen")
    objects = tuple(part for part in rules.objects if part.get("rule", {}).get("comment") != "false neighbour")
    found = skeleton.prove(rich, "bigscreen", "port0", Rules(objects, rules.elements))
    assert not found.equal
    assert any(
        "pinned IPv4 neighbours come in from their own MACs alone: not for" in sentence for sentence in found.unknown
    )
    assert {difference.rule for difference in found.differences} == {"whole packets", "arp for the box", "neighbours"}


def test_large_sets_stay_closed_to_z3(rich: Policy, rich_text: str) -> None:
    """A thousand hosts and more are one name to the solver; another set under the rule is not the one that was meant."""
    from gateway.isolation import policy

    hosts = ", ".join(f"10.20.0.{n}" if n < 256 else f"10.20.{n >> 8}.{n & 255}" for n in range(256, 1400))
    text = rich_text.replace("10.20.0.11/24", "10.20.0.11/16").replace("[10.20.0.50,", f"[{hosts}, 10.20.0.50,")
    many = policy.parse(text.encode(), "many.yaml")
    rules = ruleset.compile_zone(many, "bigscreen", "port0")
    assert skeleton.prove(many, "bigscreen", "port0", rules).equal
    name = ("inet", "subscribers4")
    found = skeleton.prove(
        many, "bigscreen", "port0", Rules(rules.objects, {**rules.elements, name: rules.elements[name][4:]})
    )
    assert not found.equal
    assert [difference.packet.fields["saddr"] for difference in found.differences] == ["10.20.0.50"]


@pytest.mark.parametrize("seconds", [0.01])
def test_no_answer_proves_nothing(
    rich: Policy, compiled: Callable[[str], Rules], listing: Callable[[Rules], str], seconds: float
) -> None:
    """An engine that ran out of time is a failure with that reason."""
    rules = compiled("management")
    for found in (
        skeleton.prove(rich, "management", "port0", rules, seconds=seconds),
        diagram.prove(rich, "management", "port0", listing(rules), seconds=seconds),
    ):
        assert not found.equal
        assert "no answer within 0.01 s" in found.unknown[-1]


def test_an_engine_that_is_missing_proves_nothing(
    rich: Policy, compiled: Callable[[str], Rules], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its library there is no proof either."""
    monkeypatch.setattr(aside.sys, "path", [path for path in aside.sys.path if "site-packages" not in path])
    monkeypatch.setattr(aside.sys, "executable", aside.sys._base_executable)  # of no virtual environment
    found = skeleton.prove(rich, "management", "port0", compiled("management"))
    assert not found.equal
    assert "No module named 'z3'" in found.unknown[-1]


@pytest.mark.parametrize("zone", ["bigscreen"])
def test_what_the_second_reader_does_not_know_it_tells(
    rich: Policy, zone: str, compiled: Callable[[str], Rules], listing: Callable[[Rules], str]
) -> None:
    """Tables, chains, sets and statements that are none of ours are failures of the second engine by itself."""
    told = json.loads(listing(compiled(zone)))["nftables"]
    rule = {"family": "inet", "table": "headgate", "chain": "input", "expr": []}
    strangers = (
        {"table": {"family": "ip", "name": "nat"}},
        {
            "chain": {
                "family": "inet",
                "table": "headgate",
                "name": "early",
                "type": "filter",
                "hook": "input",
                "prio": -10,
                "policy": "accept",
            }
        },
        {"set": {"family": "inet", "table": "headgate", "name": "x", "type": "ipv4_addr", "flags": ["timeout"]}},
        {"map": {"family": "inet", "table": "headgate", "name": "m", "type": "ipv4_addr", "map": "verdict"}},
        {"rule": {**rule, "expr": [{"queue": {"num": 1}}]}},
        {"rule": {**rule, "expr": [{"jump": {"target": "elsewhere"}}]}},
        {"rule": {**rule, "expr": [{"limit": {"rate": 1, "per": "second"}}, {"accept": None}]}},
        {
            "rule": {
                **rule,
                "expr": [{"match": {"op": "==", "left": {"meta": {"key": "mark"}}, "right": 1}}, {"accept": None}],
            }
        },
    )
    listings = [json.dumps({"nftables": [*told, part]}) for part in strangers]
    for part, found in zip(strangers, by_diagrams(rich, zone, listings), strict=True):
        assert len(found["unknown"]) == 1, part
