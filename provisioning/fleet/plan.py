"""What a rollout would do: per box the difference between what it enforces and what the folder asks, ring by ring. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from gateway.isolation import approval
from gateway.isolation.changes import changes
from gateway.isolation.policy import Policy
from provisioning.fleet.inventory import Site


class Kind(StrEnum):
    """What is to be done with a box's policy."""

    NEW = "new"  # nothing was rolled out there yet
    CHANGE = "change"
    SAME = "same"
    DRIFT = "drift"  # rolled out already, but the box reports something else
    UNKNOWN = "unknown"  # rolled out already, and the box has not reported


@dataclass(frozen=True)
class Change:
    """One box: what it enforces as far as is known, what is asked, and the difference in words."""

    site: str
    ring: int
    kind: Kind
    wanted: str  # digest
    enforced: str | None  # digest, None where nothing was reported
    lines: tuple[str, ...]
    refused: str = ""  # why the box would not take it: signatures that are missing, a serial that is too low


@dataclass(frozen=True)
class Plan:
    """The changes in the order in which they would reach the boxes."""

    changes: tuple[Change, ...]

    @property
    def rings(self) -> tuple[tuple[int, tuple[Change, ...]], ...]:
        """The changes of each ring."""
        order = sorted({change.ring for change in self.changes})
        return tuple((ring, tuple(c for c in self.changes if c.ring == ring)) for ring in order)

    @property
    def open(self) -> tuple[Change, ...]:
        """The changes that leave something to do."""
        return tuple(change for change in self.changes if change.kind is not Kind.SAME)


def make(sites: Mapping[str, Site], applied: Mapping[str, Policy], enforced: Mapping[str, str | None]) -> Plan:
    """Return the plan for ``sites``.

    ``applied`` holds the policies that were rolled out last, ``enforced`` the digests that boxes report (None or absent: not reported).
    """
    found = [_change(site, applied.get(site.name), enforced.get(site.name)) for site in sites.values()]
    return Plan(tuple(sorted(found, key=lambda change: (change.ring, change.site))))


def _change(site: Site, before: Policy | None, enforced: str | None) -> Change:
    wanted = site.policy.digest
    refused = approval.refusal(before, site.policy, site.signatures)

    def change(kind: Kind, *lines: str) -> Change:
        told = f"{refused.reason}: {refused}" if refused is not None and kind is not Kind.SAME else ""
        return Change(site.name, site.ring, kind, wanted, enforced, lines, told)

    if enforced == wanted:
        return change(Kind.SAME)
    if before is None:
        if enforced is None:
            return change(Kind.NEW, "a box that has no policy of this folder yet")
        return change(Kind.CHANGE, f"the box enforces {enforced[:12]}, which this folder did not roll out")
    if before.digest != wanted:
        told = tuple(str(each) for each in changes(before, site.policy))
        return change(Kind.CHANGE, *(told or ("no difference in what is allowed (the files differ)",)))
    if enforced is None:
        return change(Kind.UNKNOWN, "rolled out, but the box has not reported what it enforces")
    return change(Kind.DRIFT, f"the box enforces {enforced[:12]} instead of what was rolled out")
