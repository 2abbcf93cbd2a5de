"""What is found: read from files as kernels lay them out, and from this very kernel."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from gateway.isolation import host
from gateway.isolation.host.facts import Facts
from gateway.isolation.host.look import look

STATUS = """\
Name:\tpython3
Uid:\t{user}\t{user}\t{user}\t{user}
VmSize:\t 1 kB
CapEff:\t{caps:016x}
NoNewPrivs:\t1
Seccomp:\t2
Seccomp_filters:\t{seccomp}
"""
HIDDEN = "90 80 0:30 / /proc ro,nosuid - proc proc rw,hidepid=invisible,subset=pid\n"


class Machine:
    """A machine's files."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str, text: str | bytes) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)

    def process(
        self, pid: int, command: str = "", *, user: int = 0, caps: int = 0, seccomp: int = 2, mounts: str = ""
    ) -> None:
        self.write(f"proc/{pid}/status", STATUS.format(user=user, caps=caps, seccomp=seccomp))
        self.write(f"proc/{pid}/cmdline", command.replace(" ", "\0") + "\0")
        self.write(f"proc/{pid}/mountinfo", mounts)
        (self.root / f"proc/{pid}/ns").mkdir()
        (self.root / f"proc/{pid}/ns/net").symlink_to("net:[4026531840]")

    def look(self, **ports: str) -> Facts:
        return look(*(self.root / name for name in ("proc", "sys", "etc", "boot")), ports)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_an_empty_machine_is_not_known(machine: Machine):
    """Where no file is there nothing is made up."""
    facts = machine.look(culture="0000:03:00.0")

    assert set(facts.settings.values()) == {None}
    assert (facts.kinds, facts.processes, facts.leaks, facts.secure_boot, facts.container) == ({}, (), None, None, None)
    assert facts.ports == {"culture": ()}
    assert facts.bpf  # unless the kernel's configuration says otherwise


def test_settings_are_read(machine: Machine):
    """A sysctl's file is its name with slashes."""
    machine.write("proc/sys/kernel/io_uring_disabled", "2\n")
    machine.write("proc/sys/net/ipv6/conf/all/forwarding", "1\n")

    settings = machine.look().settings
    assert (settings["kernel.io_uring_disabled"], settings["net.ipv6.conf.all.forwarding"]) == ("2", "1")


@pytest.mark.parametrize("packed", [True, False])
def test_the_kernels_configuration_is_read(machine: Machine, packed: bool):
    """From the kernel itself, or from the file of its own release."""
    config = b"CONFIG_VXLAN=y\nCONFIG_NET_IPIP=m\n# CONFIG_GENEVE is not set\n"
    machine.write("proc/sys/kernel/osrelease", "6.1.0-18-amd64\n")
    machine.write("boot/config-6.1.0-17-amd64", "CONFIG_GENEVE=y\n")
    machine.write("proc/config.gz", gzip.compress(config)) if packed else machine.write(
        "boot/config-6.1.0-18-amd64", config
    )
    facts = machine.look()

    assert [facts.kinds[name] for name in ("vxlan", "ipip", "geneve")] == ["built in", "module", "absent"]
    assert not facts.bpf


def test_modules_are_read(machine: Machine):
    """What is loaded, and what modprobe refuses whatever asks: `blacklist` alone does not."""
    machine.write("proc/modules", "vxlan 122880 0 - Live 0x0\nnf_tables 300 1 - Live 0x0\n")
    machine.write(
        "etc/modprobe.d/a.conf", "# x\nblacklist sctp\ninstall ip-gre /bin/false\ninstall vxlan /sbin/modprobe x\n"
    )
    facts = machine.look()

    assert facts.loadable
    assert facts.loaded == {"vxlan", "nf_tables"}
    assert facts.blocked == {"ip_gre"}


def test_processes_are_read(machine: Machine):
    """Ours are known by the program they run; kernel threads have no memory and do not count."""
    run = "/usr/bin/python3 -IS /usr/local/bin/headgate run {} --config /run/headgate/policy/policy.yaml"
    machine.process(1, "/sbin/init", caps=1 << 21, seccomp=1)
    machine.process(5, run.format("fetch"), user=501, mounts=HIDDEN)
    machine.process(6, run.format("delivery") + " --zone bigscreen", user=502)
    machine.process(7, "/usr/bin/python3 other run fetch --config x", user=503)
    machine.write("proc/8/status", "Name:\tkthreadd\nUid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\n")
    found = {p.pid: p for p in machine.look().processes}

    assert sorted(found) == [1, 5, 6, 7]
    assert [(found[n].daemon, found[n].user, found[n].hides) for n in (5, 6, 7)] == [
        ("fetch", 501, True), ("delivery", 502, False), ("", 503, False)
    ]  # fmt: skip
    assert (found[1].capabilities, found[1].filtered, found[5].filtered) == (1 << 21, False, True)
    assert found[5].namespace == "net:[4026531840]"


def test_a_containers_own_filter_is_none_of_a_processes(machine: Machine):
    """Under a container's manager all have a filter: only what a process has beyond the first one counts."""
    machine.process(1, "/sbin/init", seccomp=3)
    machine.process(2, "/bin/sh", seccomp=3)
    machine.process(3, "/usr/sbin/sshd", seccomp=4)

    assert {p.pid: p.filtered for p in machine.look().processes} == {1: False, 2: False, 3: True}


def test_ports_are_followed_to_their_cards(machine: Machine):
    """A port's address is followed to its place on the bus."""
    place = machine.root / "sys/devices/pci0000:00/0000:00:1c.0/0000:03:00.1"
    place.mkdir(parents=True)
    (machine.root / "sys/bus/pci/devices").mkdir(parents=True)
    (machine.root / "sys/bus/pci/devices/0000:03:00.1").symlink_to(place)

    assert machine.look(culture="0000:03:00.1").ports["culture"] == ("pci0000:00", "0000:00:1c.0", "0000:03:00.1")


def test_boot_and_hardware_are_read(machine: Machine):
    """Lockdown, security modules, secure boot, TPM, leaks and the container's word, as kernel and firmware write them."""
    machine.write("sys/kernel/security/lockdown", "none [integrity] confidentiality\n")
    machine.write("sys/kernel/security/lsm", "lockdown,capability,landlock,yama")
    machine.write("sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c", b"\6\0\0\0\1")
    machine.write("sys/class/tpm/tpm0/tpm_version_major", "2\n")
    machine.write(
        "sys/devices/system/cpu/vulnerabilities/mds", "Vulnerable: Clear CPU buffers attempted, no microcode\n"
    )
    machine.write("sys/devices/system/cpu/vulnerabilities/l1tf", "Not affected\n")
    machine.write("proc/1/environ", "LANG=C\0container=systemd-nspawn\0")
    machine.write("proc/net/protocols", "protocol size\nAF_VSOCK  1240 0\n")
    facts = machine.look()

    assert (facts.lockdown, facts.modules) == ("integrity", ("lockdown", "capability", "landlock", "yama"))
    assert (facts.secure_boot, facts.tpm, facts.leaks) == (True, "2", ("mds",))
    assert (facts.container, facts.vsock) == ("systemd-nspawn", True)


def test_this_kernel_can_be_measured():
    """The real host answers to every measure, quickly enough to be asked each minute, and tells what its own files say."""
    found = {measure.name: measure for measure in host.measures()}

    assert len(found) >= 30
    assert found["own-kernel"].ways == (34,)
    assert found["forwarding"].found in ("0", "1")
    assert os.uname().release in found["owned-tables"].found
