"""Carries a rollout out: asks ``rollout`` what to do next and does it, with ``ansible`` and ``controller``."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from appliance.runtime.errors import HeadgateError, Refused, Unreachable
from provisioning.fleet import ansible, bundle, controller, inventory, plan, rollout
from provisioning.fleet.ansible import Event
from provisioning.fleet.bundle import Bundle
from provisioning.fleet.inventory import Fleet
from provisioning.fleet.pki import Authority
from provisioning.fleet.plan import Plan
from provisioning.fleet.rollout import Ask, Done, Halt, Play, Rollout
from provisioning.fleet.work import Work

ASK_EVERY = 0.5  # seconds between two questions to the controller
Listener = Callable[[Event], None]


class Halted(HeadgateError):
    """The rollout went no further; the message names the boxes and the reasons."""


@dataclass(frozen=True)
class Outcome:
    """What a rollout did."""

    rollout: Rollout
    changed: Mapping[str, int]  # tasks that changed something, by site
    changes: tuple[str, ...]  # the same in words, "site: task"
    seconds: float


def controller_url(fleet: Fleet, given: str | None) -> str:
    """Return where the controller answers.

    Raises:
        Refused: neither the call nor the inventory says it (reason ``no-controller``).
    """
    if given:
        return given
    if fleet.centre is None:
        raise Refused(
            "no-controller",
            "the inventory has no centre: say --controller URL, so that a rollout can see what boxes report",
        )
    service = fleet.centre.policy.service_of(inventory.MANAGEMENT, "controller")
    return f"http://{fleet.centre.address}:{service.port if service else controller.PORT}"


def make_plan(fleet: Fleet, url: str) -> tuple[Plan, str]:
    """Return the plan for the folder, and why reports are missing (empty where the controller answered)."""
    try:
        reports = controller.boxes(url)
        missing = ""
    except Unreachable as error:
        reports, missing = {}, str(error)
    enforced = {site: report.enforced for site, report in reports.items()}
    return plan.make(fleet.sites, Work(fleet.folder).applied(), enforced), missing


def bundles(fleet: Fleet, progress: Callable[[str], None] = lambda _: None) -> dict[str, Bundle]:
    """Return the bundle of each site, made now where needed (which takes the network of package registries)."""
    origin = bundle.source()
    made: dict[tuple[str, str], Bundle] = {}
    result = {}
    for site in fleet.sites.values():
        kind = ("controller" if site.centre else "box", site.python)
        if kind not in made:
            made[kind] = bundle.build(origin, *kind, progress=progress)
        result[site.name] = made[kind]
    return result


def start(
    folder: Path,
    *,
    ring: int | None = None,
    url: str | None = None,
    limit: float = rollout.LIMIT,
    only_policy: bool = False,
    listener: Listener = lambda _: None,
) -> Outcome:
    """Roll the operator's folder out, ring by ring, and return once every box reports what is wanted.

    ``only_policy`` leaves software, certificates and settings of boxes that are gateways already as they are: it takes some seconds a ring.

    Raises:
        ConfigError: the inventory or a policy is wrong, or a policy breaks its own cases: no box has heard of it.
        Refused: a policy lacks signatures or is older than what was rolled out last (reason ``not-approved``): no box has heard of it.
        Halted: a box failed or did not report; later rings keep what they have.
    """
    fleet = inventory.read(folder)
    where = controller_url(fleet, url)
    if ring is not None and ring not in fleet.rings:
        raise Refused("no-such-ring", f"there is no ring {ring}; rings here: {', '.join(map(str, fleet.rings))}")
    work = Work(folder)
    with work.alone():
        wanted = plan.make(fleet.sites, work.applied(), {})
        _approved(wanted, ring)
        Authority.at(folder / "pki", dt.datetime.now(dt.UTC))
        software = bundles(fleet, lambda words: listener(Event("step", words)))
        inventories = [fleet.inventory, work.note_variables(fleet, software)]
        playbook = bundle.source().playbooks / ("policy.yml" if only_policy else "site.yml")
        return _Driver(fleet, work, inventories, where, playbook, listener).drive(
            rollout.start(wanted, ring=ring, limit=limit)
        )


def _approved(wanted: Plan, ring: int | None) -> None:
    refused = [c for c in wanted.changes if c.refused and ring in (None, c.ring)]
    if refused:
        told = "\n".join(f"{change.site}: {change.refused}" for change in refused)
        raise Refused("not-approved", f"boxes would refuse what is asked of them, so none is touched\n{told}")


class _Driver:
    """One rollout under way."""

    def __init__(
        self, fleet: Fleet, work: Work, inventories: list[Path], url: str, playbook: Path, listener: Listener
    ) -> None:
        self._fleet, self._work, self._inventories, self._url = fleet, work, inventories, url
        self._playbook, self._listener = playbook, listener
        self._changed: dict[str, int] = {}
        self._changes: list[str] = []

    def drive(self, state: Rollout) -> Outcome:
        """Do what the state machine says until it ends."""
        began = time.monotonic()
        while True:
            step = rollout.next_step(state, time.monotonic())
            self._note(state, step)
            match step:
                case Play():
                    state = self._play(state, step)
                case Ask():
                    state = self._ask(state, step)
                case Halt():
                    untouched = f"; not touched: {', '.join(step.untouched)}" if step.untouched else ""
                    raise Halted(f"halted at ring {step.ring}{untouched}\n" + "\n".join(step.why))
                case Done():
                    return Outcome(state, self._changed, tuple(self._changes), time.monotonic() - began)
                case unknown:
                    assert_never(unknown)

    def _note(self, state: Rollout, step: rollout.Step) -> None:
        end = {Halt: "halted", Done: "done"}.get(type(step), "")
        self._work.note_rollout(state, end, f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}")

    def _play(self, state: Rollout, step: Play) -> Rollout:
        self._listener(Event("step", f"ring {step.ring}: {', '.join(step.sites)}"))
        state = rollout.playing(state, step.sites, time.monotonic())
        self._note(state, step)
        done = ansible.play(
            self._playbook,
            self._inventories,
            work=self._work.ansible,
            limit=step.sites,
            listener=self._listener,
        )
        self._changes += done.tasks
        for site in step.sites:
            host = done.hosts.get(site)
            failure = "Ansible did not reach it" if host is None else (host.words or "failed") if host.failed else None
            self._changed[site] = host.changed if host else 0
            state = rollout.played(state, site, failure, time.monotonic())
        return state

    def _ask(self, state: Rollout, step: Ask) -> Rollout:
        self._listener(Event("step", f"ring {step.ring}: waiting for the report of {', '.join(step.sites)}"))
        while time.monotonic() < step.until:
            try:
                reports = controller.boxes(self._url)
            except Unreachable as error:
                reports, detail = {}, str(error)
            else:
                detail = ""
            now = time.monotonic()
            for site in step.sites:
                report = reports.get(site)
                enforced = report.enforced if report and report.online else None
                state = rollout.reported(state, site, enforced, detail or (report.state if report else ""), now)
            fresh = [box.site for box in state.boxes if box.site in step.sites and box.state is rollout.State.ENFORCED]
            for site in fresh:
                self._work.note_applied(self._fleet.sites[site])
            if len(fresh) == len(step.sites):
                return state
            time.sleep(ASK_EVERY)
        return state
