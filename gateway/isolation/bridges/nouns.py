"""What a look at the box shows, as plain values, and what may be done against what is found in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.isolation.evidence import Finding

HOME = ""  # the namespace in which ports begin; it has no port once the guard runs


@dataclass(frozen=True, slots=True)
class Space:
    """A network namespace: a zone's, home, or another one (``zone`` is None), and a path that opens it."""

    inode: int
    zone: str | None
    path: str

    def __str__(self) -> str:
        if self.zone is None:
            return f"the network namespace {self.inode}"
        return self.zone or "home"


@dataclass(frozen=True, slots=True)
class LinkSeen:
    """A network interface, with what may join it to something else."""

    space: int
    index: int
    name: str
    mac: str
    kind: str = ""  # empty: hardware
    up: bool = False
    loopback: bool = False
    master: int = 0
    lower: int = 0  # the index of the link it stands on, or of its other end
    far: int | None = None  # the namespace of ``lower`` if it is another one; 0: one that has no name here
    promiscuous: int = 0
    xdp: tuple[tuple[int, int], ...] = ()  # (mode, program)
    pci: str = ""
    physical: str = ""  # the card whose virtual function it is


@dataclass(frozen=True, slots=True)
class Filter:
    """A traffic-control hook or filter on a link: qdisc kind, and its filters' kinds or the programs attached there."""

    space: int
    link: str
    index: int
    kind: str  # clsact, ingress, htb, ... or tcx
    handle: int = 0
    parent: int = 0
    filters: tuple[str, ...] = ()
    program: int = 0


@dataclass(frozen=True, slots=True)
class Wired:
    """What one namespace holds beside its links that can lead packets elsewhere."""

    space: int
    rules: tuple[str, ...] = ()  # policy routing that is not there by default
    multicast: int = 0  # interfaces of multicast routing
    expected: int = 0  # connections that conntrack expects
    strangers: tuple[int, ...] = ()  # numbers of namespaces that nothing here has a name for
    programs: tuple[tuple[str, int], ...] = ()  # (what looks sockets or flows up, program)


@dataclass(frozen=True, slots=True)
class Socket:
    """A socket as its descriptor tells: which namespace it is of, and what it speaks."""

    inode: int
    space: int  # 0: could not be seen
    family: int = 0
    kind: int = 0
    protocol: int = 0


@dataclass(frozen=True, slots=True)
class Shared:
    """Something that carries bytes to whoever holds it too: a pipe, FIFO, terminal, file or shared memory."""

    kind: str  # pipe, terminal, file, memory
    key: str  # the same for all who hold the same
    path: str
    writes: bool


@dataclass(frozen=True, slots=True)
class Process:
    """A process: who it is by facts that it cannot forge, the namespaces of its threads, and what it holds."""

    pid: int
    started: int
    parent: int
    uids: frozenset[int]
    name: str  # for sentences only: anybody may call himself anything
    unit: str  # of systemd, by its cgroup; a session's scope for an operator
    program: str  # the file that it executes
    threads: Mapping[int, int]  # namespace -> a thread that is in it
    main: int  # the namespace of the process itself
    sockets: tuple[Socket, ...] = ()
    spaces: tuple[int, ...] = ()  # namespaces that it holds open
    taps: tuple[tuple[str, int], ...] = ()  # (link, namespace) of tun and tap descriptors
    shared: tuple[Shared, ...] = ()
    special: tuple[str, ...] = ()  # io_uring, perf_event, bpf-prog 12, ...
    tracer: int = 0
    user_space: bool = False  # whether it is in a user namespace that another user than root made
    trusted: bool = False  # process 1 or the guard, and what they run

    def __str__(self) -> str:
        return f"process {self.pid} ({self.name}{', ' + self.unit if self.unit else ''})"


@dataclass(frozen=True, slots=True)
class Open:
    """A socket as its namespace tells: what it is bound to; ``owner`` is its inode, 0 for the kernel's own."""

    space: int
    protocol: str  # tcp, udp, packet
    owner: int
    listening: bool = False
    address: str = ""
    port: int = 0
    identity: bytes = b""  # by which the kernel finds it again
    family: int = 0


@dataclass(frozen=True, slots=True)
class Connection:
    """One end of a Unix connection: its inode, the other's (0: none of its own), and the path that it is bound to."""

    inode: int
    peer: int
    path: str
    space: int


@dataclass(frozen=True, slots=True)
class Program:
    """A BPF program."""

    number: int
    kind: int
    tag: str
    name: str
    maps: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A BPF map."""

    number: int
    kind: int
    name: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """A BPF link: a program that stays attached while somebody holds it."""

    number: int
    kind: int
    program: int
    index: int = 0  # of the network link it is on
    space: int = 0  # the namespace it is on


@dataclass(frozen=True)
class Sight:
    """One look at everything that could join two zones."""

    spaces: Mapping[int, Space]
    links: tuple[LinkSeen, ...] = ()
    filters: tuple[Filter, ...] = ()
    wired: tuple[Wired, ...] = ()
    processes: tuple[Process, ...] = ()
    opened: tuple[Open, ...] = ()
    connections: tuple[Connection, ...] = ()
    programs: Mapping[int, Program] = field(default_factory=dict)
    tables: Mapping[int, Table] = field(default_factory=dict)
    attachments: tuple[Attachment, ...] = ()
    unseen: tuple[tuple[int, str, str], ...] = ()  # (way, name, sentence): what this look could not see
    virtual: bool = False  # the box is a container: its ports are ends of virtual cables, its kernel is others' too


@dataclass(frozen=True, slots=True)
class DeleteLink:
    """Set a link down and delete it; one of hardware only goes down."""

    space: int
    index: int
    delete: bool = True


@dataclass(frozen=True, slots=True)
class FreeLink:
    """Take a link out of the bridge or bond that it was put into."""

    space: int
    index: int


@dataclass(frozen=True, slots=True)
class DropQueue:
    """Delete a queueing discipline with all filters on it."""

    space: int
    index: int
    handle: int
    parent: int


@dataclass(frozen=True, slots=True)
class DetachProgram:
    """Take BPF programs from a link: XDP by its mode, tcx by its hook, or a BPF link by its number."""

    space: int = 0
    index: int = 0
    modes: tuple[int, ...] = ()
    tcx: tuple[tuple[int, int], ...] = ()  # (hook, program)
    attachments: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class EndProcess:
    """Kill a process, or all of a gateway's unit, which systemd starts anew."""

    pid: int
    started: int
    unit: str = ""  # of the gateway


@dataclass(frozen=True, slots=True)
class CloseSocket:
    """Close a socket that no process holds."""

    space: int
    family: int
    protocol: int
    identity: bytes


Mend = DeleteLink | FreeLink | DropQueue | DetachProgram | EndProcess | CloseSocket


@dataclass(frozen=True)
class Found(Finding):
    """A finding, and what undoes it; nothing where the reconciling of the zones does, or nobody can."""

    mends: tuple[Mend, ...] = ()
