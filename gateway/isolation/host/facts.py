"""The nouns: what was found on the host. None or empty means that it could not be found out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Built = Literal["built in", "module", "absent"]


@dataclass(frozen=True)
class Process:
    """One process with memory of its own (no kernel thread)."""

    pid: int
    name: str
    user: int
    namespace: str  # net:[...]; empty where it could not be seen
    capabilities: int  # effective
    filtered: bool  # under a seccomp filter that the first process is not under
    no_new_privileges: bool
    daemon: str = ""  # of ours: guard, exchange, ...
    hides: bool = False  # its /proc shows no other user's processes


@dataclass(frozen=True)
class Facts:
    """One look at the host."""

    release: str = ""
    settings: Mapping[str, str | None] = field(
        default_factory=dict
    )  # sysctl -> value in words, None where there is none
    kinds: Mapping[str, Built] = field(
        default_factory=dict
    )  # module -> how the kernel has it; empty: its configuration is not known
    loaded: frozenset[str] = frozenset()  # modules
    blocked: frozenset[str] = frozenset()  # modules that modprobe.d refuses
    loadable: bool = True  # whether this kernel takes modules at all
    modules: tuple[str, ...] = ()  # security modules, by name
    lockdown: str = ""
    pass_rights: bool = False  # SO_PASSRIGHTS can be set to 0
    vsock: bool = True  # the kernel has the address family
    bpf: bool = True  # the kernel has bpf(2)
    processes: tuple[Process, ...] = ()
    ports: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # zone -> PCI path from the root; () where virtual
    leaks: tuple[str, ...] | None = None  # processor flaws that nothing mitigates
    container: str | None = None
    secure_boot: bool | None = None
    tpm: str = ""
