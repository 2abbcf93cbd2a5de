"""Holds each zone's live ruleset against what the policy means, again whenever one of them has changed, and tells the outcome."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gateway.isolation import decisions
from gateway.isolation.evidence import Proof
from gateway.isolation.kernel import Kernel
from gateway.isolation.netns import KernelFailed
from gateway.isolation.policy import Policy
from gateway.isolation.proof import live, prove
from gateway.isolation.proof.dumped import Dump
from gateway.isolation.topology import PORT, Seen


class Prover:
    """The last proof of each zone (empty name: the initial namespace)."""

    def __init__(self, kernel: Kernel, tell: Callable[..., None]) -> None:
        self._kernel, self._tell = kernel, tell
        self.proofs: dict[str, Proof] = {}
        self._held: dict[str, tuple[str, Dump]] = {}  # zone -> digest of the policy and ruleset that were held together

    @property
    def faults(self) -> tuple[str, ...]:
        """What is not proved, a sentence a zone."""
        return decisions.faults_of(self.proofs.values())

    def prove(self, policy: Policy, seen: Mapping[str, Seen]) -> None:
        """Prove each zone whose ruleset is not the one that was proved last; a change of the outcome is told.

        Raises:
            KernelFailed: a ruleset cannot be read.
        """
        for zone, space in seen.items():
            known = self._held.get(zone)
            rules = live.beside(self._kernel, zone, space, known[1] if known else None)
            if known and known[0] == policy.digest and known[1] is rules:
                continue
            device = PORT if any(link.name == PORT for link in space.links) else None
            before = self.proofs.get(zone)
            found = prove.prove(policy, zone, device, rules) if zone else prove.prove_lock(policy, rules)
            self.proofs[zone], self._held[zone] = found, (policy.digest, rules)
            if before is not None and before.equal != found.equal:
                self._told(policy, found)
        for gone in set(self.proofs) - set(seen):
            del self.proofs[gone], self._held[gone]

    def demand(self) -> None:
        """Do nothing where everything is proved.

        Raises:
            KernelFailed: says what is not.
        """
        if self.faults:
            raise KernelFailed("; ".join(self.faults))

    def tell(self, policy: Policy) -> None:
        """Write down how every zone stands: after a change of the policy."""
        for found in self.proofs.values():
            self._told(policy, found)

    def _told(self, policy: Policy, found: Proof) -> None:
        told: dict[str, Any] = {"zone": found.zone or "home", "rules": found.rules, "elements": found.elements}
        faults = decisions.faults_of([found])
        detail = {"detail": faults[0]} if faults else {}
        self._tell("prove", "equal" if found.equal else "differs", **told, policy=policy.digest, **detail)
