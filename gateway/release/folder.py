"""A folder of files <-> a release: look through it, digest it, compare it with its manifest."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from appliance.runtime.errors import ConfigError, Fault
from gateway.release import chunks, media, paths, signed
from gateway.release.manifest import LARGEST_CHUNK, LARGEST_FILE, MOST_FILES, File, Release

MOST_FAULTS = 200  # of one folder that are told
Progress = Callable[[int], None]  # told the bytes that were just done


@dataclass(frozen=True)
class Found:
    """An entry of a folder that is no folder, or one that is not gone into: then ``fault`` says why."""

    path: Path
    name: str  # from the folder that is looked through
    fault: str = ""


def survey(folder: Path) -> dict[str, int]:
    """Return path -> size in bytes of every file below ``folder`` that a release would hold.

    Raises:
        ConfigError: holds every file that cannot be part of a release, with a mend.
    """
    sizes, faults = look_through(folder)
    if faults:
        raise ConfigError(bounded(faults))
    return sizes


def look_through(folder: Path) -> tuple[dict[str, int], list[Fault]]:
    """Return path -> size in bytes of every file that can be part of a release, and a fault for each that cannot.

    Raises:
        ConfigError: there are too many to say anything of the whole; that comes first, then the faults of those that were seen.
    """
    sizes: dict[str, int] = {}
    faults: list[Fault] = []
    for count, found in enumerate(_walk(folder)):
        if count >= MOST_FILES:
            mend = "make several releases of it, or pack what belongs together into one file"
            too_many = _fault(folder, f"holds more than {MOST_FILES} files", mend)
            raise ConfigError(bounded([too_many, *faults]))
        if found.name in (paths.MANIFEST, paths.LISTING, paths.DESCRIPTION):
            continue
        told = found.path.lstat() if not found.fault else None
        if told is None:
            faults.append(_fault(found.path, found.fault))
        elif stat.S_ISLNK(told.st_mode):
            mend = "put what it points to in its place"
            faults.append(_fault(found.path, "is a link, and links cannot be published", mend))
        elif not stat.S_ISREG(told.st_mode):
            faults.append(_fault(found.path, "is no plain file: devices and pipes cannot be published", "take it out"))
        elif wrong := paths.fault_in(found.name):
            near = paths.mended(found.name)
            mend = f"rename it, such as to '{paths.shown(near)}'" if near else "give it a shorter, plain name"
            faults.append(_fault(found.path, wrong, mend))
        elif told.st_size > LARGEST_FILE:
            faults.append(_fault(found.path, f"is larger than {LARGEST_FILE} bytes", "split it"))
        else:
            sizes[found.name] = told.st_size
    if not sizes and not faults:
        faults.append(_fault(folder, "holds no files"))
    return dict(sorted(sizes.items())), faults


def bounded(faults: list[Fault]) -> list[Fault]:
    """Return the first ``MOST_FAULTS`` of ``faults``, and how many more there are."""
    if len(faults) <= MOST_FAULTS:
        return faults
    last = faults[MOST_FAULTS]
    return [*faults[:MOST_FAULTS], Fault(last.file, 1, 1, "", f"and {len(faults) - MOST_FAULTS} more faults")]


def gather(folder: Path, sizes: dict[str, int], progress: Progress = lambda _: None) -> dict[str, File]:
    """Return the ``files`` of a manifest: each of ``sizes`` with its digest and content type."""
    files = {}
    for name, chunk in chunks.chosen(sizes).items():
        digest, size, digests = digests_of(folder / name, progress, chunk)
        used = chunk if digests else LARGEST_CHUNK  # which a manifest does not tell
        files[name] = File(sha256=digest, size=size, type=media.type_of(name), chunk=used, chunks=digests)
    return files


def head(folder: Path, name: str, most: int) -> bytes:
    """Return the first bytes of the file ``name``, at most ``most``."""
    with (folder / name).open("rb") as file:
        return file.read(most)


def digests_of(path: Path, progress: Progress = lambda _: None, chunk: int = LARGEST_CHUNK) -> tuple[str, int, bytes]:
    """Return SHA-256 in hex, size in bytes, and digests by ``chunk`` bytes (none of a file that is one) of the file at ``path``."""
    digest, size, digests = hashlib.sha256(), 0, bytearray()
    with path.open("rb") as file:
        while part := file.read(chunk):
            digest.update(part)
            digests += hashlib.sha256(part).digest() if size else digest.digest()
            size += len(part)
            progress(len(part))
    return digest.hexdigest(), size, bytes(digests) if size > chunk else b""


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


def absences(folder: Path, release: Release) -> list[Fault]:
    """Return each file that ``release`` names and ``folder`` has not, or has in another size; links are no files."""
    there = {found.name: found.path for found in _walk(folder) if found.name in release.files and not found.fault}
    faults = []
    for name, file in release.files.items():
        told = there[name].lstat() if name in there else None
        if told is None or not stat.S_ISREG(told.st_mode):
            mend = "put it back, or make the release anew without it"
            faults.append(_fault(folder / name, "is missing, and the manifest names it", mend))
        elif told.st_size != file.size:
            mend = "make the release anew, or put the signed file back"
            faults.append(_fault(folder / name, f"has {told.st_size} bytes, the manifest says {file.size}", mend))
    return faults


def differences(folder: Path, release: Release, progress: Progress = lambda _: None) -> list[Fault]:
    """Return each file of ``folder`` that is not what ``release`` says, and each that it does not name."""
    faults = absences(folder, release)
    wrong = {fault.file for fault in faults}
    for name, file in release.files.items():
        path = folder / name
        if paths.shown(str(path)) not in wrong and digest_of(path, progress)[0] != file.sha256:
            faults.append(_fault(path, "was changed: its SHA-256 is not the manifest's", "make the release anew"))
    known = {*release.files, paths.MANIFEST, paths.LISTING, paths.DESCRIPTION}
    for found in islice(_walk(folder), MOST_FILES):
        if found.name not in known:
            faults.append(_fault(found.path, found.fault or "is not in the manifest", "take it out, or make anew"))
    return bounded(faults)


def _walk(folder: Path, above: str = "", depth: int = 1) -> Iterator[Found]:
    """Yield every entry below ``folder`` that is no folder; links are not followed, and nothing is deeper than names may be."""
    try:
        with os.scandir(folder) as entries:
            each = sorted(islice(entries, MOST_FILES + 2), key=lambda entry: entry.name)
    except OSError as error:
        told = "its name is too long" if error.errno == errno.ENAMETOOLONG else error.strerror
        yield Found(folder, above.rstrip("/"), f"cannot be read: {told}")
        return
    for entry in each:
        name = above + entry.name
        if not entry.is_dir(follow_symlinks=False):
            yield Found(Path(entry.path), name)
        elif depth >= paths.DEEPEST:
            yield Found(Path(entry.path), name, f"is a folder too deep: a path has at most {paths.DEEPEST} levels")
        else:
            yield from _walk(Path(entry.path), f"{name}/", depth + 1)


def _fault(path: Path, message: str, mend: str = "") -> Fault:
    return Fault(paths.shown(str(path)), 1, 1, "", message, hint=mend)
