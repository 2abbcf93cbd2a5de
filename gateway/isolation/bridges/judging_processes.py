"""Processes and what they hold -> findings. Pure; decides by the kernel's facts, never by a process's name."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Mapping

from gateway.isolation.bridges.judging_links import found
from gateway.isolation.bridges.known import SHARED_FILES, SYSTEM_PIPES, in_session, may_serve, ours
from gateway.isolation.bridges.nouns import EndProcess, Found, Mend, Process, Shared, Sight

MANAGEMENT = "management"
RAW_IN = (socket.AF_INET, socket.AF_INET6)
AF_XDP, AF_VSOCK = 44, 40
NO_NETWORK = (socket.AF_UNIX, AF_VSOCK)  # families whose sockets belong to a namespace only in name
Zones = Mapping[int, str]  # namespace -> zone; home is no zone


def zones_of(sight: Sight) -> dict[int, str]:
    """Return the zones by their namespace."""
    return {inode: space.zone for inode, space in sight.spaces.items() if space.zone}


def end(process: Process) -> EndProcess:
    """Return what ends a process."""
    return EndProcess(process.pid, process.started, process.unit if ours(process) else "")


def processes(sight: Sight) -> Iterator[Found]:
    """Yield what each process by itself is found with."""
    zones = zones_of(sight)
    by_pid = {process.pid: process for process in sight.processes}
    for process in sight.processes:
        if not process.trusted:
            yield from _joins(process, zones, sight)
            yield from _holds(process, zones, sight)
            yield from _traced(process, zones, by_pid)


def _joins(process: Process, zones: Zones, sight: Sight) -> Iterator[Found]:
    """Yield a process that touches a zone and any other network namespace."""
    threads = set(process.threads)
    sockets = {s.space for s in process.sockets if s.space and s.family not in NO_NETWORK}
    taps = {space for _, space in process.taps}
    touched = threads | sockets | taps
    if len(touched) < 2 or not touched & zones.keys():
        return
    told = " and ".join(sorted(str(sight.spaces.get(space, space)) for space in touched))
    names = tuple(sorted(zones[space] for space in touched if space in zones))
    if len(threads) > 1:
        name, what = "thread-in-two-zones", f"threads of {process} are in {told}"
    elif len(threads | sockets) > 1:
        name, what = "process-in-two-zones", f"{process} has sockets in {told}"
    else:
        links = ", ".join(link for link, _ in process.taps)
        name, what = "tap-in-two-zones", f"{process} holds the tap {links} and is in {told}"
    yield found(name, names, what, end(process), pid=process.pid)


def _holds(process: Process, zones: Zones, sight: Sight) -> Iterator[Found]:
    """Yield what no process in a zone may hold; root's tools in one zone are told of, a gateway's unit is ended."""
    here = tuple(sorted(zones[space] for space in process.threads if space in zones))
    root = process.uids == {0} and not ours(process)
    mend: tuple[Mend, ...] = () if root else (end(process),)
    foreign = {zones[space] for space in process.spaces if space in zones and space not in process.threads}
    if foreign:
        what = f"{process} holds the network namespace of {', '.join(sorted(foreign))} open"
        yield found("namespace-held", tuple(sorted({*here, *foreign})), what, *mend, pid=process.pid)
    for seen in process.sockets:
        zone = zones.get(seen.space)
        if zone is None:
            continue
        if seen.family == AF_XDP:
            yield found(
                "xdp-socket", (zone,), f"{process} has an AF_XDP socket in {zone}", end(process), pid=process.pid
            )
        elif seen.family == AF_VSOCK:
            what = f"{process} has an AF_VSOCK socket, which knows no network namespaces"
            yield found("vsock", (zone,), what, end(process), pid=process.pid)
        elif seen.family == socket.AF_PACKET or (seen.family in RAW_IN and seen.kind == socket.SOCK_RAW):
            kind = "packet" if seen.family == socket.AF_PACKET else "raw"
            yield found("raw-socket", (zone,), f"{process} has a {kind} socket in {zone}", *mend, pid=process.pid)
    if here:
        if "io_uring" in process.special:
            yield found(
                "io-uring", here, f"{process} uses io_uring, which passes system call filters", *mend, pid=process.pid
            )
        if process.user_space:
            yield found(
                "user-namespace", here, f"{process} is in a user namespace that a user made", *mend, pid=process.pid
            )


def _traced(process: Process, zones: Zones, by_pid: Mapping[int, Process]) -> Iterator[Found]:
    tracer = by_pid.get(process.tracer)
    if tracer and not tracer.trusted and tracer.main != process.main and {tracer.main, process.main} & zones.keys():
        names = tuple(sorted(zones[space] for space in (tracer.main, process.main) if space in zones))
        what = f"{tracer} traces {process} of another network namespace"
        yield found("traced-across", names, what, end(tracer), pid=tracer.pid)


def users(sight: Sight) -> Iterator[Found]:
    """Yield users but root that have processes in two zones: one could take the other's descriptors."""
    zones = zones_of(sight)
    seen: dict[int, dict[str, list[Process]]] = {}
    for process in sight.processes:
        for uid in process.uids - {0} if process.main in zones else ():
            seen.setdefault(uid, {}).setdefault(zones[process.main], []).append(process)
    for uid, there in seen.items():
        if len(there) > 1:
            names = tuple(sorted(there))
            mends = [end(p) for group in there.values() for p in group if not p.unit.endswith(".service")]
            pid = next((mend.pid for mend in mends), None)
            yield found("shared-user", names, f"user {uid} has processes in {' and '.join(names)}", *mends, pid=pid)


def changed(sight: Sight, before: Mapping[tuple[int, int], int]) -> Iterator[Found]:
    """Yield processes that were in another zone at the last look."""
    zones = zones_of(sight)
    for process in sight.processes:
        old, new = before.get((process.pid, process.started)), process.main
        if process.trusted or old is None or old == new or not {old, new} & zones.keys() or old not in zones:
            continue
        names = tuple(sorted({zones[space] for space in (old, new) if space in zones}))
        what = f"{process} went from {sight.spaces.get(old, old)} to {sight.spaces.get(new, new)}"
        if zones[old] == MANAGEMENT and process.uids == {0}:
            yield found("operator-entered", names, what, pid=process.pid)
        else:
            yield found("zone-changed", names, what, end(process), pid=process.pid)


Held = list[tuple[Process, Shared]]


def shared(sight: Sight) -> Iterator[Found]:
    """Yield pipes, terminals, files and memory that processes of different zones hold together."""
    zones = zones_of(sight)
    holders: dict[tuple[str, str], Held] = {}
    for process in sight.processes:
        if not process.trusted:
            for item in process.shared:
                kind = "file" if item.kind == "memory" else item.kind  # a file and its mapping are one
                holders.setdefault((kind, item.key), []).append((process, item))
    across = {key: held for key, held in holders.items() if len({process.main for process, _ in held}) > 1}
    for (kind, _), held in across.items():
        if kind == "file":
            yield from _file(held, zones)
    pipes = {key: held for key, held in across.items() if key[0] != "file"}
    reached: dict[int, set[str]] = {}  # process -> zones that its pipes lead to
    for held in pipes.values():
        there = {zones[process.main] for process, _ in held if process.main in zones}
        for process, _ in held:
            reached.setdefault(process.pid, set()).update(there)
    for (kind, _), held in pipes.items():
        yield from _pipe(kind, held, zones, set().union(*(reached[process.pid] for process, _ in held)))


def _file(held: Held, zones: Zones) -> Iterator[Found]:
    inside = [(process, item) for process, item in held if process.main in zones]
    writers = [process for process, item in inside if item.writes]
    path = held[0][1].path
    if len({process.main for process, _ in inside}) > 1 and writers and not path.startswith(SHARED_FILES):
        names = tuple(sorted({zones[process.main] for process, _ in inside}))
        what = f"{' and '.join(_few(p for p, _ in inside))} share {path or 'memory'}, which is written"
        yield found("shared-file", names, what, *map(end, writers), pid=writers[0].pid)


def _pipe(kind: str, held: Held, zones: Zones, reached: set[str]) -> Iterator[Found]:
    path = held[0][1].path
    if not reached or path.startswith(SYSTEM_PIPES):
        return
    names = tuple(sorted(reached))
    inside = [process for process, _ in held if zones.get(process.main, MANAGEMENT) != MANAGEMENT]
    told = " and ".join(_few(process for process, _ in held))
    what = f"{told} of different network namespaces hold one {kind} ({path})"
    # From a session in management, or at the console, root runs a command in a zone: told, as long as no second zone is reached.
    if all(process.uids == {0} and not ours(process) for process, _ in held) and len(reached - {MANAGEMENT}) < 2:
        yield found("operator-pipe", names, what, pid=held[0][0].pid)
    else:
        mends = [end(process) for process in inside or [process for process, _ in held]]
        yield found("pipe", names, what, *mends, pid=mends[0].pid)


def connections(sight: Sight) -> Iterator[Found]:
    """Yield Unix connections between a process in a zone and one in any other namespace, but at the sockets of the design."""
    zones = zones_of(sight)
    holders: dict[int, list[Process]] = {}
    for process in sight.processes:
        for held in process.sockets:
            holders.setdefault(held.inode, []).append(process)
    paths = {seen.inode: seen.path for seen in sight.connections}
    told: set[frozenset[int]] = set()
    for seen in sight.connections:
        pair = frozenset((seen.inode, seen.peer))
        if pair in told or not seen.peer:
            continue
        told.add(pair)
        path = seen.path or paths.get(seen.peer, "")
        ours_, theirs = holders.get(seen.inode, []), holders.get(seen.peer, [])
        joined = [(a, b) for a in ours_ for b in theirs if a.main != b.main and {a.main, b.main} & zones.keys()]
        bad = [
            (a, b)
            for a, b in joined
            if not (may_serve(path, a) or may_serve(path, b)) and not (in_session(a) and in_session(b))
        ]
        if bad:
            yield _connected(bad[0], path, zones)


def _connected(pair: tuple[Process, Process], path: str, zones: Zones) -> Found:
    names = tuple(sorted({zones[process.main] for process in pair if process.main in zones}))
    at = f" at {path}" if path else ""
    inside = [process for process in pair if process.main in zones]
    mends = [end(process) for process in [p for p in inside if zones[p.main] != MANAGEMENT] or inside]
    return found("unix-socket", names, f"{pair[0]} and {pair[1]} are connected{at}", *mends, pid=mends[0].pid)


def _few(processes: Iterable[Process]) -> list[str]:
    told = list(dict.fromkeys(map(str, processes)))
    return told if len(told) <= 4 else [*told[:4], f"{len(told) - 4} more"]
