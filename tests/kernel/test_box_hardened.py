"""A real box with the gateway role's own files: it comes up whole, and what the files close is closed to whoever is on it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioning.lab import plan
from provisioning.lab.lab import Lab
from provisioning.lab.plan import Plan
from provisioning.lab.progress import Progress
from provisioning.lab.state import State

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(600)]  # the first run builds the factory image
ROOT = Path(__file__).parents[2]
SYSTEM = ROOT / "playbooks/roles/gateway/files/system"
MEASURE = """
import json, sys
sys.path.insert(0, "/srv")
from gateway.isolation import host
print(json.dumps({m.name: [m.ok, m.found] for m in host.measures()}))
"""
PROBE = """
import ctypes, json, os, platform, socket
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    return ctypes.get_errno() if libc.syscall(number, *arguments) < 0 else 0
def opens(family):
    try:
        socket.socket(family, socket.SOCK_STREAM).close()
    except OSError as error:
        return error.errno
    return 0
bpf = 321 if platform.machine() == "x86_64" else 280
room = ctypes.create_string_buffer(128)
print(json.dumps({
    "bpf": call(bpf, 12, room, 128),  # BPF_MAP_GET_NEXT_ID: ENOENT (2) where there is none
    "io_uring": call(425, 1, room),
    "pidfd_getfd": call(438, 9999, 0, 0),  # EBADF (9) where it may be asked
    "readv": call(310, os.getpid(), room, 0, room, 0, 0),
    "vsock": opens(40),
    "unix": opens(1),
}))
"""
EPERM, EBADF, EAFNOSUPPORT = 1, 9, 97
# The guard's own unit, of which only the program is another one.
AS_GUARD = """
[Service]
Type=oneshot
Restart=no
ExecStartPre=
ExecStart=
ExecStart=/usr/bin/python3 /srv/probe.py
StandardOutput=file:/srv/guard.json
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    if os.geteuid():
        pytest.skip("boxes need root")
    machine = plan.machine("alpha", "factory", 11, ("culture", "management"))
    name = f"kh-{os.getpid()}"
    state = State(name, folder=tmp_path_factory.mktemp("lab"))
    made = Lab(name, of=Plan(plan.NETWORKS, (machine,), plan.operator_port()), state=state)
    try:
        made.up_machines(Progress())
        root = made.box("alpha").root
        shutil.copytree(SYSTEM, root, dirs_exist_ok=True)
        (root / "srv/probe.py").write_text(PROBE)
        for package in ("appliance", "gateway"):
            shutil.copytree(ROOT / package, root / "srv" / package, ignore=shutil.ignore_patterns("__pycache__"))
        extra = root / "etc/systemd/system/headgate-guard.service.d/99-probe.conf"
        extra.write_text(AS_GUARD)
        made.power_off("alpha")
        made.start("alpha")
        yield made
    finally:
        made.down()


def test_every_service_comes_up(lab: Lab):
    """Under the filters that hold for all services, each of the box's own starts, and its operator gets in."""
    assert lab.ssh("alpha", ["systemctl", "is-system-running", "--wait"]).strip() == "running"
    assert lab.ssh("alpha", ["systemctl", "--failed", "--plain", "--no-legend"]) == ""


def test_who_logs_in_reaches_neither_bpf_nor_the_hypervisor(lab: Lab):
    """Root's own shell on the box may not load BPF programs, use io_uring, or open a socket that no zone holds back."""
    told = json.loads(lab.ssh("alpha", ["python3", "/srv/probe.py"]))

    assert {name: told[name] for name in ("bpf", "io_uring", "vsock", "unix")} == {
        "bpf": EPERM, "io_uring": EPERM, "vsock": EAFNOSUPPORT, "unix": 0
    }  # fmt: skip


def test_the_guard_sees_and_no_more(lab: Lab):
    """The guard's own unit lists BPF and asks for others' sockets; the rest is closed to it as well."""
    lab.ssh("alpha", ["systemctl", "start", "headgate-guard"])
    told = json.loads(lab.ssh("alpha", ["cat", "/srv/guard.json"]))

    assert told["bpf"] in (0, 2)
    assert (told["pidfd_getfd"], told["io_uring"], told["readv"], told["vsock"]) == (EBADF, EPERM, EPERM, EAFNOSUPPORT)


def test_settings_that_a_box_may_not_set_stop_nothing(lab: Lab):
    """Where the kernel is not the box's own, its settings are as they are, and setting the others still succeeds, twice."""
    for _ in range(2):
        lab.ssh("alpha", ["/usr/lib/systemd/systemd-sysctl", "90-headgate.conf"])
    assert lab.ssh("alpha", ["systemctl", "is-active", "systemd-sysctl"]).strip() == "active"
    assert lab.ssh("alpha", ["cat", "/proc/sys/net/ipv4/ip_forward"]).strip() == "0"


def test_the_box_tells_what_it_is(lab: Lab):
    """After its boot no process but systemd may load BPF unfiltered; what is its machine's is told as found, and not as the box's."""
    told = json.loads(lab.ssh("alpha", ["python3", "-c", MEASURE]))

    assert told["bpf-root"] == [True, "all others are filtered"]
    assert told["own-kernel"] == [False, "container: systemd-nspawn"]
    assert told["io-uring"][1] == Path("/proc/sys/kernel/io_uring_disabled").read_text().strip()
    assert told["daemons-confined"] == [False, "none of ours runs here"]
