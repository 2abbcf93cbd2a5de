"""Kernel settings of a zone's namespace, below /proc/sys: its host is no router, and answers for the address it was asked at only."""

from __future__ import annotations

from collections.abc import Mapping

EVERYWHERE = {"net/ipv4/ip_forward": "0", "net/ipv4/icmp_echo_ignore_broadcasts": "1"}
EACH_PORT_4 = {
    "accept_redirects": "0",
    "accept_source_route": "0",
    "arp_announce": "2",
    "arp_filter": "1",
    "arp_ignore": "2",
    "forwarding": "0",
    "proxy_arp": "0",
    "rp_filter": "1",
    "secure_redirects": "0",
    "send_redirects": "0",
}
EACH_PORT_6 = {
    "accept_dad": "0",  # or any neighbour takes the box's address away by claiming it (RFC 4862 section 5.4, RFC 3756 section 4.1.3)
    "accept_ra": "0",
    "accept_redirects": "0",
    "accept_source_route": "-1",
    "autoconf": "0",
    "forwarding": "0",
}
# What only some kernels know, or only once a module is there: left out where it is not, and told (``lacking``).
MORE = {
    "net/bridge/bridge-nf-call-iptables": "1",  # a bridge that somebody makes meets our rules, which forward nothing
    "net/bridge/bridge-nf-call-ip6tables": "1",
    "net/ipv4/ip_nonlocal_bind": "0",
    "net/ipv4/tcp_fastopen": "0",  # no data before the handshake is complete
    "net/ipv4/tcp_syncookies": "1",
    "net/ipv6/ip_nonlocal_bind": "0",
    "net/mptcp/enabled": "0",
    "net/netfilter/nf_conntrack_helper": "0",
    "net/netfilter/nf_conntrack_tcp_be_liberal": "0",
    "net/netfilter/nf_conntrack_tcp_loose": "0",  # a connection begins with SYN, also one that is older than the rules
}
MORE_EACH_4 = {
    "arp_accept": "0",
    "bootp_relay": "0",
    "drop_gratuitous_arp": "1",
    "drop_unicast_in_l2_multicast": "1",
    "proxy_arp_pvlan": "0",
    "route_localnet": "0",
}
MORE_EACH_6 = {
    "accept_untracked_na": "0",
    "addr_gen_mode": "0",  # a link-local address follows from the MAC, so that any other is known to be foreign
    "drop_unicast_in_l2_multicast": "1",
    "drop_unsolicited_na": "1",
    "ioam6_enabled": "0",
    "proxy_ndp": "0",
    "rpl_seg_enabled": "0",
    "seg6_enabled": "0",
    "use_tempaddr": "0",
}


def everywhere(*, six: bool) -> dict[str, str]:
    """Return the settings of a whole namespace; without IPv6 addresses there is no IPv6."""
    return EVERYWHERE | MORE | of_port("all", six=six) | of_port("default", six=six)


def of_port(port: str, *, six: bool) -> dict[str, str]:
    """Return the settings of one link."""
    four = {f"net/ipv4/conf/{port}/{key}": value for key, value in (EACH_PORT_4 | MORE_EACH_4).items()}
    rest = EACH_PORT_6 | MORE_EACH_6 | {"disable_ipv6": "0" if six else "1"}
    return four | {f"net/ipv6/conf/{port}/{key}": value for key, value in rest.items()}


def may_lack(key: str) -> bool:
    """Return whether a kernel without this setting is taken too."""
    name = key.rpartition("/")[2]
    return (
        key in MORE
        or (key.startswith("net/ipv4/conf/") and name in MORE_EACH_4)
        or (key.startswith("net/ipv6/conf/") and name in MORE_EACH_6)
    )


def lacking(wanted: Mapping[str, str], seen: Mapping[str, str]) -> list[str]:
    """Return the settings that this kernel does not have."""
    return sorted(key for key in wanted if key not in seen and may_lack(key))
