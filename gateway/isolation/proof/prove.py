"""A zone's live ruleset against what its policy means, over all packets (``algebra.py``)."""

from __future__ import annotations

import operator
import time
from collections.abc import Callable, Iterator, Mapping

from gateway.isolation.evidence import Difference, Hook, Packet, Proof
from gateway.isolation.policy import Policy
from gateway.isolation.proof import algebra, dumped, intended, listed
from gateway.isolation.proof.algebra import Found
from gateway.isolation.proof.dumped import Dump
from gateway.isolation.proof.intended import Intended
from gateway.isolation.proof.listed import Live
from gateway.isolation.proof.rules import at
from gateway.isolation.proof.space import FIELDS
from gateway.isolation.ruleset import Rules

MOST = 12  # differences told of one zone
ORDER: tuple[Hook, ...] = ("ingress", "input", "output", "forward")


def prove(policy: Policy, zone: str, device: str | None, rules: Rules | Dump) -> Proof:
    """Return whether ``rules``, of the namespace of ``zone`` with the port ``device``, treat every packet as ``policy`` says.

    A dump of the kernel's own expressions (``dump.take``) is what is in force; a listing leaves out what nft takes for granted.
    """
    return _prove(policy, zone, lambda: intended.of_zone(policy, zone, device), rules)


def prove_lock(policy: Policy, rules: Rules | Dump) -> Proof:
    """Return whether ``rules`` shut the initial namespace, in which no network is."""
    return _prove(policy, "", intended.of_lock, rules)


def read(rules: Rules | Dump, wanted: Intended) -> Live:
    """Return what a ruleset means, from whichever it was read."""
    return dumped.read(rules, wanted.chains) if isinstance(rules, Dump) else listed.read(rules, wanted.chains)


def _prove(policy: Policy, zone: str, want: Callable[[], Intended], rules: Rules | Dump) -> Proof:
    start = time.perf_counter()
    wanted = want()
    live = read(rules, wanted)
    found = tuple(differences(policy, zone, wanted, live))
    equal = not found and not live.unknown
    seconds = time.perf_counter() - start
    return Proof(zone, "algebra", equal, found, tuple(live.unknown), live.rules, live.elements, seconds)


def differences(policy: Policy, zone: str, wanted: Intended, live: Live) -> Iterator[Difference]:
    """Yield the packets that ``live`` treats otherwise, the smallest of each kind."""
    told = 0
    for hook in ORDER:
        if hook not in wanted.hooks:
            continue
        seen = set()
        lists = (at(hook, live.hooks[hook]), at(hook, wanted.hooks[hook]))
        for found in algebra.search(lists, (operator.gt, operator.lt)):
            kind = (found.question, found.deciders)
            if kind in seen:
                continue
            seen.add(kind)
            yield _difference(policy, zone, hook, found)
            told += 1
            if told == MOST:
                return


def _difference(policy: Policy, zone: str, hook: Hook, found: Found) -> Difference:
    live, wanted = found.deciders
    packet = Packet(zone, hook, words_of(found.values))
    path = wanted.path
    why = wanted.why
    if not wanted.accept:
        why = f"nothing in the policy lets it through {hook}" if zone else "the initial namespace is shut"
        section, _, name = live.name.partition(".")
        path = (section, name) if section in ("services", "reach") else ("zones", zone)
        if section in ("services", "reach") and name in getattr(policy, section):
            why = f"{section}.{name} does not let it through {hook}, nor does anything else"
    words = ("accept", "drop") if live.accept else ("drop", "accept")
    return Difference(packet, words[0], words[1], why, policy.line_of(path), live.name)  # type: ignore[arg-type]


def words_of(values: Mapping[str, int]) -> dict[str, str]:
    """Return the fields of a packet as an operator writes them; that it is whole and without a tag goes without saying."""
    return {
        FIELDS[name].shown: FIELDS[name].word(value)
        for name, value in values.items()
        if name not in ("transport", "ether type") or value != FIELDS[name].natural
    }
