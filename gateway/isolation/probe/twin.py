"""The box's twin: the same policy applied to namespaces of its own, with a raw wire in place of each zone's network."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from appliance.runtime import command
from gateway.isolation import netns
from gateway.isolation.kernel import Kernel
from gateway.isolation.netns import KernelFailed
from gateway.isolation.policy import Policy
from gateway.isolation.probe import alive, traces, wires
from gateway.isolation.probe.bench import Bench
from gateway.isolation.probe.scene import Scene, Side
from gateway.isolation.probe.wires import Ear
from gateway.isolation.reconcile import reconcile
from gateway.isolation.topology import PORT, topology_of
from gateway.isolation.words import Port

ROUNDS = 5  # of bringing the twin to what is wanted; two are needed
LONGEST_FRAME = 9000  # bytes: the wires let large frames pass, so that it is the box that refuses them
# Errors are not held back, neither for each host nor for all together, so that none is missed.
TALKATIVE = {"net/ipv4/icmp_ratemask": "0", "net/ipv6/icmp/ratelimit": "0", "net/ipv6/icmp/ratemask": "\n"}


def ip(namespace: str, *lines: str) -> None:
    """Give ``ip`` its commands, a line each, in a namespace."""
    command.run(["ip", "-n", namespace, "-batch", "-"], stdin="".join(line + "\n" for line in lines))


def settings(namespace: str, values: dict[str, str]) -> None:
    """Write settings below /proc/sys in a namespace; those that this kernel does not have are left out."""

    def write() -> None:
        for key, value in values.items():
            path = Path("/proc/sys") / key
            if path.exists():
                path.write_text(value)

    netns.inside(namespace, write)


def yard(stack: ExitStack, prefix: str) -> str:
    """Make the namespace of the attackers' ends, which has no addresses and says nothing by itself."""
    name = f"{prefix}yard"
    netns.make(name)
    stack.callback(netns.remove, name)
    settings(name, {f"net/ipv6/conf/{which}/disable_ipv6": "1" for which in ("all", "default")})
    return name


def wire(number: int) -> str:
    """Return the name of the attacker's end of a zone's wire."""
    return f"w{number}"


def known_host(side: Side, port: str) -> list[str]:
    """Return the commands by which the box knows the zone's host without asking: nobody in the yard answers ARP."""
    ends = ([side.host4] if side.has4 else []) + ([side.host6] if side.has6 else [])
    return [f"neighbour replace {end} lladdr {side.host_mac} dev {port} nud permanent" for end in ends]


def build(policy: Policy, scene: Scene, stack: ExitStack, prefix: str = "twin-") -> tuple[Bench, Kernel]:
    """Return the twin of ``policy`` with its wires; ``stack`` removes it.

    Raises:
        KernelFailed: the kernel refused, or the twin does not become what the policy says.
        Deaf: the twin does not come up.
    """
    home, outside = f"{prefix}home", yard(stack, prefix)
    netns.make(home)
    stack.callback(netns.remove, home)
    ip(outside, *(
        f"link add {wire(n)} mtu {LONGEST_FRAME} type veth peer name up{n} address {side.mac} mtu {LONGEST_FRAME} netns {home}"
        for n, side in enumerate(scene.sides)
    ), *(f"link set {wire(n)} up" for n, _ in enumerate(scene.sides)))  # fmt: skip
    kernel = Kernel(
        prefix, home, own=False
    )  # what is nobody's can be opened, which is how a test shows that the probes see
    stack.callback(kernel.close)
    _apply(_by_mac(policy, scene), kernel, stack)
    for side in scene.sides:
        space = kernel.name(side.zone)
        settings(space, TALKATIVE)
        ip(space, *known_host(side, PORT))
    places = {side.zone: (kernel.name(side.zone), PORT) for side in scene.sides}
    bench = bench_of(scene, stack, outside, places)
    alive.await_box(bench, scene.sides)
    return bench, kernel


def _by_mac(policy: Policy, scene: Scene) -> Policy:
    """Return the policy with ports known by MAC alone: the twin's have no PCI address."""
    zones = {name: zone.model_copy(update={"port": Port(scene.side(name).mac)}) for name, zone in policy.zones.items()}
    return policy.model_copy(update={"zones": zones})


def _apply(policy: Policy, kernel: Kernel, stack: ExitStack) -> None:
    wanted = topology_of(policy)
    stack.callback(_remove, kernel)
    left: list[Any] = []
    for _ in range(ROUNDS):
        left = list(reconcile(wanted, kernel.observe(wanted)))
        if not left:
            return
        for action in left:
            kernel.act(action)
    raise KernelFailed(f"the box's twin does not become what the policy says; left: {'; '.join(map(str, left))}")


def _remove(kernel: Kernel) -> None:
    for zone in kernel.zones():
        netns.remove(kernel.name(zone))


def bench_of(scene: Scene, stack: ExitStack, outside: str, places: dict[str, tuple[str, str]]) -> Bench:
    """Return the bench of ``places`` (zone -> namespace and port of the box's end), whose other ends are in ``outside``."""
    ends: dict[str, socket.socket] = {}
    ears: list[Ear] = []
    ports: dict[str, socket.socket] = {}
    states: dict[str, Callable[[list[str]], str]] = {}
    counters: dict[str, Callable[[], int]] = {}
    within: dict[str, Callable[[bytes], str]] = {}
    shared = len({space for space, _ in places.values()}) < len(places)
    for number, side in enumerate(scene.sides):
        space, port = places[side.zone]
        ends[side.zone] = _opened(stack, outside, wire(number))
        ears.append(Ear(side.zone, ends[side.zone], outside=True))
        ports[side.zone] = _opened(stack, space, port)
        if not shared:
            ears.append(Ear(side.zone, _opened(stack, space, ""), outside=False))
        if not shared or number == 0:
            options = netns.inside(space, traces.Options)
            stack.callback(options.close)
            states[side.zone if not shared else "box"] = partial(_state, space, options)
        counters[side.zone] = partial(netns.inside, space, traces.reassemblies)
        within[side.zone] = partial(_from_within, space)
    return Bench(scene.nonce, ends, ears, ports, states, counters, within)


def _opened(stack: ExitStack, space: str, interface: str) -> socket.socket:
    opened = netns.inside(space, partial(wires.open_wire, interface))
    stack.callback(opened.close)
    return opened


def _state(space: str, options: traces.Options, addresses: list[str]) -> str:
    return netns.inside(space, partial(traces.state, options, addresses))


def _from_within(space: str, packet: bytes) -> str:
    return netns.inside(space, partial(wires.send_from_within, packet))
