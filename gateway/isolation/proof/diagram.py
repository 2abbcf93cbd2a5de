"""The second engine of a signed audit: decision diagrams by CUDD, from a reader of its own (``witness.py``), in a process of its own.

A diagram is canonical: what a hook accepts and what the policy means are the same packets if, and only if, they are one node.
"""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, Any

from gateway.isolation.proof import aside
from gateway.isolation.proof.headers import Headers, Node
from gateway.isolation.proof.space import FIELDS
from gateway.isolation.proof.witness import Witness

if TYPE_CHECKING:
    from gateway.isolation.evidence import Proof
    from gateway.isolation.policy import Policy

SECONDS = 300.0
MIB = 4096  # of address space
LISTING = ("nft", "-n", "-j", "list", "ruleset")  # what to run in the zone's namespace for ``prove``


def prove(policy: Policy, zone: str, device: str | None, listing: str, *, seconds: float = SECONDS) -> Proof:
    """Return what the diagrams say of a ``listing`` as ``LISTING`` prints it; with ``zone`` empty, of the initial namespace's."""
    from gateway.isolation.evidence import Difference, Packet, Proof
    from gateway.isolation.proof import intended
    from gateway.isolation.proof.prove import words_of
    from gateway.isolation.proof.rules import first
    from gateway.isolation.proof.written import large_sets, rules_as_json

    start = time.perf_counter()
    wanted = intended.of_zone(policy, zone, device) if zone else intended.of_lock()
    request = {
        "listing": listing,
        "hooks": {hook: rules_as_json(rules) for hook, rules in wanted.hooks.items()},
        "sets": large_sets(wanted.hooks.values()),
    }
    unknown: list[str] = []
    found = []
    told: dict[str, Any] = {}
    try:
        told = aside.ask("gateway.isolation.proof.diagram", request, seconds=seconds, mib=MIB)
        unknown += told["unknown"]
        if sorted(told["hooks"]) != sorted(wanted.hooks):
            unknown.append("cudd: it did not answer for every hook")
        for hook, values in told["hooks"].items():
            if values is None:
                continue
            packet = {name: field.natural for name, field in FIELDS.items()} | values
            rule = first(wanted.hooks[hook], packet)
            words = ("drop", "accept") if rule.accept else ("accept", "drop")
            why = rule.why or f"nothing in the policy lets it through {hook}"
            shown = Packet(zone, hook, words_of(values))
            found.append(Difference(shown, words[0], words[1], why, policy.line_of(rule.path or ("zones", zone))))  # type: ignore[arg-type]
    except (aside.Failed, KeyError, TypeError) as error:
        unknown.append(f"cudd: {error}")
    took = time.perf_counter() - start
    return Proof(
        zone,
        "diagram",
        not unknown and not found,
        tuple(found),
        tuple(unknown),
        int(told.get("rules", 0)),
        int(told.get("elements", 0)),
        took,
    )


def load() -> None:
    """Load CUDD, with all that it loads at its first question."""
    Headers()


def answer(request: aside.Answer) -> aside.Answer:
    """In the engine's process: return for each hook a packet that is treated otherwise, or none; and what the reader does not know."""
    headers = Headers()
    witness = Witness(headers)
    live = witness.read(json.loads(request["listing"])["nftables"])
    wanted = _Wanted(
        headers, {name: (width, base64.b64decode(data)) for name, (width, data) in request["sets"].items()}
    )
    hooks: dict[str, dict[str, int] | None] = {}
    there = wanted.there()
    ip = headers.equals("protocol", 0x0800) | headers.equals("protocol", 0x86DD)
    for hook, rules in request["hooks"].items():
        apart = headers.bdd.apply("xor", live[hook], wanted.accepts(rules)) & there
        if hook != "ingress":  # behind the port there are IPv4 and IPv6 packets alone
            apart &= ip
        hooks[hook] = None if apart == headers.false else headers.packet(apart)
    return {"hooks": hooks, "unknown": witness.unknown, "rules": witness.count, "elements": witness.elements}


class _Wanted:
    """What the policy means, as diagrams."""

    def __init__(self, headers: Headers, sets: dict[str, tuple[int, bytes]]) -> None:
        self.headers, self.sets = headers, sets
        self.known: dict[tuple[str, str], Node] = {}

    def there(self) -> Node:
        """Return the packets that there are: not every pattern of bits is a value of a field."""
        found = self.headers.true
        for name, field in FIELDS.items():
            if field.size & (field.size - 1):
                found &= self.headers.between(name, 0, field.top)
        return found

    def accepts(self, rules: list[Any]) -> Node:
        """Return what the first rule that matches accepts."""
        accepted = self.headers.false
        for accept, _, needs in reversed(rules):
            condition = self.headers.true
            for name, (ranges, digests, inverted) in needs:
                condition &= self._among(name, ranges, digests, inverted=inverted)
            accepted = accepted | condition if accept else accepted & ~condition
        return accepted

    def _among(self, name: str, ranges: list[Any], digests: list[str], *, inverted: bool) -> Node:
        found = self.headers.false
        for first, last in ranges:
            found |= self.headers.between(name, first, last)
        for digest in digests:
            if (name, digest) not in self.known:
                width, data = self.sets[digest]
                values = sorted({int.from_bytes(data[at : at + width], "big") for at in range(0, len(data), width)})
                self.known[name, digest] = self.headers.members(name, values)
            found |= self.known[name, digest]
        return ~found if inverted else found


if __name__ == "__main__":
    aside.serve(load, answer)
