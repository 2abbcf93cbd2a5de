"""What the gateway role sets on a box, and what it closes: the settings of ``90-headgate.conf`` and the modules of ``headgate.conf``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Setting:
    """One sysctl: what is set, which values do as well, what it closes, and what it means if it is otherwise."""

    name: str  # of the measure
    value: str
    good: Callable[[int], bool]
    ways: tuple[int, ...]
    why: str


def _at_least(least: int) -> Callable[[int], bool]:
    return lambda value: value >= least


def _exactly(wanted: int) -> Callable[[int], bool]:
    return lambda value: value == wanted


SETTINGS = {
    "kernel.unprivileged_bpf_disabled": Setting(
        "bpf-unprivileged",
        "1",
        _at_least(1),
        (19,),
        "any user may load BPF programs, which move frames past every rule",
    ),
    "net.core.bpf_jit_harden": Setting(
        "bpf-hardened",
        "2",
        _exactly(2),
        (19,),
        "a BPF program of root's can carry code that the kernel's checker did not see",
    ),
    "kernel.io_uring_disabled": Setting(
        "io-uring",
        "2",
        _exactly(2),
        (27,),
        "io_uring does what a filter on system calls forbids; our daemons' filters refuse it whole",
    ),
    "user.max_user_namespaces": Setting(
        "user-namespaces",
        "0",
        _exactly(0),
        (29,),
        "any user may become root of a namespace of his own and reach more of the kernel",
    ),
    "kernel.yama.ptrace_scope": Setting(
        "ptrace",
        "2",
        lambda value: value in (2, 3),
        (24,),
        "a process may open another of its user; our daemons refuse it themselves",
    ),
    "fs.suid_dumpable": Setting(
        "core-dumps", "0", _exactly(0), (24,), "memory of privileged programs may be written to files"
    ),
    "fs.protected_symlinks": Setting(
        "links-symbolic", "1", _exactly(1), (26,), "another's link may lead a daemon to a foreign file"
    ),
    "fs.protected_hardlinks": Setting(
        "links-hard", "1", _exactly(1), (26,), "a user may keep a name of a file that is not his"
    ),
    "fs.protected_fifos": Setting(
        "fifos", "2", _at_least(1), (26,), "a FIFO laid out in a shared folder may be taken for one's own"
    ),
    "fs.protected_regular": Setting(
        "files", "2", _at_least(1), (26,), "a file laid out in a shared folder may be taken for one's own"
    ),
    "dev.tty.ldisc_autoload": Setting(
        "line-disciplines",
        "0",
        _exactly(0),
        (8, 16),
        "a terminal can be turned into a link (SLIP, PPP) by any user who has one",
    ),
    "vm.unprivileged_userfaultfd": Setting(
        "userfaultfd", "0", _exactly(0), (), "flaws of the kernel are easier to use"
    ),
    "kernel.kptr_restrict": Setting("kernel-addresses", "2", _at_least(1), (), "flaws of the kernel are easier to use"),
    "kernel.dmesg_restrict": Setting("kernel-log", "1", _exactly(1), (), "any user reads the kernel's log"),
    "kernel.perf_event_paranoid": Setting(
        "perf", "3", _at_least(2), (34,), "any user may measure what other processes do"
    ),
    "kernel.kexec_load_disabled": Setting(
        "kexec", "1", _exactly(1), (), "root may start another kernel without the box's boot being seen"
    ),
    "net.ipv4.ip_forward": Setting(
        "forwarding",
        "0",
        _exactly(0),
        (30,),
        "ports that fall back to the initial namespace would be joined by routing",
    ),
    "net.ipv6.conf.all.forwarding": Setting(
        "forwarding-ipv6",
        "0",
        _exactly(0),
        (30,),
        "ports that fall back to the initial namespace would be joined by routing",
    ),
}

# Module -> its switch in the kernel's configuration: what joins links or speaks what no zone may speak, and no box of ours uses. veth and
# tun are not among them: tests and labs stand on them, and the guard finds them by kind.
MODULES = {
    "vxlan": "CONFIG_VXLAN",
    "geneve": "CONFIG_GENEVE",
    "gre": "CONFIG_NET_IPGRE_DEMUX",
    "ip_gre": "CONFIG_NET_IPGRE",
    "ip6_gre": "CONFIG_IPV6_GRE",
    "ipip": "CONFIG_NET_IPIP",
    "sit": "CONFIG_IPV6_SIT",
    "ip6_tunnel": "CONFIG_IPV6_TUNNEL",
    "ip_vti": "CONFIG_NET_IPVTI",
    "fou": "CONFIG_NET_FOU",
    "l2tp_core": "CONFIG_L2TP",
    "pppoe": "CONFIG_PPPOE",
    "pptp": "CONFIG_PPTP",
    "slip": "CONFIG_SLIP",
    "wireguard": "CONFIG_WIREGUARD",
    "openvswitch": "CONFIG_OPENVSWITCH",
    "gtp": "CONFIG_GTP",
    "bareudp": "CONFIG_BAREUDP",
    "batman_adv": "CONFIG_BATMAN_ADV",
    "mpls_router": "CONFIG_MPLS_ROUTING",
    "macvlan": "CONFIG_MACVLAN",
    "macvtap": "CONFIG_MACVTAP",
    "ipvlan": "CONFIG_IPVLAN",
    "ipvtap": "CONFIG_IPVTAP",
    "bonding": "CONFIG_BONDING",
    "team": "CONFIG_NET_TEAM",
    "bridge": "CONFIG_BRIDGE",
    "8021q": "CONFIG_VLAN_8021Q",
    "vrf": "CONFIG_NET_VRF",
    "vsock": "CONFIG_VSOCKETS",
    "sctp": "CONFIG_IP_SCTP",
    "dccp": "CONFIG_IP_DCCP",
    "rds": "CONFIG_RDS",
    "tipc": "CONFIG_TIPC",
    "smc": "CONFIG_SMC",
    "nbd": "CONFIG_BLK_DEV_NBD",
}
