"""The words that nft prints for numbers (nft describe), each beside its number in the packet."""

from __future__ import annotations

from collections.abc import Mapping

TYPES: Mapping[str, int] = {
    "ip": 0x0800,
    "arp": 0x0806,
    "ip6": 0x86DD,
    "8021q": 0x8100,
    "8021ad": 0x88A8,
    "vlan": 0x8100,
}
PROTOCOLS: Mapping[str, int] = {
    "hopopt": 0,
    "icmp": 1,
    "igmp": 2,
    "tcp": 6,
    "udp": 17,
    "dccp": 33,
    "esp": 50,
    "ah": 51,
    "ipv6-icmp": 58,
    "icmpv6": 58,
    "comp": 108,
    "sctp": 132,
    "udplite": 136,
}
STATES: Mapping[str, int] = {"new": 0, "established": 1, "related": 2, "invalid": 3, "untracked": 4}
PACKETS: Mapping[str, int] = {"host": 0, "unicast": 0, "broadcast": 1, "multicast": 2, "other": 3}
OPERATIONS: Mapping[str, int] = {
    "request": 1,
    "reply": 2,
    "rrequest": 3,
    "rreply": 4,
    "inrequest": 8,
    "inreply": 9,
    "nak": 10,
}
ICMP: Mapping[str, int] = {
    "echo-reply": 0,
    "destination-unreachable": 3,
    "source-quench": 4,
    "redirect": 5,
    "echo-request": 8,
    "router-advertisement": 9,
    "router-solicitation": 10,
    "time-exceeded": 11,
    "parameter-problem": 12,
    "timestamp-request": 13,
    "timestamp-reply": 14,
    "info-request": 15,
    "info-reply": 16,
    "address-mask-request": 17,
    "address-mask-reply": 18,
}
ICMP6: Mapping[str, int] = {
    "destination-unreachable": 1,
    "packet-too-big": 2,
    "time-exceeded": 3,
    "parameter-problem": 4,
    "echo-request": 128,
    "echo-reply": 129,
    "mld-listener-query": 130,
    "mld-listener-report": 131,
    "mld-listener-done": 132,
    "mld-listener-reduction": 132,
    "nd-router-solicit": 133,
    "nd-router-advert": 134,
    "nd-neighbor-solicit": 135,
    "nd-neighbor-advert": 136,
    "nd-redirect": 137,
    "router-renumbering": 138,
    "ind-neighbor-solicit": 141,
    "ind-neighbor-advert": 142,
    "mld2-listener-report": 143,
}
FAMILIES: Mapping[str, int] = {"ipv4": TYPES["ip"], "ipv6": TYPES["ip6"]}
