"""Facts -> measures: what is wanted of a host, what was found, which ways across it closes, and what its lack means. Pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator

from gateway.isolation.evidence import Measure
from gateway.isolation.host import wanted
from gateway.isolation.host.facts import Facts, Process

# <linux/capability.h>
NET_BIND_SERVICE, SYS_ADMIN, BPF = 10, 21, 39
OWNED_AND_PERSISTENT = (6, 9)  # the first Linux whose nftables tables can be both
MOST_NAMED = 5


def judge(facts: Facts) -> list[Measure]:
    """Return all measures, those that hold as well."""
    found = [*_settings(facts), *_kernel(facts), *_processes(facts), *_hardware(facts)]
    return [Measure(m.name, m.wanted, m.found, m.ok, "" if m.ok else m.why, m.ways) for m in found]


def version(release: str) -> tuple[int, int]:
    """Return the kernel's version, (0, 0) where the text has none."""
    found = re.match(r"(\d+)\.(\d+)", release)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _settings(facts: Facts) -> Iterator[Measure]:
    for key, setting in wanted.SETTINGS.items():
        value = facts.settings.get(key)
        ok = value is not None and value.lstrip("-").isdigit() and setting.good(int(value))
        yield Measure(
            setting.name,
            f"{key} = {setting.value}",
            value or "the kernel has no such setting",
            ok,
            setting.why,
            setting.ways,
        )


def _kernel(facts: Facts) -> Iterator[Measure]:
    yield _modules(facts)
    yield _built_in(facts)
    yield Measure(
        "descriptors",
        "SO_PASSRIGHTS can be set to 0 (Linux 6.16)",
        "it can" if facts.pass_rights else f"Linux {facts.release} has no such option",
        facts.pass_rights,
        "a descriptor may be sent to a daemon; ours read none, and the guard looks for sockets of a foreign zone each second",
        (23,),
    )
    yield Measure(
        "owned-tables",
        "nftables tables that are owned and persist (Linux 6.9)",
        f"Linux {facts.release}" if facts.release else "not known",
        version(facts.release) >= OWNED_AND_PERSISTENT,
        "another root process may change the rules until the guard puts them back, within a second",
        (31,),
    )
    yield Measure(
        "vsock",
        "no AF_VSOCK in the kernel",
        "in the kernel" if facts.vsock else "not in the kernel",
        not facts.vsock,
        "a socket to the hypervisor works in every namespace; the filters of all services refuse it, a process without one may open it",
        (26, 36),
    )
    closed = facts.lockdown in ("integrity", "confidentiality")
    yield Measure(
        "lockdown",
        "lockdown=integrity or stricter",
        facts.lockdown or "not known",
        closed,
        "root may change the running kernel itself",
        (19,),
    )
    yield Measure(
        "security-modules",
        "yama, landlock and lockdown are active",
        ", ".join(facts.modules) or "not known",
        {"yama", "landlock", "lockdown"} <= set(facts.modules),
        "a line of defence against another process' access is missing",
        (24, 25),
    )


def _modules(facts: Facts) -> Measure:
    modules = [name for name in wanted.MODULES if facts.kinds.get(name, "module") == "module"]
    loaded = [name for name in wanted.MODULES if name in facts.loaded]
    free = [name for name in modules if name not in facts.blocked]
    ok = not loaded and (not facts.loadable or not free)
    if loaded:
        found = f"loaded: {_few(loaded)}"
    elif not facts.loadable:
        found = "the kernel takes no modules"
    else:
        found = f"may be loaded: {_few(free)}" if free else "each is refused by modprobe.d"
    return Measure(
        "modules",
        "no module of tunnels, joined links or foreign protocols is loaded or may be",
        found,
        ok,
        "root, or any user by opening a socket, brings kinds of links and protocols into the kernel that no zone needs",
        (8, 15, 16, 17, 26),
    )


def _built_in(facts: Facts) -> Measure:
    inside = [name for name in wanted.MODULES if facts.kinds.get(name) == "built in"]
    return Measure(
        "built-in",
        "tunnels, joined links and foreign protocols are not built into the kernel",
        (_few(inside) or "none") if facts.kinds else "the kernel's configuration is not known",
        bool(facts.kinds) and not inside,
        "root can make such links; the guard sees each and sets it down",
        (8, 15, 16, 17),
    )


def _processes(facts: Facts) -> Iterator[Measure]:
    strong = (1 << SYS_ADMIN) | (1 << BPF)
    free = [p for p in facts.processes if p.capabilities & strong and not p.filtered and p.pid != 1]
    yield Measure(
        "bpf-root",
        "only systemd and the guard may call bpf(2)",
        "the kernel has no bpf(2)"
        if not facts.bpf
        else f"without a filter: {_few(_named(free))}"
        if free
        else "all others are filtered",
        not facts.bpf or (bool(facts.processes) and not free),
        "a program of root's may move frames between zones past every rule; the guard lists each that is loaded",
        (19,),
    )
    yield _one_user_a_zone(facts)
    yield _confined(facts)


def _one_user_a_zone(facts: Facts) -> Measure:
    there: dict[int, set[str]] = {}
    unseen = [p for p in facts.processes if p.user and not p.namespace]
    for process in facts.processes:
        if process.user and process.namespace:
            there.setdefault(process.user, set()).add(process.namespace)
    shared = [f"user {user} in {len(spaces)}" for user, spaces in sorted(there.items()) if len(spaces) > 1]
    return Measure(
        "one-user-a-zone",
        "no user but root has processes in two namespaces",
        _few(shared) or (f"{len(unseen)} processes cannot be seen" if unseen else f"{len(there)} users, each in one"),
        not shared and not unseen and bool(facts.processes),
        "processes of one user may take each other's descriptors across zones",
        (24,),
    )


def _confined(facts: Facts) -> Measure:
    ours = [p for p in facts.processes if p.daemon and p.daemon != "guard"]
    loose = [p for p in ours if not _is_confined(p)]
    return Measure(
        "daemons-confined",
        "each daemon: no root, no capability beyond its port, filtered, sees no other user's processes",
        f"{len(ours)} daemons" + (f", not so: {_few(_named(loose))}" if loose else "")
        if ours
        else "none of ours runs here",
        bool(ours) and not loose,
        "a flaw in a daemon gives more than that daemon's own zone",
        (20, 21, 22, 24, 26, 27, 28),
    )


def _is_confined(process: Process) -> bool:
    allowed = process.capabilities & ~(1 << NET_BIND_SERVICE) == 0
    return bool(process.user) and allowed and process.filtered and process.no_new_privileges and process.hides


def _hardware(facts: Facts) -> Iterator[Measure]:
    yield _cards(facts)
    yield Measure(
        "processor",
        "no known leak of the processor is open",
        "not known" if facts.leaks is None else _few(facts.leaks) or "none",
        facts.leaks == (),
        "a process may read what another holds in memory, across zones",
        (34,),
    )
    yield Measure(
        "own-kernel",
        "the box's kernel serves the box alone",
        "not known"
        if facts.container is None
        else f"container: {facts.container}"
        if facts.container
        else "no container is told of",
        facts.container == "",
        "whoever rules the machine rules the box, and its kernel's settings are not the box's",
        (34,),
    )
    yield Measure(
        "secure-boot",
        "the firmware starts signed kernels only",
        {True: "it does", False: "switched off", None: "not known"}[facts.secure_boot],
        facts.secure_boot is True,
        "who reaches the disk can start another kernel",
    )
    yield Measure(
        "tpm",
        "a TPM holds the journal's key",
        f"TPM {facts.tpm}" if facts.tpm else "none",
        bool(facts.tpm),
        "root can copy the key",
    )


def _cards(facts: Facts) -> Measure:
    virtual = [zone for zone, path in facts.ports.items() if not path]
    shared = [
        f"{one} and {other} ({_device(facts.ports[one])})"
        for one, other in itertools.combinations(sorted(facts.ports), 2)
        if facts.ports[one] and _device(facts.ports[one]) == _device(facts.ports[other])
    ]
    if shared:
        found = f"on one card: {_few(shared)}"
    elif virtual or not facts.ports:
        found = f"no card is known of: {_few(virtual)}" if virtual else "no ports were told"
    else:
        found = ", ".join(f"{zone} {path[-1]}" for zone, path in sorted(facts.ports.items()))
    return Measure(
        "cards",
        "each zone's port is on a card of its own",
        found,
        bool(facts.ports) and not shared and not virtual,
        "a card's own switch or firmware may join its ports before the kernel sees a frame",
        (35,),
    )


def _device(path: tuple[str, ...]) -> str:
    """Return the card that a PCI path ends at: all functions of one device, and all devices behind one switch on a card, are one."""
    return path[-2] if len(path) > 3 else path[-1].rpartition(".")[0] if path else ""


def _named(processes: Iterable[Process]) -> list[str]:
    return [f"{p.daemon or p.name} ({p.pid})" for p in sorted(processes, key=lambda p: p.pid)]


def _few(names: Iterable[str]) -> str:
    listed = list(names)
    more = len(listed) - MOST_NAMED
    return ", ".join(listed[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
