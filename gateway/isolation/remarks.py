"""Parts of a valid policy that do nothing, say something twice or hide each other; each with its line and what to do about it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from appliance.runtime.config import Key, Problem
from appliance.runtime.errors import Fault
from gateway.isolation.groups import Group, Hosts, word_of
from gateway.isolation.policy import Never, Policy
from gateway.isolation.question import MANY, Question
from gateway.isolation.words import Network

TAKE_OUT = "take it out"


def remarks(policy: Policy) -> list[Fault]:
    """Return what is idle, shadowed or repeated in ``policy``, in the order of the file."""
    found = [
        *_groups(policy),
        *_lists(policy),
        *_shadowed(policy),
        *_lanes(policy),
        *_bodies(policy),
        *_zones(policy),
        *_repeated(policy),
        *_approval(policy),
    ]
    faults = [policy.fault_of(problem) for problem in found]
    return sorted(faults, key=lambda fault: (fault.file, fault.line, fault.column))


def _groups(policy: Policy) -> Iterator[Problem]:
    used = {name for hosts in _all_hosts(policy) for name in hosts.groups}
    for name, group in policy.groups.items():
        where: Key = ("groups", name)
        # A fragment serves other sites too, which may use what this one does not.
        if name not in used and policy.place_of(where)[0] == policy.file:
            yield Problem(where, f"group '{name}' is used nowhere", f"write '@{name}' where it belongs, or {TAKE_OUT}")
        yield from _inside_one(where, group)
    for name, body in policy.bodies.items():
        yield from _inside_one(("bodies", name, "addresses"), body.addresses)


def _inside_one(where: Key, group: Group) -> Iterator[Problem]:
    for row in group.repeated:
        yield Problem((*where, row), "this address stands here a second time", TAKE_OUT, row)
    for network in group.ranges:
        covered = group.hosts_in(network)
        if covered:
            yield Problem(
                where, f"{network} covers {covered} of the group's single addresses", "one of the two is enough"
            )


def _all_hosts(policy: Policy) -> Iterator[Hosts]:
    yield from (service.sources for service in policy.services.values())
    yield from (reach.to for reach in policy.reach.values())


def _lists(policy: Policy) -> Iterator[Problem]:
    for name, service in policy.services.items():
        yield from _one_list(policy, ("services", name, "from"), service.sources)
    for name, reach in policy.reach.items():
        yield from _one_list(policy, ("reach", name, "to"), reach.to)


def _one_list(policy: Policy, where: Key, hosts: Hosts) -> Iterator[Problem]:
    """Yield the entries of a list that another entry of it covers; of two equal ones the second."""
    for index, entry in enumerate(hosts.written):
        for other, covering in enumerate(hosts.written):
            if (
                other == index
                or not _covers(policy, covering, entry)
                or (other > index and _covers(policy, entry, covering))
            ):
                continue
            told = "is written twice" if covering == entry else f"is within {_word(covering)} already"
            yield Problem((*where, index), f"{_word(entry)} {told}", TAKE_OUT)
            break


def _covers(policy: Policy, one: Network | str, other: Network | str) -> bool:
    """Return whether an entry of a list lets in all that another one does."""
    if one == other:
        return True
    if isinstance(one, str):
        group = policy.group(one)
        return group.holds_all(policy.group(other)) if isinstance(other, str) else group.holds(other)
    if isinstance(other, str):
        return policy.group(other).outside([one]) is None
    return one.version == other.version and other.subnet_of(one)  # type: ignore[arg-type]


def _word(entry: Network | str) -> str:
    return f"@{entry}" if isinstance(entry, str) else word_of(entry)


def _shadowed(policy: Policy) -> Iterator[Problem]:
    """Yield each reach whose every target another one of the same port opens too; of two equal ones the second."""
    for (first, one), (second, two) in itertools.combinations(policy.reach.items(), 2):
        if (one.zone, one.port) == (two.zone, two.port) and one.run == two.run:
            for name, mine, by, theirs in ((second, two, first, one), (first, one, second, two)):
                if all(any(_covers(policy, entry, each) for entry in theirs.to.written) for each in mine.to.written):
                    yield Problem(("reach", name), f"opens nothing that reach '{by}' does not open", TAKE_OUT)
                    break


def _lanes(policy: Policy) -> Iterator[Problem]:
    seen: dict[tuple[str, str, str], str] = {}
    for name, lane in policy.lanes.items():
        where: Key = ("lanes", name)
        first = seen.setdefault((lane.source, lane.target, lane.kind), name)
        if first != name:
            yield Problem(where, f"carries what lane '{first}' carries already: only the first is looked at", TAKE_OUT)
        if lane.kind == "record":
            continue
        run = {"release": "delivery", "identifier": "resolver", "web": "delivery"}[lane.kind]
        if (lane.kind, lane.target) == ("release", "culture"):
            run = "share"  # other boxes are given it there
        if policy.service_of(lane.target, run) is None:
            told = f"carries {MANY[lane.kind]} to '{lane.target}', where nothing gives them to anybody"
            yield Problem((*where, "to"), told, f"a service with 'zone: {lane.target}, run: {run}' would")
        if lane.source == "culture" and not any(reach.run == "fetch" for reach in policy.reach.values()):
            told = f"carries {MANY[lane.kind]} out of the culture zone, where nothing fetches them"
            yield Problem((*where, "from"), told, "a reach with 'run: fetch' and an origin would")


def _bodies(policy: Policy) -> Iterator[Problem]:
    carries = any(lane.kind in ("release", "identifier") for lane in policy.lanes.values())
    for name, body in policy.bodies.items():
        if policy.place_of(("bodies", name))[0] != policy.file:
            continue
        if not carries:
            yield Problem(("bodies", name), f"body '{name}' is admitted, but no lane carries releases or identifiers")
        elif "share" not in body.acts and not body.addresses:
            yield Problem(("bodies", name, "acts"), f"body '{name}' may not share, so nothing of it ever crosses")
    if policy.registry is not None and not any(lane.kind == "identifier" for lane in policy.lanes.values()):
        yield Problem(("registry",), "no lane carries identifiers, so nobody asks this registry")


def _zones(policy: Policy) -> Iterator[Problem]:
    for name, zone in policy.zones.items():
        used = [*(s.zone for s in policy.services.values()), *(r.zone for r in policy.reach.values())]
        used += [end for lane in policy.lanes.values() for end in (lane.source, lane.target)]
        if name not in used:
            yield Problem(("zones", name), f"zone '{name}' has no service, reach or lane: it is held and never used")
        for address in zone.neighbours:
            if not any(address.version == own.version and address in own.network for own in zone.addresses):
                where: Key = ("zones", name, "neighbours", str(address))
                yield Problem(
                    where, f"{address} is in none of the zone's own networks: it is never a neighbour", TAKE_OUT
                )
    for (one, a), (two, b) in itertools.combinations(policy.zones.items(), 2):
        if a.port.pci and a.port.pci.rpartition(".")[0] == b.port.pci.rpartition(".")[0]:
            told = f"{b.port.pci} is a function of the card that zone '{one}' has too: its firmware could join the two"
            yield Problem(("zones", two, "port"), told, "two zones are safer on two cards")


def _repeated(policy: Policy) -> Iterator[Problem]:
    asked: dict[Question, int] = {}
    for index, case in enumerate(policy.expect):
        first = asked.setdefault(case.question, index)
        if first != index:
            yield Problem(
                ("expect", index), f"asks what line {policy.line_of(('expect', first))} asks already", TAKE_OUT
            )
    for index, never in enumerate(policy.never):
        for other, earlier in enumerate(policy.never):
            if other != index and _promises(earlier, never) and (other < index or not _promises(never, earlier)):
                line = policy.line_of(("never", other))
                yield Problem(("never", index), f"line {line} promises this already", TAKE_OUT)
                break


def _promises(one: Never, other: Never) -> bool:
    """Return whether ``one`` says all that ``other`` says; packets never join two zones, whatever ``lane`` says."""
    same = (one.source, one.target) == (other.source, other.target)
    return same and (one.lane in ("any", other.lane) or other.lane is None)


def _approval(policy: Policy) -> Iterator[Problem]:
    approval = policy.approval
    if approval is not None and approval.signatures == len(approval.keys):
        told = f"all {approval.signatures} keys must sign: with one of them lost nobody can change this policy any more"
        yield Problem(("approval", "signatures"), told, "name one key more than must sign")
