"""A box's disk and power: an overlay above the image's layers, and a systemd-nspawn container on the box's namespace."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.runtime import command
from appliance.runtime.errors import HeadgateError, Refused
from appliance.runtime.files import write_atomic
from provisioning.lab.lock import MARK
from provisioning.lab.state import State

CGROUPS = Path("/sys/fs/cgroup")
CAPABILITIES = "CAP_NET_ADMIN,CAP_SYS_ADMIN,CAP_BPF,CAP_PERFMON"  # zones, rulesets, and proofs of their absence
SYSTEM_CALLS = (
    "bpf pidfd_getfd"  # to list programs and to see whose sockets are where; containers refuse them unless told
)
ENVIRONMENT = (
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/root",
    "LANG=C.UTF-8",
)
# "$1" ... up to "--" are the cgroups of the container: without one of its own, all boxes would share one tree and stop each other's units.
LAUNCH = f"""
unset {MARK}  # the container outlives the change that starts it
export SYSTEMD_NSPAWN_API_VFS_WRITABLE=network  # a box sets its own /proc/sys/net; the rest stays read-only
while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs"; shift; done
console=$2; shift 2
exec "$@" </dev/null >"$console" 2>&1
"""


@dataclass(frozen=True)
class Box:
    """Where one machine's disk and power are."""

    name: str
    container: str
    namespace: str
    layers: tuple[Path, ...]  # read-only, the topmost first
    folder: Path

    @property
    def root(self) -> Path:
        """The disk as the machine sees it; mounted while the lab is up."""
        return self.folder / "root"

    @property
    def console(self) -> Path:
        """What the machine's console printed since it was started."""
        return self.folder / "console"

    @property
    def cgroups(self) -> tuple[Path, ...]:
        """The container's own cgroups: one in each hierarchy that systemd uses."""
        trees = [CGROUPS / name for name in ("systemd", "unified") if (CGROUPS / name / "cgroup.procs").exists()]
        return tuple(tree / self.container for tree in (trees or [CGROUPS]))


def mount(state: State, box: Box) -> None:
    """Give the box its disk: what it wrote before is still there, above the image that it was made of.

    Raises:
        Refused: that image is not in the cache any more.
    """
    if os.path.ismount(box.root):
        return
    for name in ("up", "work", "root"):
        (box.folder / name).mkdir(parents=True, exist_ok=True)
    (box.folder / "up").chmod(0o755)  # becomes the box's /
    state.intend("mount", str(box.root))
    # A newer image below what a box wrote would be another box (overlayfs calls it undefined), so each keeps its own.
    made_of = box.folder / "image"
    if not made_of.exists():
        write_atomic(made_of, ":".join(str(layer) for layer in box.layers).encode())
    lower = made_of.read_text()
    if not all(Path(layer).is_dir() for layer in lower.split(":")):
        raise Refused(
            "image-gone", f"the image that '{box.name}' was made of is gone; take the lab down and raise it anew"
        )
    options = f"lowerdir={lower},upperdir={box.folder / 'up'},workdir={box.folder / 'work'}"
    command.run(["mount", "-t", "overlay", box.container, "-o", options, str(box.root)])


def unmount(state: State, root: Path) -> None:
    """Take a disk off; its content stays in the box's folder."""
    if os.path.ismount(root):
        command.run(["umount", "--lazy", str(root)])
    state.forget("mount", str(root))


def start(state: State, box: Box) -> None:
    """Switch the box on, and return at once.

    Raises:
        CommandFailed: the container could not be launched.
    """
    for cgroup in box.cgroups:
        state.intend("cgroup", str(cgroup))
        cgroup.mkdir(exist_ok=True)
    state.intend("machine", box.name)
    nspawn = [
        "systemd-nspawn",
        "--quiet",
        "--register=no",
        "--keep-unit",
        f"--machine={box.container}",
        f"--hostname={box.name}",
    ]
    nspawn += [
        f"--directory={box.root}",
        f"--network-namespace-path=/run/netns/{box.namespace}",
        f"--capability={CAPABILITIES}",
        f"--system-call-filter={SYSTEM_CALLS}",
    ]
    nspawn += ["--resolv-conf=off", "--timezone=off", "--link-journal=no", "--boot"]
    cgroups = [str(cgroup) for cgroup in box.cgroups]
    command.run(["setsid", "--fork", "sh", "-euc", LAUNCH, "launch", *cgroups, "--", str(box.console), *nspawn])


def container(root: Path) -> int | None:
    """Return the process of this machine that runs the container on ``root``, or None."""
    wanted = f"--directory={root}".encode()
    own = Path("/proc/self/ns/pid").readlink()
    found: dict[int, int] = {}  # process -> its parent
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            # A process in a box may call itself anything, but it is not in our process namespace.
            if wanted in words and words[0].endswith(b"systemd-nspawn") and (entry / "ns/pid").readlink() == own:
                found[int(entry.name)] = int(_status(int(entry.name))["PPid"])
        except (OSError, KeyError):  # ended meanwhile
            continue
    # While it starts, the container forks a helper that looks the same.
    return next((process for process, parent in found.items() if parent not in found), None)


def leader(root: Path) -> int | None:
    """Return the process, as this machine numbers it, that is process 1 of the container on ``root``, or None."""
    outer = container(root)
    if outer is None:
        return None
    try:
        children = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
        for child in map(int, children):
            if (
                _status(child)["NSpid"].split()[-1] == "1"
                and (Path("/proc") / str(child) / "comm").read_text() == "systemd\n"
            ):
                return child
    except (OSError, KeyError):
        return None
    return None


def entering(process: int, argv: Sequence[str], *, seconds: float | None = None) -> list[str]:
    """Return the command that runs ``argv`` inside the container whose process 1 is ``process``, with a clean environment.

    ``seconds`` bounds it inside too, so that nothing stays behind there when the caller gives up.
    """
    spaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd"]
    bound = ["timeout", "--kill-after=2", str(seconds)] if seconds is not None else []
    return ["nsenter", f"--target={process}", *spaces, "--", "/usr/bin/env", "-i", *ENVIRONMENT, *bound, *argv]


def power_off(box_root: Path, *, seconds: float = 20) -> None:
    """Shut the container down in order; one that does not end in ``seconds`` loses its power."""
    outer = container(box_root)
    if outer is None:
        return
    _signal(outer, signal.SIGTERM)
    try:
        wait(lambda: container(box_root) is None, f"'{box_root}' to shut down", seconds=seconds)
    except NotInTime:
        cut_power(box_root)


def cut_power(box_root: Path) -> None:
    """Kill every process of the container at once, as when the mains fail. What the kernel held for the disk is written later."""
    process = leader(box_root)
    if process is not None:
        _signal(process, signal.SIGKILL)
    outer = container(box_root)
    if outer is not None and process is None:
        _signal(outer, signal.SIGKILL)
    wait(lambda: container(box_root) is None, f"'{box_root}' to end", seconds=20)


class NotInTime(HeadgateError):
    """Something that was waited for did not come to be."""


def wait(condition: Callable[[], bool], what: str, *, seconds: float, pause: float = 0.05) -> None:
    """Wait until ``condition`` holds.

    Raises:
        NotInTime: it did not within ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise NotInTime(f"waited {seconds:g} s for {what}")
        time.sleep(pause)


def end_cgroup(state: State, cgroup: Path) -> None:
    """Kill every process in a container's cgroup and remove it, after which a launch that had just begun cannot enter it.

    Raises:
        NotInTime: a process in it does not end.
    """
    wait(lambda: _emptied(cgroup), f"the processes in {cgroup} to end", seconds=20)
    state.forget("cgroup", str(cgroup))


def _emptied(cgroup: Path) -> bool:
    for folder, _, _ in os.walk(cgroup, topdown=False):
        try:
            for process in (Path(folder) / "cgroup.procs").read_text().split():
                _signal(int(process), signal.SIGKILL)
            Path(folder).rmdir()
        except OSError:  # still busy, or gone meanwhile
            continue
    return not cgroup.exists()


def _status(process: int) -> dict[str, str]:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _signal(process: int, number: signal.Signals) -> None:
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return
