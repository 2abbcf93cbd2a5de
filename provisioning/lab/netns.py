"""Switches and cables: a namespace for each switch with a bridge in it, one for each machine, and veth pairs between them.

No interface of the lab is ever in this machine's own namespace: each pair is made with both ends where they belong.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from appliance.runtime import command
from appliance.runtime.errors import Refused
from provisioning.lab.plan import Port
from provisioning.lab.state import State

BRIDGE = "switch"
NAMESPACES = Path("/run/netns")


def exists(namespace: str) -> bool:
    """Return whether this machine has a namespace of that name."""
    return (NAMESPACES / namespace).exists()


def make(state: State, namespace: str) -> None:
    """Make a namespace, with its loopback up, unless the lab has it already.

    Raises:
        Refused: a namespace of that name is there which this lab did not make.
    """
    if exists(namespace):
        if state.owns("namespace", namespace):
            return
        raise Refused(
            "not-ours", f"a network namespace '{namespace}' exists which this lab did not make; choose another --name"
        )
    state.intend("namespace", namespace)
    command.run(["ip", "netns", "add", namespace])
    command.run(["ip", "-n", namespace, "link", "set", "lo", "up"])


def remove(state: State, namespace: str) -> None:
    """Remove a namespace that the lab made; its cables go with it."""
    if exists(namespace):
        command.run(["ip", "netns", "del", namespace])
    state.forget("namespace", namespace)


def make_switch(state: State, namespace: str) -> None:
    """Make a switch: a bridge that has no address of any kind, so that nothing on the cables can speak to it."""
    make(state, namespace)
    if _has(namespace, BRIDGE):
        return
    inside(namespace, ["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"])
    command.run(["ip", "-n", namespace, "link", "add", BRIDGE, "up", "type", "bridge", "mcast_snooping", "0"])


def cable(switch: str, machine: str, machine_namespace: str, port: Port, *, plugged: bool) -> None:
    """Lay the cable of ``machine``'s port anew; the end at the switch is called after the machine."""
    _drop(switch, machine)  # the end of a cable whose machine lost its power
    pair = ["link", "add", "name", machine, "netns", switch, "type", "veth"]
    pair += ["peer", "name", port.name, "address", port.mac, "netns", machine_namespace]
    _batch(None, [pair])
    _batch(switch, [["link", "set", machine, "master", BRIDGE, "up" if plugged else "down"]])
    if port.given:
        lines = [["addr", "add", str(port.address), "dev", port.name], ["link", "set", port.name, "up"]]
        if port.default_route:
            lines.append(["route", "add", "default", "dev", port.name])
        _batch(machine_namespace, lines)


def plug(switch: str, machine: str, *, plugged: bool) -> None:
    """Put the cable into the switch, or pull it: the machine's port gains or loses its carrier, at once or when it is started."""
    if _has(switch, machine):
        command.run(["ip", "-n", switch, "link", "set", machine, "up" if plugged else "down"])


def inside(namespace: str, argv: Sequence[str], *, seconds: float = 60) -> str:
    """Run a program of this machine in a namespace and return what it printed."""
    return command.run([*entering(namespace), *argv], seconds=seconds)


def entering(namespace: str) -> list[str]:
    """Return the words before a command that run it in a namespace (``ip netns exec`` would also mount another /sys)."""
    return ["nsenter", f"--net={NAMESPACES / namespace}", "--"]


def _drop(namespace: str, interface: str) -> None:
    """Remove an interface; one that the kernel is just taking away itself, with the other end's namespace, is gone as well."""
    if not _has(namespace, interface):
        return
    try:
        command.run(["ip", "-n", namespace, "link", "del", interface])
    except command.CommandFailed:
        if _has(namespace, interface):
            raise


def _has(namespace: str, interface: str) -> bool:
    return (
        inside(
            namespace, ["sh", "-c", 'test -e "/proc/sys/net/ipv4/conf/$0" && echo yes || echo no', interface]
        ).strip()
        == "yes"
    )


def _batch(namespace: str | None, lines: Sequence[Sequence[str]]) -> None:
    where = ["-n", namespace] if namespace else []
    command.run(["ip", *where, "-batch", "-"], stdin="".join(" ".join(line) + "\n" for line in lines))
