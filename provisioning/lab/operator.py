"""The lab's operator: a folder under git, and a workstation on the management network where ``headgate`` commands are typed.

Whatever reaches a box goes through those commands, as it would at a real operator: nothing here touches a box.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib import resources
from io import StringIO
from pathlib import Path
from string import Template
from typing import Any

from ruamel.yaml import YAML

from appliance.identity.keys import PrivateKey
from appliance.runtime.command import CommandFailed, run
from provisioning.lab import film, trust
from provisioning.lab.lab import Lab

CONTROLLER = "http://10.40.0.20:8080"
SITES = {
    "centre": ("10.40.0.20", 0),
    "headend": ("10.40.0.11", 1),
    "edge": ("10.40.0.12", 2),
    "institution": ("10.40.0.13", 2),
}
LIBRARY = "guangxi-library"
SERVICE = "999999"  # the ISLI service code that the lab uses
BLOCK = "isli:999999-17"  # which the institution's box gives out by itself
RANGE = "isli:999999-1"  # the library's
PORTAL = "isli:999999-100000000000002-3"  # the portal page's identifier
FILM = "isli:999999-100000000000001-4"  # the first film's
Progress = Callable[[str], None]


class Operator:
    """The operator of one lab."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.folder = lab.folder / "operator"

    def call(
        self, *argv: str, seconds: float = 60, check: bool = True, at: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a program at the operator's workstation, or on the network of the machine ``at``, in the operator's folder.

        Raises:
            CommandFailed: it failed or took longer than ``seconds`` (with ``check``).
        """
        full = ["ip", "netns", "exec", self.lab.namespace(at) if at else self.lab.operator_namespace, *argv]
        try:
            done = subprocess.run(
                full,
                cwd=self.folder,
                env=self._environment(),
                text=True,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise CommandFailed(argv, None, str(error.stdout or "")) from error
        if check and done.returncode:
            raise CommandFailed(argv, done.returncode, done.stdout + done.stderr)
        return done

    def headgate(
        self, *argv: str, seconds: float = 60, check: bool = True, at: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run ``headgate ARGV`` at the workstation, or on the network of the machine ``at``."""
        return self.call(sys.executable, "-m", "provisioning", *argv, seconds=seconds, check=check, at=at)

    def follow(self, *argv: str, seconds: float, progress: Progress) -> None:
        """Run ``headgate ARGV`` and hand each line that it prints to ``progress`` as it comes.

        Raises:
            CommandFailed: it failed; the message holds its last lines.
        """
        full = ["ip", "netns", "exec", self.lab.operator_namespace, sys.executable, "-m", "provisioning", *argv]
        lines: list[str] = []
        with subprocess.Popen(
            full,
            cwd=self.folder,
            env=self._environment(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        ) as process:
            for line in process.stdout or ():
                lines.append(line.rstrip())
                progress(line.rstrip())
            status = process.wait(timeout=seconds)
        if status:
            raise CommandFailed(["headgate", *argv], status, "\n".join(lines[-40:]))

    def get(self, url: str) -> Any:
        """Return the JSON that the controller (or a box) answers to the workstation."""
        return json.loads(self.call("curl", "-fsS", "--max-time", "10", url).stdout)

    def text(self, url: str) -> str:
        """Return the text that ``url`` answers to the workstation."""
        return self.call("curl", "-fsS", "--max-time", "10", url).stdout

    def commit(self, message: str) -> None:
        """Commit the folder as it is."""
        self.call("git", "add", "-A")
        self.call("git", "commit", "-q", "--allow-empty", "-m", message)

    def key(self, name: str) -> Path:
        """Return the file of a signing key of the operator's folder."""
        return self.folder / "keys" / f"{name}.pem"

    def _environment(self) -> Mapping[str, str]:
        return os.environ | {
            "GIT_CONFIG_GLOBAL": str(self.folder / ".gitconfig"),
            "NO_COLOR": "1",
            "PYTHONUNBUFFERED": "1",
        }


def provision(lab: Lab, progress: Progress) -> None:
    """Make the operator's folder and turn the lab's blank boxes into gateways, then publish the portal and the first film.

    Raises:
        HeadgateError: a step failed; the message says which and why.
    """
    operator = Operator(lab)
    if not (operator.folder / "inventory.yaml").exists():
        make_folder(operator)
    progress("making the boxes' software")
    # The one step away from the workstation's network: package registries are reached from this machine alone.
    run([sys.executable, "-m", "provisioning", "fleet", "bundle", "--folder", str(operator.folder)], seconds=600)
    progress("provisioning the boxes from blank by Ansible over SSH")
    operator.follow("fleet", "rollout", "start", "--yes", "--controller", CONTROLLER, seconds=900, progress=progress)
    progress("encoding a film and publishing it with the portal page")
    content = lab.folder / "content"
    if not (content / "portal").exists():
        film.portal(content / "portal", content / "npm")
    release(
        operator,
        content / "portal",
        PORTAL,
        "文化数字内容 · the portal",
        entry="index.html",
        progress=progress,
        labels=("application",),
    )
    if not (content / "film").exists():
        film.encode(content / "film", hue=0)
    release(operator, content / "film", FILM, "漓江 · The Li River", entry="master.m3u8", progress=progress)
    allot(operator, progress)  # the registry knows the library's keys by what it listed


def allot(operator: Operator, progress: Progress) -> None:
    """Record the service of the lab's codes, and allot a block of them to the institution's box; again, it changes nothing."""
    at = ["--at", CONTROLLER]
    if SERVICE not in operator.get(f"{CONTROLLER}/api/registry/services"):
        progress(f"service {SERVICE}, of whose codes the institution's box gives out {BLOCK}...")
        signed = ["--key", str(operator.key(trust.REGULATOR))]
        operator.headgate("id", "service", SERVICE, "--link", "15", "--body", LIBRARY, *signed, *at)
    if not operator.get(f"{CONTROLLER}/api/registry/blocks?box=institution"):
        signed = ["--key", str(operator.key("library"))]
        operator.headgate("id", "block", BLOCK, "--body", LIBRARY, "--box", "institution", *signed, *at)


def release(
    operator: Operator,
    folder: Path,
    code: str,
    title: str,
    *,
    entry: str,
    progress: Progress,
    body: str = LIBRARY,
    key: str = "library",
    register: bool = True,
    labels: tuple[str, ...] = (),
    listed: bool = True,
) -> None:
    """Sign ``folder`` as a release, publish it at the origin, list it, and register its identifier.

    Raises:
        CommandFailed: one of the commands failed.
    """
    progress(f"release {code} ({title})")
    operator.headgate(
        "release",
        "make",
        str(folder),
        "--id",
        code,
        "--body",
        body,
        "--title",
        title,
        "--entry",
        entry,
        "--zones",
        "bigscreen,smallscreen",
        "--key",
        str(operator.key(key)),
        *(argument for label in labels for argument in ("--label", label)),
    )
    operator.headgate("fleet", "publish", str(folder), seconds=180)
    if listed:
        trust.list_release(operator, folder, key, CONTROLLER)
    if register:
        operator.headgate(
            "id",
            "register",
            code,
            "--title",
            title,
            "--release",
            code,
            "--entry",
            entry,
            "--body",
            body,
            "--key",
            str(operator.key(key)),
            "--at",
            CONTROLLER,
        )


def make_folder(operator: Operator) -> None:
    """Write the operator's folder: keys, policies, inventory; a git repository, as the operator would keep it."""
    folder = operator.folder
    for name in ("keys", "sites"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    words = {}
    for name in ("library", "registry", "stranger"):
        if not operator.key(name).exists():
            PrivateKey.generate().save(operator.key(name))
        words[f"{name}_key"] = str(PrivateKey.load(operator.key(name)).public)
    words["trust_root"] = trust.begin(operator, LIBRARY, "library", RANGE)
    words["regulator_key"] = str(PrivateKey.load(operator.key(trust.REGULATOR)).public)
    for site in SITES:
        template = Template((resources.files("provisioning.lab") / "sites" / f"{site}.yaml").read_text())
        (folder / "sites" / site).mkdir(exist_ok=True)
        (folder / "sites" / site / "policy.yaml").write_text(template.substitute(words))
    (folder / ".gitconfig").write_text("[user]\n\tname = Lab operator\n\temail = operator@lab.invalid\n")
    (folder / ".gitignore").write_text("keys/\npki/\n.cache/\n")
    (folder / "inventory.yaml").write_text(inventory(operator.lab))
    run(["git", "init", "-q", "-b", "main", str(folder)])
    operator.commit("First sites")


def inventory(lab: Lab) -> str:
    """Return the Ansible inventory of the lab's boxes."""

    def hosts(*names: str) -> dict[str, Any]:
        return {"hosts": {name: host(name) for name in names}}

    def host(name: str) -> dict[str, Any]:
        # The image is this machine's Debian, whose Python is 3.11 or 3.13: /usr/bin/python3 is a link that tells.
        python = (lab.box(name).root / "usr/bin/python3").readlink().name.removeprefix("python")
        return {"ansible_host": SITES[name][0], "ring": SITES[name][1], "gateway_python": python}

    arguments = f"-o UserKnownHostsFile={lab.known_hosts} -o StrictHostKeyChecking=accept-new"
    told = {
        "all": {
            "vars": {
                "ansible_user": "root",
                "ansible_ssh_private_key_file": str(lab.ssh_key),
                "ansible_ssh_common_args": arguments,
            },
            "children": {"centre": hosts("centre"), "gateways": hosts("headend", "edge", "institution")},
        }
    }
    text = StringIO()
    yaml = YAML(typ="safe")
    yaml.default_flow_style = False
    yaml.dump(told, text)
    return "# The boxes of the operator; ring: the order in which a change reaches them.\n" + text.getvalue()
