"""A folder of files <-> a release: digest it, compare it, copy it to an origin."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from appliance.runtime.errors import ConfigError, Corrupt, Fault, Refused
from appliance.runtime.files import sync_folder, write_atomic
from gateway.release import media, paths, signed
from gateway.release.manifest import CHUNK, LARGEST_FILE, MOST_FILES, File, Release

Progress = Callable[[int], None]  # told the bytes that were just done


def survey(folder: Path) -> dict[str, int]:
    """Return path -> size in bytes of every file below ``folder`` that a release would hold.

    Raises:
        ConfigError: holds every file that cannot be part of a release.
    """
    sizes: dict[str, int] = {}
    faults: list[Fault] = []
    for path, name in _walk(folder):
        told = path.lstat()
        if name == paths.MANIFEST:
            continue
        if not stat.S_ISREG(told.st_mode):
            faults.append(_fault(path, "is no plain file: links and devices cannot be published"))
        elif wrong := paths.fault_in(name):
            faults.append(_fault(path, wrong))
        elif told.st_size > LARGEST_FILE:
            faults.append(_fault(path, f"is larger than {LARGEST_FILE} bytes"))
        else:
            sizes[name] = told.st_size
    if len(sizes) > MOST_FILES:
        faults.append(_fault(folder, f"holds more than {MOST_FILES} files"))
    if not sizes and not faults:
        faults.append(_fault(folder, "holds no files"))
    if faults:
        raise ConfigError(faults)
    return dict(sorted(sizes.items()))


def gather(folder: Path, sizes: dict[str, int], progress: Progress = lambda _: None) -> dict[str, File]:
    """Return the ``files`` of a manifest: each of ``sizes`` with its digest and content type."""
    return {
        name: File(sha256=digest, size=size, type=media.type_of(name), chunks=chunks)
        for name in sizes
        for digest, size, chunks in [digests_of(folder / name, progress)]
    }


def digests_of(path: Path, progress: Progress = lambda _: None) -> tuple[str, int, tuple[str, ...]]:
    """Return SHA-256 in hex, size in bytes, and digests by chunk (none of a file that is one chunk) of the file at ``path``."""
    digest, size, chunks = hashlib.sha256(), 0, []
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
            chunks.append(hashlib.sha256(chunk).hexdigest() if size > CHUNK or len(chunk) == CHUNK else "")
            progress(len(chunk))
    return digest.hexdigest(), size, tuple(chunks) if size > CHUNK else ()


def digest_of(path: Path, progress: Progress = lambda _: None) -> tuple[str, int]:
    """Return the SHA-256 in hex and the size in bytes of the file at ``path``."""
    digest, size, _ = digests_of(path, progress)
    return digest, size


def read_claimed(folder: Path) -> tuple[bytes, Release] | None:
    """Return the envelope in ``folder`` and what it claims (signature not looked at), or None where there is none.

    Raises:
        Corrupt: what is there is no release.
    """
    try:
        with (folder / paths.MANIFEST).open("rb") as file:
            data = file.read(signed.LONGEST + 1)
    except FileNotFoundError:
        return None
    return data, signed.claimed(data)


def differences(folder: Path, release: Release, progress: Progress = lambda _: None) -> list[Fault]:
    """Return each file of ``folder`` that is not what ``release`` says, and each that it does not name."""
    faults = []
    for name, file in release.files.items():
        path = folder / name
        if not path.is_file() or path.is_symlink():
            faults.append(_fault(path, "is missing"))
        elif path.stat().st_size != file.size:
            faults.append(_fault(path, f"has {path.stat().st_size} bytes, the manifest says {file.size}"))
        elif digest_of(path, progress)[0] != file.sha256:
            faults.append(_fault(path, "was changed: its SHA-256 is not the manifest's"))
    known = {*release.files, paths.MANIFEST}
    faults += [_fault(path, "is not in the manifest") for path, name in _walk(folder) if name not in known]
    return faults


def publish(folder: Path, origin: Path, progress: Progress = lambda _: None) -> tuple[Path, int]:
    """Copy the release in ``folder`` to ``origin``/releases/CODE: files first, the manifest last; return where, and the files copied.

    Doing it again copies nothing. Every file is replaced whole, and its bytes are digested on the way.

    Raises:
        ConfigError: ``folder`` holds no release, or its files are not what the manifest says.
        Refused: the origin has a newer version (``older-version``), or another content under the same version.
    """
    found = read_claimed(folder)
    if found is None:
        raise ConfigError([_fault(folder, f"holds no {paths.MANIFEST}: run 'headgate release make' first")])
    data, release = found
    target = origin / "releases" / release.code
    there = read_claimed(target)
    if there is not None:
        known = there[1]
        if known.version > release.version:
            raise Refused("older-version", f"the origin has version {known.version}, this is {release.version}")
        if known.version == release.version and known != release:
            raise Refused(
                "older-version", f"the origin has other content as version {known.version}: make a new version"
            )
    copied = 0
    for name, file in release.files.items():
        copied += _copy(folder / name, target / name, file, progress)
    if there is None or there[0] != data:
        write_atomic(target / paths.MANIFEST, data)
    return target, copied


def _copy(source: Path, target: Path, file: File, progress: Progress) -> int:
    """Make ``target`` the file that the manifest names; return 1 if it had to be written."""
    if target.is_file() and target.stat().st_size == file.size and digest_of(target)[0] == file.sha256:
        progress(file.size)
        return 0
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".headgate-", dir=target.parent)
    try:
        digest, size = hashlib.sha256(), 0
        with os.fdopen(descriptor, "wb") as out, source.open("rb") as data:
            while chunk := data.read(CHUNK):
                digest.update(chunk)
                size += len(chunk)
                out.write(chunk)
                progress(len(chunk))
            out.flush()
            os.fchmod(out.fileno(), 0o644)
            os.fsync(out.fileno())
        if (digest.hexdigest(), size) != (file.sha256, file.size):
            raise ConfigError([_fault(source, "was changed since the manifest was made: its SHA-256 differs")])
        Path(name).replace(target)
    except FileNotFoundError as error:
        raise ConfigError([_fault(source, "is missing")]) from error
    finally:
        Path(name).unlink(missing_ok=True)
    sync_folder(target.parent)
    return 1


def _walk(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield every entry below ``folder`` that is no folder, with its path from there; links are not followed."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise Corrupt(f"{folder} cannot be read: {error.strerror}") from error
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            for path, name in _walk(Path(entry.path)):
                yield path, f"{entry.name}/{name}"
        else:
            yield Path(entry.path), entry.name


def _fault(path: Path, message: str) -> Fault:
    return Fault(str(path), 1, 1, "", message)
