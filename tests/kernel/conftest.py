"""Scratch sites in namespaces of their own: zones, a home where their ports begin, and a host on each zone's wire."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.runtime import command
from gateway.isolation import netns
from gateway.isolation import policy as policies
from gateway.isolation.kernel import Kernel
from gateway.isolation.policy import Policy

_numbers = itertools.count(1)

POLICY = """\
site: scratch
zones:
  management: {port: "02:68:67:28:00:0b", addresses: [10.40.0.11/24]}
  culture:    {port: "02:68:67:0a:00:0b", addresses: [10.10.0.11/24], routes: [{to: 10.11.0.0/16, via: 10.10.0.1}]}
  bigscreen:
    port: "02:68:67:14:00:0b"
    addresses: [10.20.0.11/24, "fd20::11/64"]
    neighbours: {10.20.0.1: "02:aa:00:00:00:14", "fd20::1": "02:aa:00:00:00:14"}
groups:
  televisions: [10.20.0.70, 10.20.0.72, 10.20.0.80/30, "fd20::70"]
services:
  delivery:  {zone: bigscreen,  run: delivery,  listen: tcp/80,   from: [10.20.0.0/24, "fd20::/64"]}
  resolver:  {zone: bigscreen,  run: resolver,  listen: tcp/8080, from: [10.20.0.48/30, 10.20.0.60]}
  time:      {zone: bigscreen,  run: chrony,    listen: udp/123,  from: [10.20.0.0/24]}
  films:     {zone: bigscreen,  run: nginx,     listen: tcp/8443, from: ["@televisions", 10.20.0.7], log: true}
  ssh:       {zone: management, run: ssh,       listen: tcp/22,   from: [10.40.0.0/24]}
  far:       {zone: culture,    run: nginx,     listen: tcp/443,  from: [10.11.4.0/22]}
reach:
  origin:    {zone: culture,    run: fetch,     to: [10.10.0.20], port: tcp/80}
  names:     {zone: management, run: dns,       to: [10.40.0.16/28], port: udp/53}
never:
  - {from: bigscreen, to: management}
"""


class ScratchSite:
    """A box's home namespace with a port for each zone, and a host's namespace at the other end of each."""

    def __init__(self, text: str) -> None:
        self.prefix = f"iso{os.getpid()}-{next(_numbers)}-"
        self.policy: Policy = policies.parse(text.encode(), "scratch.yaml")
        self.kernel = Kernel(self.prefix, self.prefix + "home")

    def host(self, zone: str) -> str:
        """Return the namespace of the host on a zone's wire."""
        return f"{self.prefix}{zone}-host"

    def make(self) -> None:
        """Make home, hosts and wires."""
        netns.make(self.kernel.home)
        for zone, section in self.policy.zones.items():
            host = self.host(zone)
            netns.make(host)
            ip = ["ip", "-n", self.kernel.home]
            command.run(
                [
                    *ip,
                    "link",
                    "add",
                    f"{zone}0",
                    "address",
                    section.port.mac,
                    "type",
                    "veth",
                    "peer",
                    "wire",
                    "netns",
                    host,
                ]
            )
            command.run(["ip", "netns", "exec", host, "sysctl", "-qw", "net.ipv6.conf.wire.accept_dad=0"])
            command.run(["ip", "-n", host, "link", "set", "wire", "up"])

    def give(self, zone: str, *addresses: str) -> None:
        """Give the host on a zone's wire addresses."""
        for address in addresses:
            nodad = ["nodad"] if ":" in address else []
            command.run(["ip", "-n", self.host(zone), "address", "add", address, "dev", "wire", *nodad])

    def remove(self) -> None:
        """Remove every namespace of this site."""
        self.kernel.close()
        for name in netns.names():
            if name.startswith(self.prefix):
                netns.remove(name)


@pytest.fixture
def scratch() -> Iterator[Callable[[str], ScratchSite]]:
    """Make scratch sites from policies and remove them after the test."""
    made: list[ScratchSite] = []

    def make(text: str = POLICY) -> ScratchSite:
        site = ScratchSite(text)
        made.append(site)
        site.make()
        return site

    yield make
    for site in made:
        site.remove()


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    """Return the path of the scratch policy in a file."""
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    return path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip loudly where the kernel cannot be asked: these tests need root."""
    if os.geteuid() != 0:
        for item in items:
            if "kernel" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="needs root: makes network namespaces"))
