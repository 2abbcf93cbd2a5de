"""The ways across two zones that this kernel can do, each planted by a small program with nothing but Python's own library.

A test or an operator plants one between two zones' namespaces, and watches whether it is found and undone:

    python3 cheats.py list
    python3 cheats.py plant two-sockets culture bigscreen      -> {"name": ..., "way": 20, "finds": ..., "pids": [...]}
    python3 cheats.py undo  two-sockets culture bigscreen PID..
    python3 cheats.py hold - culture bigscreen                 -> {"pids": [VICTIM]}
    python3 cheats.py try   trace culture bigscreen VICTIM     -> {"errno": 1, ...}, as nobody; "dare" instead of "try": as root

What a cheat leaves running is detached, so that it is nobody's child. Cheats need root: they show what even root's mistakes come to.
"""

from __future__ import annotations

import array
import ctypes
import errno
import json
import mmap
import os
import platform
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from fcntl import ioctl
from pathlib import Path

NETNS = Path("/run/netns")
NEWNET, NEWUSER, FILES = 0x40000000, 0x10000000, 0x400
BPF = {"x86_64": 321, "aarch64": 280}.get(platform.machine(), 280)
IO_URING_SETUP, PIDFD_GETFD, PTRACE_SEIZE = 425, 438, 0x4206
TUNSETIFF, TAP_NO_INFO = 0x400454CA, 0x1002
NOBODY = 65534
PORT = "port0"
LINK = "cheat0"
HOME = "home"
libc = ctypes.CDLL(None, use_errno=True)
keep: list[object] = []  # what a detached cheat holds until it is killed


def checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def enter(name: str) -> None:
    """Bring this thread into a namespace."""
    descriptor = os.open(NETNS / name, os.O_RDONLY)
    try:
        checked(libc.setns(descriptor, NEWNET))
    finally:
        os.close(descriptor)


def ip(*words: str) -> None:
    run("ip", *words)


def run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=20, check=False)
    if done.returncode:
        raise OSError(done.returncode, f"{' '.join(argv)}: {done.stderr.strip()}")


def detached(*works: Callable[[], object]) -> list[int]:
    """Run each work in a process of its own that is nobody's child and stays until killed; return when all have done it."""
    return [_detached(work) for work in works]


def _detached(work: Callable[[], object]) -> int:
    reader, writer = os.pipe()
    if not (child := os.fork()):
        os.setsid()
        if os.fork():
            os._exit(0)
        os.close(reader)
        try:
            null = os.open(os.devnull, os.O_RDWR)
            for standard in (0, 1, 2):
                os.dup2(null, standard)
            keep.append(work())
            os.write(writer, b"%d" % os.getpid())
        except BaseException as error:  # noqa: BLE001 (told to the parent)
            os.write(writer, f"failed: {error!r}".encode())
            os._exit(1)
        os.close(writer)
        while True:
            signal.pause()
    os.close(writer)
    os.waitpid(child, 0)
    told = b""
    while part := os.read(reader, 4096):
        told += part
    os.close(reader)
    if not told.isdigit():
        raise OSError(0, told.decode() or "the cheat ended without a word")
    return int(told)


# --- 16 to 18: links and what is on them ---------------------------------------------------------------------------------------


def veth(a: str, b: str) -> list[int]:
    ip("-n", a, "link", "add", LINK, "type", "veth", "peer", "name", LINK, "netns", b)
    ip("-n", a, "link", "set", LINK, "up")
    ip("-n", b, "link", "set", LINK, "up")
    return []


def veth_by_a_third(a: str, b: str) -> list[int]:
    third = f"{a}-third"
    ip("netns", "add", third)
    for zone in (a, b):
        ip("-n", zone, "link", "add", LINK, "type", "veth", "peer", "name", f"to-{zone}"[-15:], "netns", third)
        ip("-n", zone, "link", "set", LINK, "up")
    return []


def macvlan(a: str, b: str) -> list[int]:
    ip("-n", a, "link", "add", "link", PORT, "name", LINK, "type", "macvlan")
    ip("-n", a, "link", "set", LINK, "netns", b)
    ip("-n", b, "link", "set", LINK, "up")
    return []


def macvlan_in_a_third(a: str, b: str) -> list[int]:
    del b
    third = f"{a}-third"
    ip("netns", "add", third)
    ip("-n", a, "link", "add", "link", PORT, "name", LINK, "type", "macvlan")
    ip("-n", a, "link", "set", LINK, "netns", third)
    return []


def vxlan(a: str, b: str) -> list[int]:
    ip("-n", a, "link", "add", LINK, "type", "vxlan", "id", "7", "dstport", "4789", "remote", "10.9.9.9")
    ip("-n", a, "link", "set", LINK, "netns", b)
    ip("-n", b, "link", "set", LINK, "up")
    return []


def bridge(a: str, b: str) -> list[int]:
    veth(a, b)
    ip("-n", a, "link", "add", "cheatbr", "type", "bridge")
    for link in (PORT, LINK):
        ip("-n", a, "link", "set", link, "master", "cheatbr")
    return []


def promiscuous(a: str, b: str) -> list[int]:
    del b
    ip("-n", a, "link", "set", PORT, "promisc", "on")
    return []


def mirred(a: str, b: str) -> list[int]:
    del b
    run("tc", "-n", a, "qdisc", "add", "dev", PORT, "clsact")
    match = ["u32", "match", "u32", "0", "0", "action", "mirred", "egress", "mirror", "dev", PORT]
    run("tc", "-n", a, "filter", "add", "dev", PORT, "ingress", *match)
    return []


def rule(a: str, b: str) -> list[int]:
    del b
    ip("-n", a, "rule", "add", "priority", "100", "table", "100")
    return []


def link_at_home(a: str, b: str) -> list[int]:
    """In place of a zone: the initial namespace (``home``: where this runs), to which a card returns when its zone dies."""
    del b
    there = [] if a == HOME else ["-n", a]
    ip(*there, "link", "add", LINK, "type", "ifb")
    ip(*there, "link", "set", LINK, "up")
    return []


# --- 19: BPF ------------------------------------------------------------------------------------------------------------------


def bpf(command: int, attributes: bytes) -> int:
    buffer = ctypes.create_string_buffer(attributes, 128)
    return checked(libc.syscall(BPF, command, buffer, 128))


def instruction(code: int, target: int = 0, source: int = 0, value: int = 0) -> bytes:
    return struct.pack("=BBhi", code, target | source << 4, 0, value)


def load(kind: int, code: bytes) -> int:
    licence, log = ctypes.create_string_buffer(b"GPL"), ctypes.create_string_buffer(4096)
    words = ctypes.create_string_buffer(code)
    told = (kind, len(code) // 8, ctypes.addressof(words), ctypes.addressof(licence), 1, 4096, ctypes.addressof(log))
    try:
        return bpf(5, struct.pack("=IIQQIIQ", *told))
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror}: {log.value.decode()}") from error


def make_map(kind: int) -> int:
    return bpf(0, struct.pack("=IIII", kind, 4, 4, 1))


def put(table: int, value: int) -> None:
    key, content = ctypes.c_uint32(0), ctypes.c_uint32(value)
    bpf(2, struct.pack("=IIQQQ", table, 0, ctypes.addressof(key), ctypes.addressof(content), 0))


def redirecting(table: int, first: int = 1, helper: int = 51) -> bytes:
    """Return a program that sends each packet to the first entry of a map; ``first`` is the register that names the map."""
    return b"".join(
        [
            instruction(0x18, first, 1, table),
            instruction(0),
            instruction(0xB7, first + 1),
            instruction(0xB7, first + 2),
            instruction(0x85, value=helper),
            instruction(0x95),
        ]
    )


def index_of(link: str) -> int:
    return socket.if_nametoindex(link)


def attach_xdp(link: str, program: int) -> None:
    """Attach a program in the stack's mode, by netlink."""
    inner = struct.pack("=HHi", 8, 1, program) + struct.pack("=HHI", 8, 3, 2)
    body = struct.pack("=BxHiII", 0, 0, index_of(link), 0, 0) + struct.pack("=HH", 4 + len(inner), 43 | 0x8000) + inner
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
        netlink.send(struct.pack("=IHHII", 16 + len(body), 16, 5, 1, 0) + body)
        error = -struct.unpack_from("=i", netlink.recv(4096), 16)[0]
    if error:
        raise OSError(error, os.strerror(error))


def xdp(a: str, b: str) -> list[int]:
    """A frame that comes in at A's port leaves at B's: no veth, no route, no hook of nftables sees it."""

    def work() -> None:
        enter(b)
        table = make_map(14)
        put(table, index_of(PORT))
        enter(a)
        attach_xdp(PORT, load(6, redirecting(table)))

    pids = detached(work)
    end(pids)  # the link alone keeps the program, and the program keeps the map
    return []


def xdp_link(a: str, b: str) -> list[int]:
    """The same by a BPF link, which netlink cannot take off: its descriptor keeps it."""

    def work() -> object:
        enter(b)
        table = make_map(14)
        put(table, index_of(PORT))
        enter(a)
        program = load(6, redirecting(table))
        return bpf(28, struct.pack("=IIII", program, index_of(PORT), 37, 2))  # LINK_CREATE, BPF_XDP

    return detached(work)


def tcx(a: str, b: str) -> list[int]:
    """A traffic control program without any queueing discipline."""
    del b

    def work() -> object:
        enter(a)
        program = load(3, instruction(0xB7, 0, value=-1) + instruction(0x95))  # TCX_NEXT
        return bpf(28, struct.pack("=IIII", program, index_of(PORT), 46, 0))

    return detached(work)


def socket_map(a: str, b: str) -> list[int]:
    """A map of sockets of two zones, between which a program could splice."""

    def work() -> object:
        table = make_map(15)
        return table, load(14, redirecting(table, 2, 52)), in_zone(a), in_zone(b)

    return detached(work)


# --- 20 to 24: processes and descriptors ----------------------------------------------------------------------------------------


def in_zone(zone: str, kind: int = socket.SOCK_DGRAM, family: int = socket.AF_INET, protocol: int = 0) -> socket.socket:
    enter(zone)
    return socket.socket(family, kind, protocol)


def two_sockets(a: str, b: str) -> list[int]:
    return detached(lambda: (in_zone(a), in_zone(b)))


def start(work: Callable[[], None]) -> None:
    """Run work in a thread that stays, and wait until it is done with it."""
    ready = threading.Event()
    failed: list[BaseException] = []

    def go() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 (raised in the starting thread)
            failed.append(error)
        ready.set()
        threading.Event().wait()

    threading.Thread(target=go, daemon=True).start()
    ready.wait()
    if failed:
        raise failed[0]


def two_threads(a: str, b: str) -> list[int]:
    def work() -> None:
        enter(a)
        start(lambda: enter(b))

    return detached(work)


def hidden_table(a: str, b: str) -> list[int]:
    """The second socket is in the descriptor table of one thread only, which /proc/PID/fd does not show."""

    def hide() -> None:
        checked(libc.unshare(FILES))
        os.closerange(3, 256)  # its own copies only
        keep.append(in_zone(b))
        enter(a)

    def work() -> object:
        first = in_zone(a)
        start(hide)
        return first

    return detached(work)


def tap(a: str, b: str) -> list[int]:
    """A tap of A is held by a process of B."""

    def work() -> object:
        enter(a)
        descriptor = os.open("/dev/net/tun", os.O_RDWR)
        ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", LINK.encode(), TAP_NO_INFO))
        enter(b)
        return descriptor

    return detached(work)


def namespace_held(a: str, b: str) -> list[int]:
    def work() -> object:
        enter(a)
        return os.open(NETNS / b, os.O_RDONLY)

    return detached(work)


def courier(a: str, b: str) -> list[int]:
    """A process that goes to the other zone when it is sent a signal, and holds nothing in between."""

    def work() -> None:
        signal.signal(signal.SIGUSR1, lambda *_: enter(b))
        enter(a)

    return detached(work)


def go(pids: list[int]) -> None:
    """Send a courier, and wait until it is there."""
    before = Path(f"/proc/{pids[0]}/ns/net").readlink()
    os.kill(pids[0], signal.SIGUSR1)
    while Path(f"/proc/{pids[0]}/ns/net").readlink() == before:
        os.sched_yield()


def pass_descriptor(a: str, b: str, *, taken: bool) -> list[int]:
    def work() -> object:
        enter(b)
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with in_zone(a) as passed:
            passed.bind(("127.0.0.1", 0))
            there.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [passed.fileno()]))])
        enter(b)
        return here, there, (here.recvmsg(1, 64) if taken else None)

    return detached(work)


def passed(a: str, b: str) -> list[int]:
    return pass_descriptor(a, b, taken=True)


def in_flight(a: str, b: str) -> list[int]:
    return pass_descriptor(a, b, taken=False)


def stolen(a: str, b: str) -> list[int]:
    victim = detached(lambda: (in_zone(a),))

    def work() -> object:
        enter(b)
        pidfd = os.pidfd_open(victim[0])
        for entry in Path(f"/proc/{victim[0]}/fd").iterdir():
            if str(entry.readlink()).startswith("socket:"):
                return checked(libc.syscall(PIDFD_GETFD, pidfd, int(entry.name), 0))
        raise OSError(0, "the victim has no socket")

    return victim + detached(work)


def traced(a: str, b: str) -> list[int]:
    victim = detached(lambda: enter(a))

    def work() -> None:
        enter(b)
        checked(libc.ptrace(PTRACE_SEIZE, victim[0], None, None))

    return victim + detached(work)


def become_nobody() -> None:
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def one_user(a: str, b: str) -> list[int]:
    def work(zone: str) -> Callable[[], None]:
        def become() -> None:
            enter(zone)
            become_nobody()

        return become

    return detached(work(a), work(b))


# --- 26 to 29 and 36: what is no network, and what no daemon may have --------------------------------------------------------------


def place(a: str, kind: str) -> Path:
    return Path(f"/tmp/cheat-{a}-{kind}")


def path_socket(a: str, b: str) -> list[int]:
    path = place(a, "socket")

    def serve() -> object:
        enter(a)
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(path))
        server.listen()
        start_accepting = threading.Thread(target=lambda: keep.append(server.accept()), daemon=True)
        start_accepting.start()
        return server

    def ask() -> object:
        enter(b)
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(path))
        return client

    return detached(serve, ask)


def fifo(a: str, b: str) -> list[int]:
    path = place(a, "fifo")
    os.mkfifo(path)

    def hold(zone: str) -> Callable[[], object]:
        return lambda: (enter(zone), os.open(path, os.O_RDWR))

    return detached(hold(a), hold(b))


def pipe(a: str, b: str) -> list[int]:
    reader, writer = os.pipe()
    pids = detached(lambda: (enter(a), os.close(reader)), lambda: (enter(b), os.close(writer)))
    os.close(reader)
    os.close(writer)
    return pids


def shared_file(a: str, b: str) -> list[int]:
    path = place(a, "file")
    path.write_bytes(b"")
    return detached(
        lambda: (enter(a), os.open(path, os.O_RDWR)),
        lambda: (enter(b), os.open(path, os.O_RDONLY)),
    )


def shared_memory(a: str, b: str) -> list[int]:
    """Memory that both map, of a file that neither has open any more and that has no name."""
    memory = os.memfd_create("cheat")
    os.ftruncate(memory, 4096)

    def map_it(zone: str) -> Callable[[], object]:
        def work() -> object:
            enter(zone)
            mapped = libc_map(memory)
            os.close(memory)
            return mapped

        return work

    pids = detached(map_it(a), map_it(b))
    os.close(memory)
    return pids


def libc_map(descriptor: int) -> int:
    """Map a page without keeping a copy of the descriptor, which Python's mmap would."""
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
    return int(libc.mmap(None, 4096, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, descriptor, 0))


def vsock(a: str, b: str) -> list[int]:
    del b
    return detached(lambda: in_zone(a, socket.SOCK_STREAM, socket.AF_VSOCK))


def io_uring(a: str, b: str) -> list[int]:
    del b

    def work() -> object:
        enter(a)
        return checked(libc.syscall(IO_URING_SETUP, 4, ctypes.create_string_buffer(120)))

    return detached(work)


def raw(a: str, b: str) -> list[int]:
    del b
    return detached(lambda: in_zone(a, socket.SOCK_RAW, socket.AF_INET, socket.IPPROTO_ICMP))


def packet(a: str, b: str) -> list[int]:
    del b
    return detached(lambda: in_zone(a, socket.SOCK_RAW, socket.AF_PACKET))


def user_namespace(a: str, b: str) -> list[int]:
    del b

    def work() -> None:
        enter(a)
        become_nobody()
        checked(libc.unshare(NEWUSER))

    return detached(work)


def listener(a: str, b: str) -> list[int]:
    del b

    def work() -> object:
        server = in_zone(a, socket.SOCK_STREAM)
        server.bind(("0.0.0.0", 2323))
        server.listen()
        return server

    return detached(work)


# --- the corpus -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cheat:
    """A way across: what plants it between two zones, and the finding by which it must be known."""

    name: str
    way: int
    finds: str
    plant: Callable[[str, str], list[int]]


CORPUS = (
    Cheat("veth", 16, "foreign-link", veth),
    Cheat("veth-by-a-third", 16, "foreign-link", veth_by_a_third),
    Cheat("macvlan", 16, "foreign-link", macvlan),
    Cheat("macvlan-in-a-third", 16, "foreign-link", macvlan_in_a_third),
    Cheat("vxlan", 16, "foreign-link", vxlan),
    Cheat("bridge", 17, "enslaved-port", bridge),
    Cheat("promiscuous", 17, "promiscuous-port", promiscuous),
    Cheat("mirred", 18, "traffic-control", mirred),
    Cheat("rule", 18, "policy-routing", rule),
    Cheat("xdp-device-map", 19, "bpf-program", xdp),
    Cheat("xdp-link", 19, "bpf-program", xdp_link),
    Cheat("tcx", 19, "bpf-program", tcx),
    Cheat("socket-map", 19, "bpf-map", socket_map),
    Cheat("two-sockets", 20, "process-in-two-zones", two_sockets),
    Cheat("two-threads", 20, "thread-in-two-zones", two_threads),
    Cheat("hidden-table", 20, "process-in-two-zones", hidden_table),
    Cheat("tap", 21, "tap-in-two-zones", tap),
    Cheat("namespace-held", 22, "namespace-held", namespace_held),
    Cheat("courier", 22, "zone-changed", courier),
    Cheat("passed", 23, "process-in-two-zones", passed),
    Cheat("in-flight", 23, "socket-in-flight", in_flight),
    Cheat("stolen", 24, "process-in-two-zones", stolen),
    Cheat("traced", 24, "traced-across", traced),
    Cheat("one-user", 24, "shared-user", one_user),
    Cheat("path-socket", 26, "unix-socket", path_socket),
    Cheat("fifo", 26, "pipe", fifo),
    Cheat("pipe", 26, "pipe", pipe),
    Cheat("shared-file", 26, "shared-file", shared_file),
    Cheat("shared-memory", 26, "shared-file", shared_memory),
    Cheat("vsock", 26, "vsock", vsock),
    Cheat("io-uring", 27, "io-uring", io_uring),
    Cheat("raw", 28, "raw-socket", raw),
    Cheat("packet", 28, "raw-socket", packet),
    Cheat("user-namespace", 29, "user-namespace", user_namespace),
    Cheat("link-at-home", 30, "link-up-at-home", link_at_home),
    Cheat("listener", 36, "unknown-listener", listener),
)
BY_NAME = {cheat.name: cheat for cheat in CORPUS}


# --- what the kernel refuses to a daemon's user, so that no look would find it --------------------------------------------------------


def hold(a: str, b: str) -> list[int]:
    """Root's process in zone B, with a socket that has an abstract name: what the attempts below are after."""

    def work() -> object:
        enter(b)
        server = socket.socket(socket.AF_UNIX)
        server.bind("\0" + a)
        server.listen()
        return server

    return detached(work)


def take(victim: int) -> None:
    """Take the first socket of a process."""
    pidfd = os.pidfd_open(victim)
    for number in range(3, 64):
        try:
            os.close(checked(libc.syscall(PIDFD_GETFD, pidfd, number, 0)))
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
        else:
            return
    raise OSError(errno.EBADF, "it holds nothing")


def make_tap() -> None:
    with Path("/dev/net/tun").open("r+b", 0) as device:
        ioctl(device, TUNSETIFF, struct.pack("=16sH22x", b"cheat1", TAP_NO_INFO))


@dataclass(frozen=True)
class Attempt:
    """What a user tries from zone A towards B, and how the kernel may refuse it."""

    name: str
    way: int
    attempt: Callable[[str, str, int], object]
    refused: tuple[int, ...] = (errno.EPERM,)


ATTEMPTS = (
    Attempt("load-device-map", 19, lambda a, b, victim: make_map(14)),
    Attempt("make-tap", 21, lambda a, b, victim: make_tap(), (errno.EPERM, errno.EACCES)),
    Attempt("enter-by-name", 22, lambda a, b, victim: enter(b)),
    Attempt(
        "enter-by-process", 22, lambda a, b, victim: os.open(f"/proc/{victim}/ns/net", os.O_RDONLY), (errno.EACCES,)
    ),
    Attempt("take-descriptor", 24, lambda a, b, victim: take(victim)),
    Attempt("trace", 24, lambda a, b, victim: checked(libc.ptrace(PTRACE_SEIZE, victim, None, None))),
    Attempt(
        "abstract-socket",
        25,
        lambda a, b, victim: socket.socket(socket.AF_UNIX).connect("\0" + a),
        (errno.ECONNREFUSED,),
    ),
    Attempt("raw-socket", 28, lambda a, b, victim: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)),
    Attempt("packet-socket", 28, lambda a, b, victim: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
)


def attempt(name: str, zone: str, a: str, b: str, victim: int, *, nobody: bool) -> int:
    """Return the error of an attempt that begins in ``zone``; 0 if it succeeded."""
    enter(zone)
    if nobody:
        become_nobody()
    try:
        next(each for each in ATTEMPTS if each.name == name).attempt(a, b, victim)
    except OSError as error:
        return error.errno or -1
    return 0


def end(pids: list[int]) -> None:
    """Kill what a cheat left running, and wait until it is gone."""
    for pid in pids:
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            select.select([pidfd], [], [], 10)
        except ProcessLookupError:
            continue
        finally:
            os.close(pidfd)


def undo(a: str, b: str, pids: list[int]) -> None:
    """Remove whatever any cheat may have left between two zones."""
    end(pids)
    removals = [["ip", "netns", "delete", f"{a}-third"]]
    if a == HOME:
        removals.append(["ip", "link", "delete", LINK])
    for zone in {a, b} - {HOME}:
        removals += [["ip", "-n", zone, "link", "delete", link] for link in (LINK, "cheatbr")]
        removals += [
            ["ip", "-n", zone, "link", "set", PORT, "promisc", "off"],
            ["tc", "-n", zone, "qdisc", "del", "dev", PORT, "clsact"],
        ]
        removals += [
            ["ip", "-n", zone, "link", "set", PORT, "xdpgeneric", "off"],
            ["ip", "-n", zone, "rule", "del", "priority", "100"],
        ]
    for argv in removals:
        subprocess.run(argv, capture_output=True, stdin=subprocess.DEVNULL, timeout=20, check=False)
    for kind in ("socket", "fifo", "file"):
        place(a, kind).unlink(missing_ok=True)


def main(argv: list[str]) -> int:
    if argv[:1] == ["list"]:
        print(json.dumps([{"name": c.name, "way": c.way, "finds": c.finds} for c in CORPUS]))
        return 0
    if len(argv) == 5 and argv[0] in ("try", "dare"):
        name, a, b, victim = argv[1], argv[2], argv[3], int(argv[4])
        print(json.dumps({"errno": attempt(name, a, a, b, victim, nobody=argv[0] == "try")}))
        return 0
    if len(argv) == 4 and argv[0] == "hold":
        print(json.dumps({"pids": hold(argv[2], argv[3])}))
        return 0
    if len(argv) < 4 or argv[0] not in ("plant", "undo", "go") or argv[1] not in BY_NAME:
        print(__doc__, file=sys.stderr)
        return 2
    cheat, a, b, pids = BY_NAME[argv[1]], argv[2], argv[3], [int(word) for word in argv[4:]]
    if argv[0] == "undo":
        undo(a, b, pids)
        return 0
    told: dict[str, object] = {"name": cheat.name, "way": cheat.way, "finds": cheat.finds}
    try:
        if argv[0] == "go":
            go(pids)
        else:
            told["pids"] = cheat.plant(a, b)
    except OSError as error:
        told["refused"] = str(error)
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
