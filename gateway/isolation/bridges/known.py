"""What is allowed although it touches more than one zone, and what each finding is called: the tables that an auditor reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.isolation.bridges.nouns import Process


@dataclass(frozen=True)
class Name:
    """A kind of finding: the way across it belongs to, and whether objects may not cross while one is open."""

    way: int
    stops: bool


NAMES: Mapping[str, Name] = {
    "multicast-routing": Name(10, stops=True),
    "expected-connection": Name(13, stops=False),  # the ruleset has no helper and accepts no related packet
    "foreign-link": Name(16, stops=True),
    "unknown-namespace": Name(
        16, stops=False
    ),  # told: something joined the zone once; links that do are found by themselves
    "enslaved-port": Name(17, stops=True),
    "promiscuous-port": Name(17, stops=False),
    "traffic-control": Name(18, stops=True),
    "policy-routing": Name(18, stops=False),  # put back with the zone's routes
    "bpf-program": Name(19, stops=True),
    "bpf-map": Name(19, stops=True),
    "xdp-socket": Name(19, stops=True),
    "bpf-unseen": Name(19, stops=False),  # lowers the grade
    "process-in-two-zones": Name(20, stops=True),
    "thread-in-two-zones": Name(20, stops=True),
    "descriptors-unseen": Name(20, stops=False),  # lowers the grade
    "tap-in-two-zones": Name(21, stops=True),
    "namespace-held": Name(22, stops=False),  # told: a descriptor is no crossing until a thread enters by it
    "zone-changed": Name(22, stops=True),
    "operator-entered": Name(22, stops=False),  # told: root went from management into a zone
    "socket-in-flight": Name(23, stops=True),
    "traced-across": Name(24, stops=True),
    "shared-user": Name(24, stops=True),
    "unix-socket": Name(26, stops=True),
    "pipe": Name(26, stops=True),
    "operator-pipe": Name(26, stops=False),  # told: what root runs in a zone from a session in management
    "shared-file": Name(26, stops=True),
    "vsock": Name(26, stops=True),
    "io-uring": Name(27, stops=False),
    "raw-socket": Name(28, stops=False),
    "user-namespace": Name(29, stops=False),
    "link-up-at-home": Name(30, stops=False),
    "shared-card": Name(35, stops=False),  # told: only other cards mend it
    "unknown-listener": Name(36, stops=False),  # the ruleset drops what is sent to it
}

# Paths of Unix sockets at which another namespace may be met, and which unit must hold the end that is bound there.
SERVERS: tuple[tuple[str, frozenset[str]], ...] = (
    ("/run/headgate/exchange/", frozenset({"headgate-exchange.service"})),
    ("/run/headgate/filter/admission/filter.sock", frozenset({"headgate-admission.service"})),
    ("/run/headgate/filter/inspection/filter.sock", frozenset({"headgate-inspection.service"})),
    ("/run/headgate/replica/replica.sock", frozenset({"headgate-replica.service"})),
    ("/run/headgate/fetch/fetch.sock", frozenset({"headgate-fetch.service"})),
    ("/run/headgate/registry/registry.sock", frozenset({"headgate-controller.service"})),
    ("/run/headgate/guard/guard.sock", frozenset({"headgate-guard.service"})),
    ("/run/headgate/cut/", frozenset({"headgate-guard.service"})),
    ("/run/systemd/journal/", frozenset({"systemd-journald.service"})),
    ("/run/systemd/userdb/", frozenset({"systemd-userdbd.service"})),
    ("/run/systemd/resolve/", frozenset({"systemd-resolved.service"})),
    ("/run/dbus/system_bus_socket", frozenset({"dbus.service"})),
    ("/run/udev/control", frozenset({"systemd-udevd.service"})),
)
INIT = "init.scope"  # process 1's own cgroup; it may be met at any of its sockets
SESSIONS = (".scope", "ssh.service", "sshd.service")  # what an operator's commands run in
OUR_UNITS = "headgate-"

# Files that are opened from several zones by design: what the exchange verified, metrics, the policy, the journal, records of log-ins.
SHARED_FILES = (
    "/run/headgate/",
    "/var/lib/headgate/",
    "/var/log/journal/",
    "/run/log/journal/",
    "/var/log/wtmp",
    "/run/utmp",
)

# FIFOs by which systemd-logind notices that a session or what delays a shutdown has ended.
SYSTEM_PIPES = ("/run/systemd/sessions/", "/run/systemd/inhibit/")

# Programs by number of <linux/bpf.h> that can carry packets or bytes elsewhere; all others are counters, tracers and systemd's limits.
CARRYING_PROGRAMS: Mapping[int, str] = {
    3: "traffic control", 4: "traffic control action", 6: "XDP", 10: "tunnel in", 11: "tunnel out", 12: "tunnel transmit",
    13: "socket operations", 14: "socket stream", 16: "socket message", 19: "segment routing", 21: "socket choice",
    22: "flow dissector", 30: "socket look-up", 32: "netfilter",
}  # fmt: skip
CARRYING_TABLES: Mapping[int, str] = {
    14: "device map", 15: "socket map", 16: "processor map", 17: "AF_XDP map", 18: "socket map", 25: "device map",
}  # fmt: skip
ALLOWED_TAGS: frozenset[str] = frozenset()  # of programs that Headgate itself loads: none so far

# Link kinds and the way across that each is; what is not here is way 16.
LINK_WAYS: Mapping[str, int] = {
    "vlan": 7, "bridge": 17, "bond": 17, "team": 17, "openvswitch": 17, "vrf": 18, "tun": 21,
    "ipip": 8, "sit": 8, "gre": 8, "gretap": 8, "erspan": 8, "ip6tnl": 8, "ip6gre": 8, "vti": 8, "vti6": 8,
    "geneve": 8, "wireguard": 8, "xfrm": 8, "l2tp": 8, "bareudp": 8, "gtp": 8,
}  # fmt: skip
# Queueing disciplines that the kernel gives a link by itself; filters on them are found nonetheless.
ORDINARY_QUEUES = frozenset({"noqueue", "pfifo_fast", "mq", "fq_codel", "fq", "pfifo", "bfifo", "noop"})


def ours(process: Process) -> bool:
    """Return whether a process belongs to one of the gateway's units."""
    return process.unit.startswith(OUR_UNITS)


def in_session(process: Process) -> bool:
    """Return whether a process is root's in an operator's session, as far as its cgroup and user tell."""
    return process.uids == {0} and process.unit.endswith(SESSIONS)


def may_serve(path: str, process: Process) -> bool:
    """Return whether ``process`` may be met from other namespaces at a Unix socket bound to ``path``."""
    if process.pid == 1 or process.trusted:
        return True
    return any(path.startswith(begin) and process.unit in units for begin, units in SERVERS)
