"""What was denied, in figures and samples: "n denied, m recorded", always true, in bounded memory. Pure.

The kernel's counters tell n, the samples that came (``nflog.py``) tell m and what the packets were. ``sampler.py`` brings both here.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from gateway.isolation.nflog import Sample

MARK = "hg "  # our rules' log prefixes are "hg REASON"
FOREIGN = "foreign"  # a sample of a rule that is not ours
OTHER = "other"  # reasons beyond the bound
MOST_REASONS = 256  # of one zone
MOST_FLOWS = 200  # of one zone in one interval; what is beyond is counted in left_out
LONGEST_REASON = 64
IP4, ARP, IP6 = 0x0800, 0x0806, 0x86DD
PROTOCOLS = {1: "icmp", 2: "igmp", 4: "ipip", 6: "tcp", 17: "udp", 33: "dccp", 41: "ipv6", 47: "gre", 50: "esp", 51: "ah",
             58: "icmpv6", 115: "l2tp", 132: "sctp", 136: "udplite"}  # fmt: skip
WITH_PORTS = {6, 17, 33, 132, 136}
EXTENSIONS = {0, 43, 60}  # hop-by-hop, routing, destination options: next header and length in 8 bytes
FRAGMENT = 44
MOST_EXTENSIONS = 8


@dataclass(frozen=True)
class Flow:
    """Who asked what: ``dport`` is None where the protocol has none or the packet does not say."""

    proto: str
    src: str = ""
    dst: str = ""
    dport: int | None = None
    mac: str = ""


@dataclass
class Row:
    """One reason in one zone since the last row: ``recorded`` of ``denied`` packets were seen, the flows among them in ``samples``."""

    zone: str
    reason: str
    denied: int
    recorded: int
    at_least: bool = False  # the counter began anew or could not be read: there were so many, maybe more
    whole: bool = False  # all that the counter had when it was first read: of it a guard before us may have told a part
    earlier: int = 0  # of the recorded, denied before the last row was made: samples come a few milliseconds late
    lost: int = 0  # samples that were made and did not reach us; which reason they had, nobody knows (reason: empty)
    left_out: int = 0  # recorded, but of more flows than a row names
    samples: list[dict[str, Any]] = field(default_factory=list)


def flow(sample: Sample) -> Flow:
    """Return what a sample's packet asked for, as far as its first bytes tell."""
    data, mac = sample.payload, sample.mac
    if sample.protocol == IP4 and len(data) >= 20 and data[0] >> 4 == 4:
        later = struct.unpack_from(">H", data, 6)[0] & 0x1FFF  # a later fragment has no ports
        start = (data[0] & 15) * 4
        src, dst = (str(ipaddress.IPv4Address(data[at : at + 4])) for at in (12, 16))
        return Flow(_name(data[9]), src, dst, None if later else _port(data[9], data[start:]), mac)
    if sample.protocol == IP6 and len(data) >= 40 and data[0] >> 4 == 6:
        src, dst = (str(ipaddress.IPv6Address(data[at : at + 16])) for at in (8, 24))
        number, rest = _beyond(data[6], data[40:])
        return Flow(_name(number), src, dst, _port(number, rest), mac)
    if sample.protocol == ARP and len(data) >= 28:
        src, dst = (str(ipaddress.IPv4Address(data[at : at + 4])) for at in (14, 24))
        return Flow("arp", src, dst, None, mac)
    return Flow(f"ether 0x{sample.protocol:04x}", mac=mac)


def reason(prefix: str) -> str:
    """Return the reason that a rule's log prefix carries."""
    if not prefix.startswith(MARK):
        return FOREIGN
    return prefix[len(MARK) :].strip()[:LONGEST_REASON] or FOREIGN


def _name(number: int) -> str:
    return PROTOCOLS.get(number, f"proto {number}")


def _port(number: int, data: bytes) -> int | None:
    return struct.unpack_from(">H", data, 2)[0] if number in WITH_PORTS and len(data) >= 4 else None


def _beyond(number: int, data: bytes) -> tuple[int, bytes]:
    """Return the protocol behind IPv6's extension headers, and what begins there (nothing for a later fragment)."""
    for _ in range(MOST_EXTENSIONS):
        if number in EXTENSIONS and len(data) >= 8:
            number, data = data[0], data[8 + data[1] * 8 :]
        elif number == FRAGMENT and len(data) >= 8:
            later = struct.unpack_from(">H", data, 2)[0] >> 3
            number, data = data[0], b"" if later else data[8:]
        else:
            break
    return number, data


@dataclass
class Total:
    """Packets of one zone and reason since this process runs; ``recorded`` is never more than ``denied``."""

    denied: int = 0
    recorded: int = 0
    counter: int | None = None  # the kernel's, when it was read last


@dataclass
class Interval:
    """What was sampled in one zone between two cuts."""

    recorded: dict[str, int] = field(default_factory=dict)
    flows: dict[tuple[str, Flow], int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    lost: int = 0


class Tally:
    """Samples and counters of all zones, joined."""

    def __init__(self) -> None:
        self.totals: dict[tuple[str, str], Total] = {}
        self._now: dict[str, Interval] = {}
        self._reasons: dict[str, set[str]] = {}

    def see(self, zone: str, sample: Sample) -> None:
        """Take a sample in."""
        now = self._now.setdefault(zone, Interval())
        why = self._known(zone, reason(sample.prefix))
        now.recorded[why] = now.recorded.get(why, 0) + 1
        key = (why, flow(sample))
        if key in now.flows or len(now.flows) < MOST_FLOWS:
            now.flows[key] = now.flows.get(key, 0) + 1
        else:
            now.left_out[why] = now.left_out.get(why, 0) + 1

    def lose(self, zone: str, packets: int) -> None:
        """Note samples that the kernel made and could not deliver."""
        self._now.setdefault(zone, Interval()).lost += packets

    def cut(self) -> dict[str, Interval]:
        """Return what was sampled since the last cut, and begin anew. Read the counters after it, for ``join``."""
        taken, self._now = self._now, {}
        return taken

    def join(self, sampled: Mapping[str, Interval], counted: Mapping[str, Mapping[str, int] | None]) -> list[Row]:
        """Return a row for each zone and reason where something happened; ``counted``: the kernel's counters, None where unread."""
        rows = []
        for zone in sorted({*sampled, *counted}):
            now, counters = sampled.get(zone, Interval()), self._folded(zone, counted.get(zone) or {})
            for why in sorted({*now.recorded, *counters}):
                row = self._row(zone, why, now, counters.get(why))
                if row.denied or row.recorded:
                    rows.append(row)
            if now.lost:
                rows.append(Row(zone, "", 0, 0, lost=now.lost))
        return rows

    def _known(self, zone: str, why: str) -> str:
        reasons = self._reasons.setdefault(zone, set())
        if why not in reasons and len(reasons) >= MOST_REASONS:
            return OTHER
        reasons.add(why)
        return why

    def _folded(self, zone: str, counters: Mapping[str, int]) -> dict[str, int]:
        folded: dict[str, int] = {}
        for why in sorted(counters):
            known = self._known(zone, why)
            folded[known] = folded.get(known, 0) + counters[why]
        return folded

    def _row(self, zone: str, why: str, now: Interval, counter: int | None) -> Row:
        total, recorded = self.totals.setdefault((zone, why), Total()), now.recorded.get(why, 0)
        first, anew = total.counter is None, counter is None or counter < (total.counter or 0)
        denied = 0 if counter is None else counter if anew else counter - (total.counter or 0)
        total.counter = total.counter if counter is None else counter
        total.recorded += recorded
        total.denied += denied
        if total.denied < total.recorded:  # what was recorded was denied: its counter went away before it was read
            anew = True
            denied += total.recorded - total.denied
            total.denied = total.recorded
        return Row(
            zone,
            why,
            denied,
            recorded,
            at_least=anew,
            whole=first and counter is not None,
            earlier=max(0, recorded - denied),
            left_out=now.left_out.get(why, 0),
            samples=[_told(of, packets) for (of_reason, of), packets in now.flows.items() if of_reason == why],
        )


def _told(of: Flow, packets: int) -> dict[str, Any]:
    return {name: value for name, value in asdict(of).items() if value not in ("", None)} | {"packets": packets}
