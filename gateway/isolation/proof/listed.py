"""A ruleset as nft lists it -> the rules of each hook, and whatever is there that no ruleset of ours holds.

An allow-list throughout: a table, chain, statement or key that is not known by name is told, never passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.isolation.proof import values as sets
from gateway.isolation.proof.matches import Object, Unknown, needs_of, ranges_of
from gateway.isolation.proof.rules import EVERYTHING, Needs, Rule, Rules
from gateway.isolation.proof.values import Values
from gateway.isolation.ruleset import TABLE
from gateway.isolation.ruleset import Rules as Ruleset

Chain = tuple[str, str]  # family and name, in the one table of that family that is ours
FAMILIES = ("inet", "netdev")
# The keys of each kind of object; those after the bar mean nothing for what a packet meets.
KEYS: Mapping[str, frozenset[str]] = {
    "table": frozenset({"family", "name", "handle"}),
    "chain": frozenset({"family", "table", "name", "type", "hook", "prio", "policy", "dev", "handle"}),
    "set": frozenset({"family", "table", "name", "type", "flags", "elem", "handle", "size", "policy", "comment"}),
    "rule": frozenset({"family", "table", "chain", "expr", "comment", "handle", "index"}),
}
# The type of a set's key -> the field whose values are written so.
TYPES = {"ipv4_addr": "ip saddr", "ipv6_addr": "ip6 saddr", "ether_addr": "ether saddr", "inet_service": "dport"}
WIDTHS = {"ipv4_addr": 4, "ipv6_addr": 16}
VERDICTS = {"accept": True, "drop": False}


@dataclass
class Live:
    """The rules of each hook as they are in force, and what nothing explains."""

    hooks: dict[str, Rules] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    rules: int = 0
    elements: int = 0


def read(rules: Ruleset, chains: Mapping[Chain, Object]) -> Live:
    """Return what a listed ruleset means; ``chains`` are the base chains that there must be."""
    return _Reader(rules.elements, chains).read(rules.objects)


class _Reader:
    def __init__(self, elements: Mapping[Chain, bytes], chains: Mapping[Chain, Object]) -> None:
        self.elements, self.chains = elements, chains
        self.sets: dict[Chain, Values] = {}
        self.used: set[Chain] = set()
        self.bodies: dict[Chain, list[Object]] = {}
        self.policies: dict[Chain, str] = {}
        self.live = Live()

    def read(self, objects: Iterable[Object]) -> Live:
        for part in objects:
            ((kind, body),) = part.items()
            if kind != "metainfo":
                self._object(kind, body)
        for chain, wanted in self.chains.items():
            self.live.hooks[wanted["hook"]] = self._rules(chain)
        for family, name in self.elements.keys() - self.sets.keys():
            self._unknown(f"elements of {family} {name}, which is no set")
        for family, name in self.sets.keys() - self.used:
            self._unknown(f"set {family} {TABLE} {name}, which no rule asks")
        for family, name in self.bodies.keys() - self.policies.keys():
            self._unknown(f"rules of chain {family} {TABLE} {name}")
        return self.live

    def _unknown(self, what: str) -> None:
        self.live.unknown.append(what)

    def _object(self, kind: str, body: Object) -> None:
        family, table = body.get("family"), body.get("name" if kind == "table" else "table")
        place = f"{kind} {family} {table}" + ("" if kind == "table" else f" {body.get('name', '')}".rstrip())
        if kind not in KEYS or family not in FAMILIES or table != TABLE:
            self._unknown(place)
            return
        for key in sorted(body.keys() - KEYS[kind]):
            self._unknown(f"{place} with {key} {body[key]}")
        if kind == "chain":
            self._chain((family, body["name"]), body, place)
        elif kind == "set":
            self._set((family, body["name"]), body, place)
        elif kind == "rule":
            self.bodies.setdefault((family, body["chain"]), []).append(body)

    def _chain(self, chain: Chain, body: Object, place: str) -> None:
        wanted = self.chains.get(chain)
        if wanted is None:
            self._unknown(place)
            return
        told = {key: body.get(key) for key in wanted}
        for key, value in wanted.items():
            if told[key] != value:
                self._unknown(f"{place} with {key} {told[key]} where {value} belongs")
        if told["hook"] == wanted["hook"]:  # elsewhere it guards nothing
            self.policies[chain] = str(body.get("policy"))

    def _set(self, name: Chain, body: Object, place: str) -> None:
        kind = body.get("type")
        flags = body.get("flags", [])
        if kind not in TYPES or set(flags) - {"interval"}:
            self._unknown(f"{place} of {kind} {flags or ''}".rstrip())
            return
        packed = self.elements.get(name, b"")
        try:
            written = ranges_of(TYPES[kind], body.get("elem", []))
        except (KeyError, TypeError, ValueError):
            self._unknown(f"{place} with elements that are more than values")
            return
        width = WIDTHS.get(kind, 4)
        self.live.elements += len(written) + len(packed) // width
        self.sets[name] = sets.of_ranges(written, (packed,) if packed else (), width)

    def _rules(self, chain: Chain) -> Rules:
        policy = self.policies.get(chain)
        if policy is None:
            return EVERYTHING
        found = []
        for body in self.bodies.get(chain, []):
            self.live.rules += 1
            found += self._rule(chain[0], body)
        return (*found, Rule(policy == "accept", name=f"policy {policy}"))

    def _rule(self, family: str, body: Object) -> list[Rule]:
        """Return what a rule decides; nothing if it has no verdict, or is not understood."""
        name = str(body.get("comment", ""))
        place = f"rule '{name}' of {body['chain']}" if name else f"a rule without a comment of {body['chain']}"
        needs: list[Needs] = [()]
        verdict: bool | None = None
        kinds: list[str] = []
        for expression in body["expr"]:
            ((kind, told),) = expression.items() if isinstance(expression, dict) else ((str(expression), {}),)
            if verdict is not None:
                self._unknown(f"{place}: {kind} after its verdict")
            kinds.append(kind)
            try:
                if kind == "match":
                    needs = [(*one, *two) for one in needs for two in self._needs(family, told)]
                elif kind in VERDICTS:
                    verdict = VERDICTS[kind]
                else:
                    _known(kind, told)
            except Unknown as error:
                self._unknown(f"{place}: {error}")
                return []
        if verdict is not None and "limit" in kinds:
            self._unknown(f"{place}: a limit before a verdict")
        return [] if verdict is None else [Rule(verdict, one, name) for one in needs]

    def _needs(self, family: str, match: Object) -> list[Needs]:
        def lookup(name: str) -> Values:
            self.used.add((family, name))
            return self.sets[family, name]

        return needs_of(match, lookup)


def _known(kind: str, told: Any) -> None:
    """Let pass what changes no verdict.

    Raises:
        Unknown: it may do more.
    """
    keys = set(told) if isinstance(told, dict) else set()
    if kind == "counter" and keys <= {"packets", "bytes"} and not isinstance(told, str):
        return
    if kind == "log" and keys <= {"prefix", "group", "snaplen", "queue-threshold"} and "group" in keys:
        return
    if kind == "limit" and keys <= {"rate", "per", "burst", "inv", "rate_unit", "burst_unit"}:
        return
    raise Unknown(f"{kind} {told}" if told is not None else kind)
