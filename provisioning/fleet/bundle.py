"""The software of a box as two archives that only need to be unpacked there: boxes have no internet.

``libraries`` holds the locked requirements and changes seldom; ``software`` holds our own packages (``lib/``), units, users and folders
as they lie below ``/`` (``system/``) and the link to its libraries. Both are byte-compiled and named by the digest of what they
are made from, so that one that was made before is found without making it again. ``complete`` is the last member of each.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.runtime.command import CommandFailed, run
from appliance.runtime.errors import HeadgateError

PACKAGES = ("appliance", "gateway", "firmware", "monitoring", "provisioning")
LEFT_OUT = ("provisioning/lab",)  # the lab is the operator's, and no box needs it
ROLES = {"box": ("gateway",), "controller": ("gateway", "centre")}  # lock file -> whose files go below /
FORMAT = 1  # part of every name: a change of how bundles are made makes new ones
TARGET = "/opt/headgate/current"  # what tracebacks print
SOURCES = ("astutils", "ply")  # published without wheels; plain Python, so that any machine builds what every box takes
PIP_SECONDS = 900
# Wheels for glibc 2.36 (Debian 12) and older, newest first as pip prefers them.
PLATFORMS = (
    *(f"manylinux_2_{minor}" for minor in range(36, 16, -1)),
    *("manylinux2014", "manylinux_2_12", "manylinux2010", "manylinux_2_5", "manylinux1"),
)


@dataclass(frozen=True)
class Archive:
    """One archive: its file and its digest, which is also the name of its folder on the box."""

    path: Path
    digest: str


@dataclass(frozen=True)
class Bundle:
    """The software of a box: our packages, and the libraries that they call."""

    software: Archive
    libraries: Archive


@dataclass(frozen=True)
class Source:
    """Where the parts of a bundle are found: a checkout of Headgate."""

    root: Path

    @property
    def requirements(self) -> Path:
        """The folder of lock files."""
        return self.root / "requirements"

    @property
    def playbooks(self) -> Path:
        """The folder of playbooks and roles."""
        return self.root / "playbooks"

    def version(self) -> str:
        """Return the version that ``pyproject.toml`` gives."""
        return str(tomllib.loads((self.root / "pyproject.toml").read_text())["project"]["version"])

    def files(self) -> Iterator[tuple[str, Path]]:
        """Yield our packages' files with their names below ``lib/``, in order."""
        for package in PACKAGES:
            for path in sorted((self.root / package).rglob("*")):
                name = path.relative_to(self.root).as_posix()
                if path.is_file() and "__pycache__" not in path.parts and not name.startswith(LEFT_OUT):
                    yield name, path

    def system(self, requirements: str) -> Iterator[tuple[str, Path]]:
        """Yield the files that lie below ``/`` on a box, with their names."""
        for role in ROLES[requirements]:
            folder = self.playbooks / "roles" / role / "files" / "system"
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    yield path.relative_to(folder).as_posix(), path


def source() -> Source:
    """Return the checkout that this program runs from.

    Raises:
        HeadgateError: it does not run from a checkout, so there are no playbooks and no lock files.
    """
    root = Path(os.environ.get("HEADGATE_SOURCE", Path(__file__).resolve().parents[2]))
    if not (root / "requirements" / "box.txt").exists() or not (root / "playbooks" / "site.yml").exists():
        raise HeadgateError(
            f"{root} is no checkout of Headgate (no playbooks there): run headgate fleet from one, or set HEADGATE_SOURCE"
        )
    return Source(root)


def cache() -> Path:
    """Return the folder where bundles are kept."""
    return Path(os.environ.get("HEADGATE_CACHE", "/var/cache/headgate")) / "bundles"


def build(
    origin: Source,
    requirements: str,
    python: str,
    folder: Path | None = None,
    machine: str = "x86_64",
    progress: Callable[[str], None] = lambda _: None,
) -> Bundle:
    """Return the bundle of ``requirements`` (``box`` or ``controller``) for ``python``, made now unless it was made before.

    Raises:
        HeadgateError: a locked requirement cannot be had, or is not what the lock file says.
    """
    folder = cache() if folder is None else folder
    libraries = _libraries(origin, requirements, python, folder, machine, progress)
    parts = [(f"lib/{name}", path) for name, path in origin.files()]
    parts += [(f"system/{name}", path) for name, path in origin.system(requirements)]

    def make(tree: Path) -> None:
        progress(f"making the software of a {requirements} for Python {python}")
        for name, path in parts:
            _write(tree / name, path.read_bytes())
            (tree / name).chmod(0o755 if name.startswith("system/") and os.access(path, os.X_OK) else 0o644)
        version = origin.version()
        told = f"Metadata-Version: 2.1\nName: headgate\nVersion: {version}\n"
        _write(tree / "lib" / f"headgate-{version}.dist-info" / "METADATA", told.encode())
        _compile(tree / "lib", python, f"{TARGET}/lib")
        (tree / "libraries").symlink_to(f"../../libraries/{libraries.digest}")

    name = digest(f"{requirements} {python} {machine} {libraries.digest} {origin.version()}", parts)
    return Bundle(_archive("software", name, folder, make), libraries)


def _libraries(
    origin: Source, requirements: str, python: str, folder: Path, machine: str, progress: Callable[[str], None]
) -> Archive:
    locked = origin.requirements / f"{requirements}.txt"

    def make(tree: Path) -> None:
        progress(f"making the libraries of a {requirements} for Python {python}")
        _install(locked, tree, python, machine)
        _compile(tree, python, f"{TARGET}/libraries")

    name = digest(f"{requirements} {python} {machine}", [("requirements", locked)])
    return _archive("libraries", name, folder, make)


def digest(words: str, parts: Iterable[tuple[str, Path]]) -> str:
    """Return the digest of ``words`` and of all ``parts`` (name, file) that an archive is made from."""
    total = hashlib.sha256(f"{FORMAT} {words}\n".encode())
    for name, path in parts:
        total.update(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def _archive(kind: str, name: str, folder: Path, make: Callable[[Path], None]) -> Archive:
    """Return the archive ``name``; ``make`` fills its folder where there is none yet."""
    path = folder / f"{kind}-{name[:32]}.tar.gz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".making-", dir=folder) as scratch:
            tree = Path(scratch) / "tree"
            tree.mkdir()
            make(tree)
            _write(tree / "complete", name.encode() + b"\n")
            made = Path(scratch) / path.name
            pack(tree, made)
            made.replace(path)
    return Archive(path, name)


def _install(requirements: Path, target: Path, python: str, machine: str) -> None:
    platforms = [f"--platform={platform}_{machine}" for platform in PLATFORMS]
    try:
        run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-compile", "--no-deps",
             "--only-binary=:all:", f"--no-binary={','.join(SOURCES)}", "--require-hashes", "--implementation=cp",
             f"--python-version={python}", *platforms, "--retries=1", "--target", str(target), "--requirement", str(requirements)],
            seconds=PIP_SECONDS,
        )  # fmt: skip
    except CommandFailed as error:
        told = [line for line in error.output.splitlines() if line.startswith("ERROR")]
        raise HeadgateError(
            f"the libraries of {requirements.name} cannot be had here: {' '.join(told) or error}\n"
            "Where no package registry is reached, bring the folder of bundles from a machine that made them: headgate fleet bundle"
        ) from error
    for left in ("bin", "share"):  # programs of libraries (pygmentize, ...): nothing on a box calls them
        shutil.rmtree(target / left, ignore_errors=True)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _compile(lib: Path, python: str, printed: str) -> None:
    """Byte-compile ``lib``, named ``printed`` in tracebacks, where this machine has the box's Python; else its role does it there.

    Unchecked hashes: the box neither stats nor compares sources, and the bytes do not depend on when they were made.
    """
    interpreter = interpreter_of(python)
    if interpreter is None:
        return
    try:
        subprocess.run(
            [interpreter, "-I", "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash",
             "-s", str(lib), "-p", printed, str(lib)],
            check=False, capture_output=True, timeout=PIP_SECONDS, stdin=subprocess.DEVNULL,
            env={"PATH": os.environ.get("PATH", os.defpath), "PYTHONHASHSEED": "0"},
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise HeadgateError(f"byte-compiling {lib} did not end in {PIP_SECONDS} s") from error
    _write(lib / "compiled", python.encode() + b"\n")


def interpreter_of(python: str) -> str | None:
    """Return a program here that runs Python ``python`` (such as ``3.11``), or None."""
    if sysconfig.get_python_version() == python:
        return sys.executable
    found = shutil.which(f"python{python}", path=f"/usr/bin:{os.environ.get('PATH', os.defpath)}")
    if found is None:
        return None
    told = subprocess.run(
        [found, "-V"], capture_output=True, text=True, check=False, timeout=30, stdin=subprocess.DEVNULL
    )
    return found if told.stdout.startswith(f"Python {python}.") else None


def pack(tree: Path, archive: Path) -> None:
    """Write ``tree`` to ``archive`` (tar, gzip): the same tree gives the same bytes; ``complete`` comes last."""
    names = sorted(path.relative_to(tree).as_posix() for path in tree.rglob("*"))
    names.sort(key=lambda name: name == "complete")
    with (
        archive.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name in names:
            path = tree / name
            info = tar.gettarinfo(str(path), name)
            info.uid = info.gid = 0
            info.uname = info.gname = "root"
            info.mtime = 0
            info.mode = 0o755 if path.is_dir() or path.is_symlink() or os.access(path, os.X_OK) else 0o644
            if info.isreg():
                with path.open("rb") as file:
                    tar.addfile(info, file)
            else:
                tar.addfile(info)
