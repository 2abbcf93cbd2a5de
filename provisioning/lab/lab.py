"""``Lab``: the machines of one lab, for the command line, the tour and the tests alike."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from appliance.runtime import command
from appliance.runtime.errors import HeadgateError, Refused
from appliance.runtime.files import write_atomic
from firmware import image
from provisioning.lab import boxes, netns, plan
from provisioning.lab.boxes import Box
from provisioning.lab.plan import Machine, Plan
from provisioning.lab.progress import Progress
from provisioning.lab.state import State

BOOT_SECONDS = 60  # a box answers after one or two; a busy machine with two cores boots eight at once
OPERATOR = "operator"


@dataclass(frozen=True)
class Seen:
    """One machine as it is now."""

    machine: str
    state: str  # running, off, absent
    image: str
    addresses: tuple[str, ...]  # as planned: network/address
    unplugged: tuple[str, ...]  # networks


class Lab:
    """One lab on this machine, up or not. Needs root.

    Public: ``up_machines``, ``down``, ``exec``, ``argv``, ``ssh``, ``as_operator``, ``operator_argv``, ``unplug``, ``plug``,
    ``power_cut``, ``power_off``, ``start``, ``status``; ``folder``, ``prefix``, ``plan``, ``ssh_config``, ``ssh_key``, ``known_hosts``,
    ``operator_namespace``.
    """

    def __init__(self, name: str = "lab", *, of: Plan | None = None, state: State | None = None) -> None:
        self.state = state or State(name)
        self.plan = of or plan.whole()
        self.folder = self.state.folder
        self.prefix = self.state.prefix
        self.ssh_key = self.folder / "key"  # the operator's
        self.known_hosts = self.folder / "known_hosts"
        self.operator_namespace = self.namespace(OPERATOR)
        self.ssh_config = self.folder / "ssh_config"

    def namespace(self, name: str) -> str:
        """Return the network namespace of a machine, or of the ``operator``."""
        return f"{self.prefix}-{name}"

    def switch(self, network: str) -> str:
        """Return the network namespace of a network's switch."""
        return f"{self.prefix}-switch-{network}"

    def box(self, name: str) -> Box:
        """Return where a machine's disk and power are; its image must have been built."""
        machine = self.plan.machine(name)
        layers = image.layers(machine.image, image.host(), image.cache())
        return Box(name, self.namespace(name), self.namespace(name), layers, self.folder / "boxes" / name)

    # -- up and down --------------------------------------------------------------------------------------------------

    def up_machines(self, progress: Progress) -> None:
        """Raise every machine that does not run yet, blank if it is new; return once each answers.

        Raises:
            Refused: another process works on this lab, or something of its names exists that it did not make.
            CommandFailed, NotInTime: a machine could not be made or did not boot; ``down`` clears what is there.
        """
        with self.state.changing():
            for name in sorted({machine.image for machine in self.plan.machines}):
                with progress.step(f"image {name}"):
                    image.build(name, progress.note)
            self.state.create()
            self._make_key()
            with progress.step("switches and the operator's workstation"):
                for network in self.plan.networks:
                    netns.make_switch(self.state, self.switch(network.name))
                if not netns.exists(self.operator_namespace):
                    netns.make(self.state, self.operator_namespace)
                    switch = self.switch(self.plan.operator.network)
                    netns.cable(switch, OPERATOR, self.operator_namespace, self.plan.operator, plugged=True)
            new = [machine for machine in self.plan.machines if boxes.leader(self.box(machine.name).root) is None]
            with progress.step(f"boot of {len(new)} machines"):
                for machine in new:
                    self._switch_on(machine)
                with ThreadPoolExecutor(max_workers=8) as pool:
                    for ended in [pool.submit(self._wait_ready, machine, progress) for machine in self.plan.machines]:
                        ended.result()
            self._write_ssh_files()

    def down(self) -> list[str]:
        """Remove everything that the lab made, also what a crash left, and return what that was.

        Raises:
            Refused: another process works on this lab.
        """
        with self.state.changing():
            made = self.state.read().made
            if not made and not self.folder.exists():
                return []
            for thing in [m for m in made if m.kind == "cgroup"]:
                boxes.end_cgroup(self.state, Path(thing.name))
            for thing in [m for m in made if m.kind == "machine"]:
                self.state.forget("machine", thing.name)
            for thing in [m for m in made if m.kind == "mount"]:
                boxes.unmount(self.state, Path(thing.name))
            for thing in [m for m in made if m.kind == "namespace"]:
                netns.remove(self.state, thing.name)
            image.remove(self.folder)
            return [f"{m.kind} {m.name}" for m in made] + [f"folder {self.folder}"]

    # -- one machine --------------------------------------------------------------------------------------------------

    def exec(self, machine: str, argv: Sequence[str], *, seconds: float = 60, stdin: str | None = None) -> str:
        """Run ``argv`` as root inside a machine, without any network, and return what it printed.

        Raises:
            Refused: the machine is not running.
            CommandFailed: the status is not 0, or it took longer than ``seconds``.
        """
        return command.run(self.argv(machine, argv, seconds=seconds), seconds=seconds + 5, stdin=stdin)

    def argv(self, machine: str, argv: Sequence[str], *, seconds: float | None = None) -> list[str]:
        """Return the command for this machine (the one with the lab on it) that runs ``argv`` inside ``machine``."""
        process = boxes.leader(self.box(machine).root)
        if process is None:
            raise Refused("not-running", f"'{machine}' is not running")
        return boxes.entering(process, argv, seconds=seconds)

    def ssh(self, machine: str, argv: Sequence[str], *, seconds: float = 60, stdin: str | None = None) -> str:
        """Run ``argv`` on a machine through SSH from the operator's workstation and return what it printed.

        Raises:
            Refused: the machine is not one that the operator manages.
            CommandFailed: the status is not 0, the machine does not answer, or it took longer than ``seconds``.
        """
        if not self.plan.machine(machine).managed:
            raise Refused("not-managed", f"'{machine}' has no port in the management network; use exec")
        ssh = ["ssh", "-F", str(self.ssh_config), "-o", "BatchMode=yes", machine, "--", shlex.join(argv)]
        return self.as_operator(ssh, seconds=seconds, stdin=stdin)

    def as_operator(self, argv: Sequence[str], *, seconds: float = 60, stdin: str | None = None) -> str:
        """Run a program of this machine on the operator's workstation (10.40.0.2 in management) and return what it printed."""
        return command.run(self.operator_argv(argv), seconds=seconds, stdin=stdin)

    def operator_argv(self, argv: Sequence[str]) -> list[str]:
        """Return the command that runs ``argv`` on the operator's workstation."""
        return [*netns.entering(self.operator_namespace), *argv]

    def unplug(self, machine: str, network: str) -> None:
        """Pull the cable between a machine and a network; it stays out until ``plug``, also over a power cut."""
        self._plug(machine, network, plugged=False)

    def plug(self, machine: str, network: str) -> None:
        """Put the cable back."""
        self._plug(machine, network, plugged=True)

    def power_cut(self, machine: str) -> None:
        """Kill a machine at once; its disk stays."""
        with self.state.changing():
            boxes.cut_power(self.box(machine).root)

    def power_off(self, machine: str) -> None:
        """Shut a machine down in order; its disk stays."""
        with self.state.changing():
            boxes.power_off(self.box(machine).root)

    def start(self, machine: str) -> None:
        """Switch a machine on again with the disk it had, and return once it answers."""
        with self.state.changing():
            if boxes.container(self.box(machine).root) is not None:
                raise Refused("running", f"'{machine}' is running")
            self._switch_on(self.plan.machine(machine))
            self._wait_booted(self.plan.machine(machine))

    def status(self) -> list[Seen]:
        """Return every machine of the plan as it is now."""
        record = self.state.read()
        made = {m.name for m in record.made if m.kind == "machine"}
        result = []
        for machine in self.plan.machines:
            running = boxes.leader(self.folder / "boxes" / machine.name / "root") is not None
            out = tuple(network for name, network in record.unplugged if name == machine.name)
            addresses = tuple(f"{port.network}/{port.address.ip}" for port in machine.ports)
            state = "running" if running else "off" if machine.name in made else "absent"
            result.append(Seen(machine.name, state, machine.image, addresses, out))
        return result

    # -- how ----------------------------------------------------------------------------------------------------------

    def _switch_on(self, machine: Machine) -> None:
        box = self.box(machine.name)
        # A machine that lost its power lost what its kernel held, so namespace and cables are made anew.
        if self.state.owns("namespace", box.namespace):
            netns.remove(self.state, box.namespace)
        netns.make(self.state, box.namespace)
        unplugged = self.state.read().unplugged
        for port in machine.ports:
            switch = self.switch(port.network)
            netns.cable(
                switch, machine.name, box.namespace, port, plugged=(machine.name, port.network) not in unplugged
            )
        boxes.mount(self.state, box)
        if machine.managed:
            self._put_key(box)
        boxes.start(self.state, box)

    def _put_key(self, box: Box) -> None:
        """Do what the factory does for its customer: the operator's key is in the box when it is delivered."""
        path = box.root / "root/.ssh/authorized_keys"
        if not path.exists():
            path.parent.mkdir(mode=0o700, exist_ok=True)
            path.write_text(Path(f"{self.ssh_key}.pub").read_text())
            path.chmod(0o600)

    def _wait_ready(self, machine: Machine, progress: Progress) -> None:
        self._wait_booted(machine)
        progress.note(f"{machine.name} answers")

    def _wait_booted(self, machine: Machine) -> None:
        box = self.box(machine.name)

        def answers() -> bool:
            if boxes.container(box.root) is None:
                raise HeadgateError(f"'{machine.name}' ended while booting; its console said: {_tail(box.console)}")
            try:
                state = self.exec(machine.name, ["sh", "-c", "systemctl is-system-running || true"], seconds=10).strip()
            except (Refused, command.CommandFailed):
                return False
            return state in ("running", "degraded")

        boxes.wait(answers, f"'{machine.name}' to boot", seconds=BOOT_SECONDS)

    def _make_key(self) -> None:
        if not Path(f"{self.ssh_key}.pub").exists():
            self.ssh_key.unlink(missing_ok=True)
            argv = [
                "ssh-keygen",
                "-q",
                "-t",
                "ed25519",
                "-N",
                "",
                "-C",
                f"operator of {self.prefix}",
                "-f",
                str(self.ssh_key),
            ]
            command.run(argv)

    def _write_ssh_files(self) -> None:
        """Write down the boxes' host keys, as the factory prints them on a box, so that the operator never trusts at first sight."""
        known, hosts = "", ""
        for machine in self.plan.machines:
            if machine.managed:
                address = machine.port("management").address.ip
                key = (self.box(machine.name).root / "etc/ssh/ssh_host_ed25519_key.pub").read_text().strip()
                known += f"{address},{machine.name} {key}\n"
                hosts += f"Host {machine.name} {address}\n    HostName {address}\n"
        write_atomic(self.known_hosts, known.encode(), 0o600)
        common = (
            f"Host *\n    User root\n    IdentityFile {self.ssh_key}\n    IdentitiesOnly yes\n    ConnectTimeout 10\n"
        )
        common += (
            f"    UserKnownHostsFile {self.known_hosts}\n    GlobalKnownHostsFile none\n    StrictHostKeyChecking yes\n"
        )
        common += "    ServerAliveInterval 5\n    ServerAliveCountMax 4\n    LogLevel ERROR\n"
        write_atomic(self.ssh_config, (hosts + common).encode(), 0o600)

    def _plug(self, machine: str, network: str, *, plugged: bool) -> None:
        self.plan.machine(machine).port(network)
        with self.state.changing():
            self.state.set_plugged(machine, network, plugged=plugged)
            netns.plug(self.switch(network), machine, plugged=plugged)


def _tail(file: Path, *, characters: int = 2000) -> str:
    try:
        return file.read_text(errors="replace")[-characters:].strip() or "(nothing)"
    except OSError:
        return "(nothing)"


def programs_missing() -> list[str]:
    """Return the programs that a lab needs and this machine has not."""
    return [
        name
        for name in ("systemd-nspawn", "mmdebstrap", "ip", "nsenter", "ssh", "ssh-keygen")
        if shutil.which(name) is None
    ]
