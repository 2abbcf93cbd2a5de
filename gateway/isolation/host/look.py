"""What is found on the host: files below /proc, /sys, /etc and /boot, and a few questions to the kernel that change nothing."""

from __future__ import annotations

import contextlib
import ctypes
import gzip
import os
import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

from appliance.runtime import descriptors
from gateway.isolation.host import wanted
from gateway.isolation.host.facts import Built, Facts, Process

LARGEST = 1 << 20  # bytes read of one file
LSM_LIST = 461  # lsm_list_modules(2)
SECURITY_MODULES = {100: "capability", 101: "selinux", 102: "smack", 103: "tomoyo", 104: "apparmor", 105: "yama", 106: "loadpin",
                    107: "safesetid", 108: "lockdown", 109: "bpf", 110: "landlock", 111: "ima", 112: "evm", 113: "ipe"}  # fmt: skip
_libc = ctypes.CDLL(None, use_errno=True)


def look(proc: Path, sys: Path, etc: Path, boot: Path, ports: Mapping[str, str]) -> Facts:
    """Return what is there now; what cannot be read counts as not known, never as good."""
    release = _text(proc / "sys/kernel/osrelease").strip()
    config = _config(proc, boot, release)
    loaded = frozenset(line.split()[0] for line in _text(proc / "modules").splitlines() if line)
    return Facts(
        release=release,
        settings={key: _setting(proc, key) for key in wanted.SETTINGS},
        kinds={name: _kind(config, symbol) for name, symbol in wanted.MODULES.items()} if config else {},
        loaded=loaded,
        blocked=_blocked(etc),
        loadable=(proc / "modules").exists(),
        modules=_security_modules(sys),
        lockdown=_chosen(_text(sys / "kernel/security/lockdown")),
        pass_rights=_pass_rights(),
        vsock=any(line.startswith("AF_VSOCK") for line in _text(proc / "net/protocols").splitlines()),
        bpf=not config or "CONFIG_BPF_SYSCALL=y" in config,
        processes=tuple(_processes(proc)),
        ports={zone: _path(sys, address) for zone, address in ports.items()},
        leaks=_leaks(sys),
        container=_container(proc),
        secure_boot=_secure_boot(sys),
        tpm=_text(sys / "class/tpm/tpm0/tpm_version_major").strip(),
    )


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST).decode(errors="replace")
    except OSError:
        return ""


def _setting(proc: Path, key: str) -> str | None:
    return " ".join(_text(proc / "sys" / key.replace(".", "/")).split()) or None


def _config(proc: Path, boot: Path, release: str) -> frozenset[str]:
    """Return the lines of the running kernel's configuration, from itself or from its package."""
    text = ""
    with contextlib.suppress(OSError, EOFError), gzip.open(proc / "config.gz") as file:
        text = file.read(LARGEST).decode(errors="replace")
    text = text or _text(boot / f"config-{release}")
    return frozenset(line for line in text.splitlines() if line.startswith("CONFIG_"))


def _kind(config: frozenset[str], symbol: str) -> Built:
    if f"{symbol}=y" in config:
        return "built in"
    return "module" if f"{symbol}=m" in config else "absent"


def _blocked(etc: Path) -> frozenset[str]:
    # A `blacklist` line stops only loading by alias; `install ... /bin/false` stops every way to it.
    lines = (line.split() for path in sorted((etc / "modprobe.d").glob("*.conf")) for line in _text(path).splitlines())
    return frozenset(
        w[1].replace("-", "_") for w in lines if len(w) == 3 and w[0] == "install" and w[2] == "/bin/false"
    )


def _security_modules(sys: Path) -> tuple[str, ...]:
    told = _text(sys / "kernel/security/lsm").strip()
    if told:
        return tuple(told.split(","))
    numbers, size = (ctypes.c_uint64 * 32)(), ctypes.c_uint32(32 * 8)
    count = _libc.syscall(LSM_LIST, numbers, ctypes.byref(size), 0)  # where securityfs is not mounted; Linux 6.8
    return tuple(SECURITY_MODULES.get(number, str(number)) for number in list(numbers)[: max(0, count)])


def _chosen(text: str) -> str:
    found = re.search(r"\[(\w+)\]", text)
    return found[1] if found else ""


def _pass_rights() -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return descriptors.refuse(probe)


def _processes(proc: Path) -> Iterator[Process]:
    # A container's manager puts filters on all of it; what counts are those that a process has beyond the first one's.
    first = _filters(_status(proc / "1"))
    for folder in proc.iterdir() if proc.is_dir() else ():
        status = _status(folder)
        if not folder.name.isdigit() or "VmSize" not in status:  # without memory: a kernel thread, or it has ended
            continue
        words = _text(folder / "cmdline").split("\0")
        daemon = (
            words[words.index("run") + 1] if "run" in words[1:-2] and _headgate(words[: words.index("run")]) else ""
        )
        yield Process(
            int(folder.name),
            status["Name"].strip(),
            int(status["Uid"].split()[1]),
            _link(folder / "ns/net"),
            int(status["CapEff"], 16),
            _filters(status) > first,
            status.get("NoNewPrivs", "0").strip() == "1",
            daemon,
            bool(daemon) and bool(re.search(r" /proc .* - proc \S+ \S*hidepid=", _text(folder / "mountinfo"))),
        )


def _status(folder: Path) -> dict[str, str]:
    return dict(line.split(":\t", 1) for line in _text(folder / "status").splitlines() if ":\t" in line)


def _filters(status: Mapping[str, str]) -> int:
    """Return how many seccomp filters a process is under; a kernel before 5.9 tells only whether there are any."""
    return int(status.get("Seccomp_filters", status.get("Seccomp", "0") == "2"))


def _headgate(words: list[str]) -> bool:
    return any(word == "/usr/local/bin/headgate" for word in words)


def _link(path: Path) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115 (no path: net:[...])
    except OSError:
        return ""


def _path(sys: Path, address: str) -> tuple[str, ...]:
    """Return a port's place on the bus: root, bridges and the port's own address, from the outside in."""
    link = sys / "bus/pci/devices" / address
    return tuple(part for part in link.resolve().parts if ":" in part) if address and link.exists() else ()


def _leaks(sys: Path) -> tuple[str, ...] | None:
    folder = sys / "devices/system/cpu/vulnerabilities"
    if not folder.is_dir():
        return None
    return tuple(sorted(path.name for path in folder.iterdir() if _text(path).startswith("Vulnerable")))


def _container(proc: Path) -> str | None:
    # The container's manager says so to the first process; only root may read it.
    try:
        words = (proc / "1/environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return None
    return next((word.removeprefix("container=") for word in words if word.startswith("container=")), "")


def _secure_boot(sys: Path) -> bool | None:
    if not (sys / "firmware/efi").is_dir():
        return None
    for path in (sys / "firmware/efi/efivars").glob("SecureBoot-*"):
        with contextlib.suppress(OSError):
            return path.read_bytes()[4:5] == b"\1"
    return None
