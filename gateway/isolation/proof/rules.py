"""Rules as a proof sees them: a conjunction of sets of fields' values, and a verdict; of a list, the first that matches decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from appliance.runtime.config import Key
from gateway.isolation.proof.symbols import TYPES
from gateway.isolation.proof.values import Values, of

Needs = tuple[tuple[str, Values], ...]


@dataclass(frozen=True)
class Rule:
    """If a packet has all that is needed, it is accepted, or dropped."""

    accept: bool
    needs: Needs = ()
    name: str = ""  # of a live rule its comment
    why: str = ""  # of an intended rule the reason in words
    path: Key = ()  # of an intended rule where the policy says so

    def matches(self, values: Mapping[str, int]) -> bool:
        """Return whether a packet with these fields has all that is needed."""
        return all(values[field] in needed for field, needed in self.needs)


Rules = tuple[Rule, ...]
NOTHING: Rules = (Rule(False, name="default"),)
_NOT_IP = Rule(False, (("protocol", of(TYPES["ip"], TYPES["ip6"]).but()),), "not IP")
EVERYTHING: Rules = (Rule(True, name="no chain"),)


def at(hook: str, rules: Sequence[Rule]) -> Rules:
    """Return ``rules`` as they are at a hook: behind the port there are IPv4 and IPv6 packets alone."""
    return tuple(rules) if hook == "ingress" else (_NOT_IP, *rules)


def within(rules: Sequence[Rule], needs: Needs) -> Rules:
    """Return ``rules`` for the packets that have all that is needed; all others are dropped."""
    return (*(Rule(rule.accept, (*rule.needs, *needs), rule.name, rule.why, rule.path) for rule in rules), *NOTHING)


def first(rules: Sequence[Rule], values: Mapping[str, int]) -> Rule:
    """Return the rule that decides a packet; the last of ``rules`` needs nothing."""
    return next(rule for rule in rules if rule.matches(values))
