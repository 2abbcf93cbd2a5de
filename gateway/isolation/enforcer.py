"""Keeps the kernel equal to one policy: start, apply, confirm, go back, put back what drifts; every change of mind is written down."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from appliance.runtime.command import CommandFailed
from appliance.runtime.errors import ConfigError, Corrupt, HeadgateError, Refused
from gateway.isolation import approval, decisions
from gateway.isolation import policy as policies
from gateway.isolation.chronicle import Chronicle
from gateway.isolation.decisions import Findings, Pending
from gateway.isolation.evidence import Finding
from gateway.isolation.kernel import Kernel
from gateway.isolation.netns import KernelFailed
from gateway.isolation.policy import Policy
from gateway.isolation.prover import Prover
from gateway.isolation.reconcile import HOME, Action, LoadRules, SetDown, missing_ports, reconcile
from gateway.isolation.shelf import Shelf, signatures_of
from gateway.isolation.topology import PORT, topology_of

log = logging.getLogger("headgate.guard")
LIST_AGAIN = 30.0  # seconds after which rulesets are listed although the kernel says that they did not change
LARGE = 64 << 10  # bytes of set elements in one ruleset
ROUNDS = 4  # of observing and acting before the guard gives up: the kernel may need a second one after a port has moved


class RunsUnits(Protocol):
    """What starts and stops the gateway's units."""

    def bring(self, policy: Policy) -> None:
        """Make the running units those that the policy names."""


class Watches(Protocol):
    """What looks for all that joins two zones beside the exchange (``sentry.Sentry``)."""

    findings: tuple[Finding, ...]
    faults: tuple[str, ...]
    shut: bool

    def look(self, policy: Policy, *, proved: bool = True) -> None:
        """Look, undo, and open or shut the crossing."""


class Enforcer:
    """What the guard does. It blocks, and is called from one thread at a time."""

    def __init__(
        self,
        asked: Path,
        shelf: Shelf,
        kernel: Kernel,
        units: RunsUnits,
        chronicle: Callable[[str], Chronicle],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.asked, self.shelf, self.kernel, self.units, self.clock = asked, shelf, kernel, units, clock
        self._open_chronicle = chronicle
        self.chronicle: Chronicle | None = None
        self.policy: Policy | None = None
        self.pending: Pending | None = None
        self.findings = Findings({}, {})
        self.faults: dict[str, str] = {}  # what went wrong beside the kernel: units, the file asked for
        self.repaired: dict[str, str] = {}
        self.prover = Prover(kernel, self.tell)
        self.sentry: Watches | None = None
        self.on_drift: Callable[[], None] = lambda: None
        self.denials: Callable[[], Mapping[str, tuple[int, int]]] = dict  # zone -> (packets denied, samples recorded)
        # Around loads of large rulesets, which listeners would slow down.
        self.quietly: Callable[[], AbstractContextManager[None]] = nullcontext
        self._listed = 0.0
        self._told: dict[str, tuple[str, float]] = {}
        self._since = clock()
        self._state = ""
        self._published: dict[str, Any] = {}

    def tell(self, decision: str, reason: str, **more: Any) -> None:
        """Write a decision down."""
        self.tell_many([{"decision": decision, "reason": reason, **more}])

    def tell_many(self, told: Iterable[Mapping[str, Any]]) -> None:
        """Write decisions down together, if there are any."""
        told = list(told)
        if not told:
            return
        if self.chronicle is None:
            self.chronicle = self._open_chronicle(self.policy.site if self.policy else "box")
        self.chronicle.tell_many(told)

    def start(self) -> None:
        """Enforce the last good policy, or on a new box the one asked for.

        Raises:
            ConfigError: there is no valid policy at all.
            KernelFailed: the kernel does not take it.
        """
        policy, reason = self._first()
        self._enforce(policy)
        if reason == "not-confirmed":
            self._forget_pending(policy)
        self._settle(policy)
        self.prover.tell(policy)
        self.tell("revert" if reason == "not-confirmed" else "apply", reason, digest=policy.digest)

    def _first(self) -> tuple[Policy, str]:
        try:
            self.pending = self.shelf.pending()
            enforced, previous = self.shelf.policy("enforced"), self.shelf.policy("previous")
        except (ConfigError, Corrupt) as error:
            log.error("the last good policy cannot be used, so the one asked for must do: %s", error)
            self.shelf.set_pending(None)
            self.pending = None
            return self._approved(None), "start"
        if self.pending is not None and (enforced is None or self.pending.digest != enforced.digest):
            self.shelf.set_pending(None)
            self.pending = None
        begin = decisions.begin_with(
            has_enforced=enforced is not None,
            has_previous=previous is not None,
            enforced=enforced.digest if enforced else "",
            pending=self.pending,
            now=self.clock(),
        )
        if begin == "previous" and previous is not None:
            return previous, "not-confirmed"
        if begin == "enforced" and enforced is not None:
            return enforced, "start"
        return self._approved(None), "start"

    def _approved(self, in_force: Policy | None) -> Policy:
        """Return the policy asked for, if it may follow the one in force.

        Raises:
            ConfigError: it is no valid policy.
            Refused: it is older, or not signed as the one in force asks.
        """
        policy = policies.load(self.asked)
        refused = approval.refusal(in_force, policy, signatures_of(self.asked))
        if refused is not None:
            raise refused
        return policy

    def plan(self) -> list[Action]:
        """Return what applying the policy asked for would do now."""
        wanted = topology_of(policies.load(self.asked))
        return reconcile(wanted, self.kernel.observe(wanted))

    def apply(self, within: float | None = None) -> dict[str, Any]:
        """Enforce the policy asked for; with ``within``, go back by itself unless it is confirmed in as many seconds.

        Raises:
            ConfigError: it is no valid policy.
            Refused: ``no-port``, ``nothing-to-revert-to``, ``awaits-confirmation``, ``not-enforced`` (the previous one holds again).
        """
        try:
            return self._apply(within)
        except (ConfigError, Refused) as error:
            reason = error.reason if isinstance(error, Refused) else "bad-configuration"
            self.faults["asked"] = f"the policy asked for is refused ({reason}): {error}"
            self.tell("refuse", reason, detail=str(error), wanted=self._wanted())
            self.publish()
            raise

    def _apply(self, within: float | None) -> dict[str, Any]:
        before = self.policy
        policy = self._approved(before)
        pending = decisions.pending_of(policy, within, self.clock())
        if self.pending is not None and policy.digest != self.pending.digest:
            raise Refused(
                "awaits-confirmation",
                "the policy applied before is not confirmed yet: confirm it or let it go back",
                409,
            )
        if pending is not None and before is None:
            raise Refused(
                "nothing-to-revert-to", "there is no earlier policy to go back to: apply without --confirm-within", 409
            )
        wanted = topology_of(policy)
        absent = missing_ports(wanted, self.kernel.observe(wanted))
        if absent:
            raise Refused("no-port", "; ".join(f"zone {zone}: {told}" for zone, told in absent.items()), 409)
        if before is not None and before.digest == policy.digest:
            pending = None  # nothing changes, so there is nothing to go back to; what waits goes on waiting
        elif pending is not None and before is not None:
            self.shelf.keep("previous", before, signatures_of(self.shelf.state / "enforced.yaml"))
            self.shelf.set_pending(pending)  # before the kernel hears of it, so that a crash goes back as well
            self.pending = pending
        try:
            done = self._enforce(policy)
            self.prover.demand()
        except KernelFailed as error:
            self._forget_pending(None)
            if before is not None:
                self._enforce(before)
            raise Refused(
                "not-enforced", f"the kernel does not hold it, the previous policy stays: {error}", 500
            ) from error
        self.faults.pop("asked", None)
        signatures = signatures_of(self.asked)
        self.shelf.keep("enforced", policy, signatures)
        approved = approval.approvers(before, policy, signatures)
        changed = before is None or before.digest != policy.digest
        self._settle(policy)
        if changed or done:
            self.prover.tell(policy)
            self.tell(
                "apply",
                "asked",
                digest=policy.digest,
                before=before.digest if before else "",
                actions=len(done),
                approved=", ".join(approved),
            )
        return {
            "digest": policy.digest,
            "changed": changed,
            "actions": [str(action) for action in done],
            "status": self.status(),
        }

    def confirm(self) -> dict[str, Any]:
        """Keep the policy that waits for confirmation.

        Raises:
            Refused: none waits (``nothing-to-confirm``).
        """
        if self.pending is None:
            raise Refused("nothing-to-confirm", "no policy waits for confirmation", 409)
        digest = self.pending.digest
        self._forget_pending(None)
        self.tell("confirm", "asked", digest=digest)
        return self.publish()

    def look(self) -> None:
        """Compare the kernel with the policy and put back what differs; go back where a confirmation is overdue."""
        if self.pending is not None and self.clock() >= self.pending.confirm_by:
            self._revert()
        if self.policy is None:
            return
        wanted = topology_of(self.policy)
        try:
            fresh = self.clock() - self._listed >= LIST_AGAIN
            self._listed = self.clock() if fresh else self._listed
            seen = self.kernel.observe(wanted, fresh=fresh)
            actions = reconcile(wanted, seen)
            drift = _by_zone(actions)
            self.findings = Findings(missing_ports(wanted, seen), drift)
            if actions:
                self._put_back(self.policy, drift)
            else:
                self._told.clear()
                self.prover.prove(self.policy, seen)
        except HeadgateError as error:
            log.error("the kernel is not as the policy wants it: %s", error)
            self.findings = Findings(self.findings.no_port, self.findings.drift, (str(error),))
        if "units" in self.faults:
            self._bring_units(self.policy)
        if self.sentry is not None:
            self.sentry.look(self.policy, proved=not self.prover.faults)
        if self.chronicle is not None:
            self.chronicle.look()
        self.publish()

    def _put_back(self, policy: Policy, drift: dict[str, str]) -> None:
        now = self.clock()
        self.on_drift()
        self.publish()
        for zone, detail in decisions.to_tell(drift, self._told, now).items():
            self.tell("put-back", "drift", zone=zone or "home", detail=detail)
            self._told[zone] = (detail, now)
        try:
            self._enforce(policy)
        except KernelFailed:
            self._close_doors(policy)
            raise
        self.repaired |= {zone: f"put back at {decisions.written(now)}: {detail}" for zone, detail in drift.items()}

    def _close_doors(self, policy: Policy) -> None:
        """Take the port of each zone down whose ruleset cannot be made right; it goes up again once the ruleset stands."""
        wanted = topology_of(policy)
        for action in reconcile(wanted, self.kernel.observe(wanted)):
            if isinstance(action, LoadRules) and action.zone != HOME:
                self.kernel.act(SetDown(action.zone, PORT))
                told = "the ruleset cannot be made right: its port is down"
                self.tell("close", "not-enforced", zone=action.zone, detail=told)

    def _revert(self) -> None:
        unconfirmed, previous = self.policy, self.shelf.policy("previous")
        if previous is None:
            raise KernelFailed("there is no previous policy to go back to")
        self._enforce(previous)
        self._forget_pending(previous)
        self._settle(previous)
        self.tell("revert", "not-confirmed", digest=previous.digest, before=unconfirmed.digest if unconfirmed else "")

    def _forget_pending(self, enforced: Policy | None) -> None:
        # The policy to start with is on disk before the deadline goes, or a crash between them would keep what nobody confirmed.
        if enforced is not None:
            self.shelf.keep("enforced", enforced)
        self.shelf.set_pending(None)
        self.pending = None

    def _enforce(self, policy: Policy) -> list[Action]:
        """Act until the kernel, read back, is as ``policy`` wants it, and return what was done.

        Raises:
            KernelFailed: an action failed, or there is still a difference after some rounds.
        """
        wanted, done = topology_of(policy), list[Action]()
        for _ in range(ROUNDS):
            seen = self.kernel.observe(wanted)
            actions = reconcile(wanted, seen)
            if not actions:
                self.findings = Findings(missing_ports(wanted, seen), {})
                self.prover.prove(policy, seen)
                return done
            with self.quietly() if any(map(_is_large, actions)) else nullcontext():
                for action in actions:
                    self.kernel.act(action)
            done += actions
        raise KernelFailed("still different after it was applied: " + "; ".join(_by_zone(actions).values()))

    def _settle(self, policy: Policy) -> None:
        """Publish a policy that the kernel holds now."""
        if self.policy is None or self.policy.digest != policy.digest:
            self.repaired.clear()
        self.policy = policy
        self.shelf.keep("enforced", policy)
        self.shelf.publish(policy)
        self._bring_units(policy)
        self.publish()

    def _bring_units(self, policy: Policy) -> None:
        try:
            self.units.bring(policy)
        except CommandFailed as error:
            if "units" not in self.faults:
                log.error("the units are not as the policy wants them, trying again: %s", error)
            self.faults["units"] = str(error)
        else:
            self.faults.pop("units", None)

    def _wanted(self) -> str:
        """Return the digest of the file asked for, valid or not; empty where there is none."""
        try:
            return hashlib.sha256(self.asked.read_bytes()).hexdigest()
        except OSError:
            return ""

    def status(self) -> dict[str, Any]:
        """Return how things stand (docs/architecture.md)."""
        return decisions.status(
            self.policy,
            self.findings,
            wanted=self._wanted(),
            pending=self.pending,
            since=self._since,
            repaired=self.repaired,
            faults=(
                *self.faults.values(),
                *([self.chronicle.failing] if self.chronicle and self.chronicle.failing else ()),
            ),
            proofs=tuple(self.prover.proofs.values()),
            bridges=self.sentry.findings if self.sentry else (),
            blind=self.sentry.faults if self.sentry else (),
            shut=self.sentry.shut if self.sentry else False,
        )

    def standing(self) -> dict[str, Any]:
        """Return how the journal stands, for a report.

        Raises:
            Refused: there is none yet (``no-journal``).
        """
        if self.chronicle is None:
            raise Refused("no-journal", "nothing was decided yet, so there is no journal", 409)
        return {**asdict(self.chronicle.checkpoint()), "denied": self.denials()}

    def audited(self, result: Mapping[str, Any]) -> None:
        """Write down what an audit found (``audit.summary``)."""
        self.tell_many([decisions.audited(result)])

    def publish(self) -> dict[str, Any]:
        """Write the status where others read it, and return it."""
        told = self.status()
        if told["state"] + told["enforced"] != self._state:
            self._state, self._since = told["state"] + told["enforced"], self.clock()
            told = self.status()
        if told != self._published:
            self.shelf.publish_status(told)
            self._published = told
        else:
            self.shelf.beat()
        return told


def _is_large(action: Action) -> bool:
    return isinstance(action, LoadRules) and sum(map(len, action.rules.elements.values())) > LARGE


def _by_zone(actions: list[Action]) -> dict[str, str]:
    """Return zone -> what differs there, in words."""
    words: dict[str, list[str]] = {}
    for action in actions:
        zone = getattr(action, "zone", getattr(action, "source", HOME))
        words.setdefault(zone, []).extend(getattr(action, "why", ()) or [str(action)])
    return {
        zone: "; ".join(told[:5]) + (f" and {len(told) - 5} more" if len(told) > 5 else "")
        for zone, told in words.items()
    }
