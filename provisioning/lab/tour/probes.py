"""Hand-made packets from an attacker's machine: ``probes.py BOX FOREIGN,FOREIGN..`` prints a JSON line an answer, then how many were sent.

A program of its own (scapy is GPL-2.0), run by the attacker's Python. The first probe is the control: the delivery port must answer it, or
silence would prove nothing.
"""

from __future__ import annotations

import json
import sys

from scapy.all import ARP, ICMP, IP, TCP, UDP, Ether, ICMPv6EchoRequest, IPOption, IPv6, Packet, Raw, conf, srp1

PATIENCE = 0.5  # seconds for an answer on a wire that answers in well under a millisecond


def probes(box: str, foreign: list[str], wire: Packet) -> dict[str, Packet]:
    """Return the packets by name: at the box's own address, at its addresses in other zones, and malformed."""
    everybody = Ether(dst="ff:ff:ff:ff:ff:ff")
    source_route = IPOption(
        b"\x83\x07\x04" + bytes(int(part) for part in foreign[0].split("."))
    )  # RFC 791: loose source route
    made = {
        "control: SYN to the delivery port": wire / IP(dst=box) / TCP(dport=80, sport=40001, flags="S"),
        "ping the box": wire / IP(dst=box) / ICMP(),
        "SYN 22": wire / IP(dst=box) / TCP(dport=22, sport=40003, flags="S"),
        "ACK 80 out of the blue": wire / IP(dst=box) / TCP(dport=80, sport=40004, flags="A"),
        "UDP 161": wire / IP(dst=box) / UDP(dport=161, sport=40005) / Raw(b"x"),
        "first fragment": wire / IP(dst=box, flags="MF") / TCP(dport=80, sport=40006, flags="S"),
        "source route": wire / IP(dst=box, options=[source_route]) / TCP(dport=80, sport=40007, flags="S"),
        "spoofed source": wire / IP(src=foreign[0], dst=box) / TCP(dport=80, sport=40008, flags="S"),
        "IPv6 echo to all nodes": Ether(dst="33:33:00:00:00:01") / IPv6(dst="ff02::1") / ICMPv6EchoRequest(),
    }
    for other in foreign:
        made[f"ARP who-has {other}"] = everybody / ARP(pdst=other)
        made[f"ping {other}"] = wire / IP(dst=other) / ICMP()
        made[f"SYN 22 of {other}"] = wire / IP(dst=other) / TCP(dport=22, sport=40002, flags="S")
    return made


def main(box: str, foreign: list[str]) -> None:
    """Send every probe and print what was answered."""
    conf.verb = 0
    asked = srp1(Ether(dst="ff:ff:ff:ff:ff:ff") / ARP(pdst=box), timeout=2)
    made = probes(box, foreign, Ether(dst=asked.hwsrc if asked else "ff:ff:ff:ff:ff:ff"))
    for name, packet in made.items():
        answer = srp1(packet, timeout=PATIENCE)
        if answer is not None:
            print(json.dumps({"probe": name, "answer": answer.summary()}))  # noqa: T201 (the output)
    print(json.dumps({"sent": len(made)}))  # noqa: T201 (the output)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2].split(","))
