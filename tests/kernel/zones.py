"""Zones in namespaces of their own with a port each, as the guard leaves them; nothing of the guard is needed to scan them."""

from __future__ import annotations

import itertools
import os

from appliance.runtime import command
from gateway.isolation import netns
from gateway.isolation import policy as policies
from gateway.isolation.question import ZONES

POLICY = """\
site: scratch
zones:
  management: {port: "02:68:67:28:00:0b", addresses: [10.40.0.11/24]}
  culture:    {port: "02:68:67:0a:00:0b", addresses: [10.10.0.11/24]}
  bigscreen:  {port: "02:68:67:14:00:0b", addresses: [10.20.0.11/24]}
services:
  delivery:  {zone: bigscreen,  run: delivery,  listen: tcp/80,   from: [10.20.0.0/24]}
never:
  - {from: bigscreen, to: management}
"""
_numbers = itertools.count(1)


class Site:
    """The namespaces of one box, under a prefix of its own: home, zones, and a host on each zone's cable."""

    def __init__(self) -> None:
        self.prefix = f"br{os.getpid()}-{next(_numbers)}-"
        self.policy = policies.parse(POLICY.encode(), "scratch.yaml")

    def name(self, zone: str) -> str:
        return self.prefix + (zone or "home")

    def zones(self) -> list[str]:
        there = set(netns.names())
        return [zone for zone in ZONES if self.prefix + zone in there]

    def make(self) -> None:
        netns.make(self.name(""))
        for zone, section in self.policy.zones.items():
            host = self.name(zone) + "-host"
            netns.make(host)
            self.make_zone(zone)
            command.run(["ip", "-n", self.name(zone), "link", "add", "port0", "address", section.port.mac,
                         "type", "veth", "peer", "wire", "netns", host])  # fmt: skip
            command.run(["ip", "-n", self.name(zone), "link", "set", "port0", "up"])
            command.run(["ip", "-n", host, "link", "set", "wire", "up"])

    def make_zone(self, zone: str) -> None:
        netns.make(self.name(zone))
        command.run(["ip", "-n", self.name(zone), "link", "set", "lo", "up"])

    def remove(self) -> None:
        for name in netns.names():
            if name.startswith(self.prefix):
                netns.remove(name)
