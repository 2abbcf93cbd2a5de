"""Builds images into the cache: mmdebstrap for the factory image, a chroot on an overlay for a layer above it.

An image is a folder that is whole or not there: it is built beside its place and renamed. Building happens in a mount and a process
namespace of its own, so that whatever ends it also ends its mounts and its processes.
"""

from __future__ import annotations

import collections
import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from appliance.runtime import command
from appliance.runtime.errors import HeadgateError, Refused
from firmware import sources
from firmware.recipe import FACTORY, RECIPES, Recipe, folder_name

Told = Callable[[str], None]  # hears each line of what the builder says
PARTIAL = "building-"  # what an ended builder may leave behind
KEPT_LINES = 60  # of a failed builder's output, in the error
ENVIRONMENT = {
    "DEBIAN_FRONTEND": "noninteractive",
    "LC_ALL": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}

# $1 lower, $2 upper, $3 work, $4 merged, $5 units to disable; the packages follow. Runs with mounts and processes of its own.
LAYER_SCRIPT = """
set -eu
lower=$1 upper=$2 work=$3 merged=$4 disabled=$5; shift 5
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$upper,workdir=$work" "$merged"
mount -t proc proc "$merged/proc"
cp -L /etc/resolv.conf "$merged/etc/resolv.conf"
# invoke-rc.d asks this whether a service may start: not in a chroot.
printf '#!/bin/sh\\nexit 101\\n' >"$merged/usr/sbin/policy-rc.d"
chmod 755 "$merged/usr/sbin/policy-rc.d"
chroot "$merged" apt-get -q update
chroot "$merged" apt-get -q -y --no-install-recommends install "$@"
# shellcheck disable=SC2086  # units' names have no blanks
[ -z "$disabled" ] || chroot "$merged" systemctl disable $disabled
chroot "$merged" apt-get -q clean
rm -rf "$merged/usr/sbin/policy-rc.d" "$merged/etc/resolv.conf" "$merged"/var/lib/apt/lists/* "$merged"/var/cache/apt/*.bin
umount "$merged/proc"
umount "$merged"
"""


@dataclass(frozen=True)
class Host:
    """What this machine's Debian tells about the image to build."""

    suite: str  # such as bookworm
    architecture: str  # such as amd64
    sources: str  # deb822 text


def cache() -> Path:
    """Return the folder of images: ``$HEADGATE_CACHE`` or ``/var/cache/headgate``."""
    return Path(os.environ.get("HEADGATE_CACHE", "/var/cache/headgate"))


def host(etc: Path = Path("/etc")) -> Host:
    """Read this machine's suite and Debian's own apt sources.

    Raises:
        Refused: this machine is not a Debian with apt sources of its own suite.
    """
    release = dict(line.partition("=")[::2] for line in (etc / "os-release").read_text().splitlines() if "=" in line)
    suite = release.get("VERSION_CODENAME", "").strip('"')
    if release.get("ID", "").strip('"') != "debian" or not suite:
        raise Refused("not-debian", "images are built from this machine's own Debian, and this machine is not one")
    files = [etc / "apt/sources.list", *sorted((etc / "apt/sources.list.d").glob("*"))]
    texts = [(file.name, file.read_text(errors="replace")) for file in files if file.is_file()]
    found = sources.debian(texts, suite)
    if not any(suite in source.suites for source in found):
        raise Refused("no-sources", f"no apt source of Debian '{suite}' in {etc}/apt/sources.list or sources.list.d")
    architecture = command.run(["dpkg", "--print-architecture"]).strip()
    return Host(suite, architecture, "\n".join(source.render() for source in found))


def layers(name: str, machine: Host, folder: Path) -> tuple[Path, ...]:
    """Return the folders that make up image ``name``, the topmost first, built or not."""
    recipe: Recipe | None = RECIPES[name]
    result = []
    while recipe:
        result.append(folder / folder_name(recipe, machine.suite, machine.architecture, machine.sources))
        recipe = recipe.below
    return tuple(result)


def build(name: str, told: Told, *, folder: Path | None = None, machine: Host | None = None) -> tuple[Path, ...]:
    """Return the folders of image ``name``, the topmost first; builds those that are missing. Needs root.

    Raises:
        Refused: this machine is not a Debian with apt sources, or the caller is not root.
        CommandFailed: the builder failed; what it had made is removed.
    """
    folder = folder or cache()
    machine = machine or host()
    wanted = layers(name, machine, folder)
    if all(path.is_dir() for path in wanted):
        return wanted
    if os.geteuid():
        raise Refused("not-root", "building an image needs root")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # an image holds programs with the setuid bit
    with _only_builder(folder, told):
        for left in folder.glob(PARTIAL + "*"):
            told(f"removing what an interrupted build left: {left.name}")
            remove(left)
        recipes = _stack(RECIPES[name])
        for recipe, path in reversed(list(zip(recipes, wanted, strict=True))):
            if not path.is_dir():
                _build_one(recipe, path, machine, wanted, told)
    return wanted


def remove(folder: Path) -> None:
    """Remove ``folder``, never what is mounted in it.

    Raises:
        HeadgateError: something is mounted below it.
    """
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    inside = [point for point in mounted if point == str(folder) or point.startswith(f"{folder}/")]
    if inside:
        raise HeadgateError(f"{folder} is not removed: {', '.join(inside)} is mounted")
    shutil.rmtree(folder)


def _stack(recipe: Recipe) -> list[Recipe]:
    return [recipe, *(_stack(recipe.below) if recipe.below else [])]


def _build_one(recipe: Recipe, path: Path, machine: Host, stack: Sequence[Path], told: Told) -> None:
    work = path.parent / f"{PARTIAL}{path.name}"
    root = work / "root"
    root.mkdir(parents=True)
    work.chmod(0o700)
    try:
        if recipe is FACTORY or recipe.below is None:
            _bootstrap(recipe, root, machine, told)
        else:
            below = ":".join(str(lower) for lower in stack[stack.index(path) + 1 :])
            _install_above(recipe, root, work, below, told)
        told("writing it to disk")
        command.run(["sync", "-f", str(root)], seconds=600)
        root.chmod(0o755)
        root.rename(path)
    finally:
        if work.exists():
            remove(work)


def _bootstrap(recipe: Recipe, root: Path, machine: Host, told: Told) -> None:
    listing = root.parent / "debian.sources"
    listing.write_text(machine.sources)
    listing.chmod(0o644)
    argv = ["mmdebstrap", "--mode=root", "--variant=minbase", "--skip=check/empty", "--format=directory"]
    argv += [f"--architectures={machine.architecture}", f"--include={','.join(recipe.packages)}"]
    argv += [f"--dpkgopt=path-exclude=/usr/share/{kind}/*" for kind in ("man", "info", "doc")]
    argv += ["--dpkgopt=path-include=/usr/share/doc/*/copyright"]
    run_aloud([*argv, machine.suite, str(root), str(listing)], told)
    for pattern in (
        "etc/ssh/ssh_host_*",
        "etc/hostname",
        "etc/resolv.conf",
        "etc/machine-id",
        "var/lib/dbus/machine-id",
    ):
        for file in root.glob(pattern):
            file.unlink()
    _write(recipe, root)
    command.run(["chroot", str(root), "systemctl", "disable", *recipe.disabled], env=ENVIRONMENT)


def _install_above(recipe: Recipe, root: Path, work: Path, below: str, told: Told) -> None:
    script = work / "install"
    script.write_text(LAYER_SCRIPT)
    for name in ("overlay", "merged"):
        (work / name).mkdir()
    places = [below, str(root), str(work / "overlay"), str(work / "merged")]
    run_aloud(["sh", str(script), *places, " ".join(recipe.disabled), *recipe.packages], told)
    _write(recipe, root)


def _write(recipe: Recipe, root: Path) -> None:
    for name, text in recipe.files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@contextmanager
def _only_builder(folder: Path, told: Told) -> Iterator[None]:
    """Hold the cache against a second builder, waiting for the first."""
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            told("waiting for another builder")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run_aloud(argv: Sequence[str], told: Told) -> None:
    """Run a builder with mounts and processes of its own, telling each line it prints.

    Raises:
        CommandFailed: it failed or is missing; the message holds its last lines.
    """
    if shutil.which(argv[0]) is None:
        raise command.CommandFailed(argv, 127, f"program '{argv[0]}' is not installed")
    # Killed with us: an orphan would go on building where the next builder cleans up.
    apart = [
        "setpriv",
        "--pdeathsig",
        "KILL",
        "unshare",
        "--mount",
        "--propagation=private",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ]
    last: collections.deque[str] = collections.deque(maxlen=KEPT_LINES)
    with subprocess.Popen(
        [*apart, *argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, **ENVIRONMENT},
    ) as builder:
        try:
            for line in builder.stdout or ():
                last.append(line)
                told(line.strip())
        except BaseException:
            builder.kill()
            raise
    if builder.returncode:
        raise command.CommandFailed(argv, builder.returncode, "".join(last))


def size(folder: Path) -> int:
    """Return how many bytes ``folder`` takes on disk."""
    return int(command.run(["du", "-s", "-B1", str(folder)], seconds=300).split()[0])
