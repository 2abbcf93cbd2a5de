"""The lab's machines on this kernel: real boxes from the factory image, cables, power, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.runtime import command
from appliance.runtime.command import CommandFailed
from appliance.runtime.errors import Refused
from provisioning.lab import boxes, netns, plan
from provisioning.lab.lab import Lab
from provisioning.lab.plan import Plan
from provisioning.lab.progress import Progress
from provisioning.lab.state import State

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(600)]  # the first run builds the factory image


def small() -> Plan:
    """Two blank boxes that share nothing but management, and a screen's place beside one of them."""
    return Plan(
        plan.NETWORKS,
        (
            plan.machine("alpha", "factory", 11, ("culture", "bigscreen", "management")),
            plan.machine("beta", "factory", 12, ("culture", "smallscreen", "management")),
            plan.machine("screen", "factory", 50, ("bigscreen",)),
        ),
        plan.operator_port(),
    )


def lab_in(folder: Path, name: str) -> Lab:
    return Lab(name, of=small(), state=State(name, folder=folder))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    if os.geteuid():
        pytest.skip("boxes need root")
    made = lab_in(tmp_path_factory.mktemp("lab"), f"kt-{os.getpid()}")
    try:
        made.up_machines(Progress())
        yield made
    finally:
        made.down()


def until(condition: Callable[[], bool], what: str, *, seconds: float = 20) -> None:
    boxes.wait(condition, what, seconds=seconds)


def logs_in(lab: Lab, machine: str) -> bool:
    try:
        return lab.ssh(machine, ["true"]) == ""
    except CommandFailed:
        return False


def reaches(lab: Lab, machine: str, address: str) -> bool:
    """Whether a TCP connection to port 22 gets any answer, yes or no, within two seconds."""
    script = (
        "import socket,sys\ntry: socket.create_connection((sys.argv[1], 22), 2)\nexcept ConnectionRefusedError: pass\n"
    )
    try:
        lab.exec(machine, ["python3", "-c", script, address], seconds=10)
    except CommandFailed:
        return False
    return True


def left_of(name: str) -> dict[str, list[str]]:
    """Return what this machine still has of the lab called ``name``."""
    prefix = f"hg-{name}"
    processes = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"--machine={prefix}-".encode() in (entry / "cmdline").read_bytes():
                processes.append(entry.name)
        except OSError:
            continue
    cgroups = [str(path) for tree in ("", "systemd", "unified") for path in (boxes.CGROUPS / tree).glob(f"{prefix}-*")]
    return {
        "namespaces": [path.name for path in netns.NAMESPACES.glob(f"{prefix}-*")],
        "mounts": [
            line for line in Path("/proc/self/mounts").read_text().splitlines() if line.startswith(f"{prefix}-")
        ],
        "processes": processes,
        "cgroups": cgroups,
    }


NOTHING = {"namespaces": [], "mounts": [], "processes": [], "cgroups": []}


def test_a_box_is_blank_and_answers_its_operator_over_ssh(lab: Lab):
    """A new box has its management address, the operator's key, and nothing else of Headgate."""
    assert lab.ssh("alpha", ["uname", "-n"]).strip() == "alpha"
    assert lab.ssh("alpha", ["echo", "two words", "$HOME"]).strip() == "two words $HOME"
    addresses = json.loads(lab.exec("alpha", ["ip", "-j", "-4", "addr"]))
    assert {i["ifname"]: [a["local"] for a in i["addr_info"]] for i in addresses if i["addr_info"]} == {
        "lo": ["127.0.0.1"],
        "port2": ["10.40.0.11"],
    }
    ports = {i["ifname"]: i["address"] for i in json.loads(lab.exec("alpha", ["ip", "-j", "link"]))}
    assert ports["port1"] == "02:68:67:14:00:0b"
    assert lab.exec("alpha", ["sh", "-c", "ls -A /opt /etc/headgate 2>/dev/null || true"]) == "/opt:\n"


def test_each_box_has_its_own_identity(lab: Lab):
    """Machine id and host key come from the first boot, not from the image."""
    ids = {lab.exec(name, ["cat", "/etc/machine-id"]) for name in ("alpha", "beta")}
    keys = {lab.exec(name, ["cat", "/etc/ssh/ssh_host_ed25519_key.pub"]) for name in ("alpha", "beta")}

    assert len(ids) == len(keys) == 2


def test_the_operator_does_not_trust_another_host_key(lab: Lab):
    """Whoever answers in a box's place does not get the operator's commands."""
    with pytest.raises(CommandFailed, match="verification failed"):
        lab.as_operator(["ssh", "-F", str(lab.ssh_config), "-o", "HostKeyAlias=beta", "alpha", "--", "true"])


def test_a_password_is_not_asked_for(lab: Lab):
    """Root logs in by key only."""
    with pytest.raises(CommandFailed, match="publickey"):
        lab.as_operator(["ssh", "-F", str(lab.ssh_config), "-o", "PubkeyAuthentication=no", "alpha", "--", "true"])


def test_units_of_one_box_are_not_another_s(lab: Lab):
    """Each box's systemd sees its own processes only, and stopping a unit in one leaves the other's running."""
    before = lab.exec("beta", ["systemctl", "show", "-P", "MainPID", "ssh"])
    lab.exec("alpha", ["systemctl", "restart", "ssh"])

    assert lab.exec("beta", ["systemctl", "show", "-P", "MainPID", "ssh"]) == before
    assert lab.exec("beta", ["systemctl", "is-active", "ssh"]).strip() == "active"
    assert lab.ssh("beta", ["true"]) == ""


def test_switches_are_apart(lab: Lab):
    """From a screen's place nothing of another network answers, though it asks for everything on its cable."""
    assert not reaches(lab, "screen", "10.40.0.11")
    assert not reaches(lab, "screen", "10.40.0.2")
    lab.exec("alpha", ["sh", "-ec", "ip addr add 10.20.0.11/24 dev port1; ip link set port1 up"])

    try:
        until(lambda: reaches(lab, "screen", "10.20.0.11"), "the box to answer on the network that both are in")
        assert not reaches(lab, "screen", "10.20.0.2")
        assert not reaches(lab, "screen", "10.40.0.12")
    finally:
        lab.exec("alpha", ["sh", "-ec", "ip addr flush dev port1; ip link set port1 down"])


def test_a_pulled_cable_is_dead_until_it_is_put_back(lab: Lab):
    """The port loses its carrier, nothing passes, and both come back."""
    lab.unplug("beta", "management")
    until(lambda: "NO-CARRIER" in lab.exec("beta", ["ip", "link", "show", "port2"]), "the port to lose its carrier")
    with pytest.raises(CommandFailed):
        lab.as_operator(["ssh", "-F", str(lab.ssh_config), "-o", "ConnectTimeout=2", "beta", "--", "true"])
    assert {seen.machine: seen.unplugged for seen in lab.status()}["beta"] == ("management",)

    lab.plug("beta", "management")
    until(lambda: reaches(lab, "alpha", "10.40.0.12"), "beta to be reachable again")
    until(lambda: logs_in(lab, "beta"), "the operator, who just found no way there, to find it")


def test_a_pulled_cable_stays_out_over_a_power_cut(lab: Lab):
    """Power comes back, the cable does not by itself; one put back while the power is off works after the start."""
    lab.exec(
        "beta", ["sh", "-ec", "ip netns add zone; ip link set port1 netns zone"]
    )  # the kernel ends it with the box
    lab.unplug("beta", "smallscreen")
    lab.power_cut("beta")
    lab.start("beta")
    lab.exec("beta", ["ip", "link", "set", "port1", "up"])
    until(lambda: "NO-CARRIER" in lab.exec("beta", ["ip", "link", "show", "port1"]), "the port to be without a carrier")

    lab.power_cut("beta")
    lab.plug("beta", "smallscreen")
    lab.start("beta")
    lab.exec("beta", ["ip", "link", "set", "port1", "up"])
    until(lambda: "state UP" in lab.exec("beta", ["ip", "link", "show", "port1"]), "the port to have a carrier")
    lab.exec("beta", ["ip", "link", "set", "port1", "down"])


def test_a_power_cut_keeps_the_disk_and_loses_the_memory(lab: Lab):
    """After a cut the same box comes back: its files, its identity, its address, without what only the kernel held."""
    identity = lab.exec("beta", ["cat", "/etc/machine-id"])
    lab.exec(
        "beta",
        [
            "sh",
            "-ec",
            "echo kept >/var/lib/kept; sync; echo lost >/run/lost; ip netns add zone; ip link set port0 netns zone",
        ],
    )

    lab.power_cut("beta")
    assert {seen.machine: seen.state for seen in lab.status()}["beta"] == "off"
    with pytest.raises(Refused, match="not running"):
        lab.exec("beta", ["true"])
    lab.start("beta")

    assert lab.exec("beta", ["cat", "/var/lib/kept", "/etc/machine-id"]) == f"kept\n{identity}"
    assert lab.exec("beta", ["sh", "-c", "ls /run/lost /run/netns/zone 2>/dev/null || true"]) == ""
    assert len(json.loads(lab.exec("beta", ["ip", "-j", "link"]))) == 4  # port0 came back with its cable
    until(lambda: reaches(lab, "alpha", "10.40.0.12"), "beta to be reachable again")
    assert lab.ssh("beta", ["true"]) == ""


def test_a_box_keeps_the_image_that_it_was_made_of(lab: Lab):
    """A newer image in the cache does not slip below what a box wrote; without its own image it is not started."""
    made_of = lab.box("screen").folder / "image"
    before = made_of.read_text()
    lab.power_off("screen")
    try:
        command.run(["umount", str(lab.box("screen").root)])
        made_of.write_text(f"{before}-of-another-day")
        with pytest.raises(Refused, match="image that 'screen' was made of is gone"):
            lab.start("screen")
    finally:
        made_of.write_text(before)
        lab.start("screen")
    assert lab.exec("screen", ["hostname"]).strip() == "screen"


def test_a_box_shuts_down_in_order(lab: Lab):
    """A unit's ExecStop runs at power_off."""
    lab.exec("alpha", ["systemd-run", "--unit=witness", "-p", "ExecStop=touch /var/lib/ended", "sleep", "1000"])

    lab.power_off("alpha")
    assert (lab.box("alpha").root / "var/lib/ended").exists()
    lab.start("alpha")

    assert lab.exec("alpha", ["ls", "/var/lib/ended"]).strip() == "/var/lib/ended"


def test_a_command_that_hangs_is_ended_inside_too(lab: Lab):
    """exec gives up after its time and leaves no process in the machine."""
    with pytest.raises(CommandFailed):
        lab.exec("screen", ["sleep", "4242"], seconds=1)

    until(lambda: "4242" not in lab.exec("screen", ["ps", "-eo", "args"]), "the command to be gone")


def test_up_again_changes_nothing(lab: Lab):
    """A second up finds each machine running and keeps it."""
    leaders = [boxes.leader(lab.box(m.name).root) for m in lab.plan.machines]

    lab.up_machines(Progress())

    assert [boxes.leader(lab.box(m.name).root) for m in lab.plan.machines] == leaders


def test_a_second_lab_works_beside_the_first(lab: Lab, tmp_path: Path):
    """Same addresses, other name: neither hears of the other, and taking one down leaves the other up."""
    name = f"ku-{os.getpid()}"
    second = lab_in(tmp_path, name)
    try:
        second.up_machines(Progress())
        assert second.exec("alpha", ["cat", "/etc/machine-id"]) != lab.exec("alpha", ["cat", "/etc/machine-id"])
    finally:
        second.down()

    assert left_of(name) == NOTHING
    assert lab.ssh("alpha", ["uname", "-n"]).strip() == "alpha"


def test_a_lab_of_the_same_name_elsewhere_is_refused(lab: Lab, tmp_path: Path):
    """Names of namespaces are the machine's, so a second folder may not use them."""
    with pytest.raises(Refused, match="choose another --name"):
        lab_in(tmp_path, lab.state.name).up_machines(Progress())


def test_what_the_lab_did_not_make_is_left_alone(tmp_path: Path):
    """A namespace that was there before stops the lab, and survives its down."""
    name = f"kv-{os.getpid()}"
    foreign = f"hg-{name}-alpha"
    command.run(["ip", "netns", "add", foreign])
    try:
        lab = lab_in(tmp_path, name)
        with pytest.raises(Refused, match="did not make"):
            lab.up_machines(Progress())
        lab.down()
        assert left_of(name) == {**NOTHING, "namespaces": [foreign]}
    finally:
        command.run(["ip", "netns", "del", foreign])


def test_down_leaves_nothing(tmp_path: Path):
    """After down there is no namespace, mount, process, cgroup or folder of the lab, and a second down finds nothing to do."""
    name = f"kw-{os.getpid()}"
    lab = lab_in(tmp_path, name)
    lab.up_machines(Progress())
    assert lab.down()

    assert left_of(name) == NOTHING
    assert not lab.folder.exists()
    assert lab.down() == []


RAISE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_lab_machines import lab_in
from provisioning.lab.progress import Progress
lab_in(Path(sys.argv[1]), sys.argv[2]).up_machines(Progress())
"""


@pytest.mark.parametrize("made", [1, 6, 9, 12, 14, 19])
def test_down_clears_what_a_killed_up_left(tmp_path: Path, made: int):
    """Kill -9 of `lab up` after it began its n-th thing: down removes all of it."""
    name = f"kx-{os.getpid()}"
    lab = lab_in(tmp_path, name)
    argv = [sys.executable, "-c", RAISE, str(tmp_path), name, str(Path(__file__).parent)]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL) as up:
        deadline = time.monotonic() + 60
        while len(lab.state.read().made) < made and time.monotonic() < deadline:
            pass  # as close behind as one can be
        up.send_signal(signal.SIGKILL)
    assert len(lab.state.read().made) >= made

    assert lab.down()

    until(lambda: left_of(name) == NOTHING, "everything of the killed lab to be gone", seconds=5)
    assert not lab.folder.exists()
