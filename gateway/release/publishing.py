"""A release in a folder -> a sink, such as an origin's folder: files first, the manifest last, from where it was broken off.

A sink is anything that takes files piece by piece and tells what it has already: ``origin.py`` is the one on a disk.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Protocol

from appliance.runtime.errors import ConfigError, Fault, Refused
from gateway.release import folder as folders
from gateway.release import paths
from gateway.release.folder import Progress
from gateway.release.manifest import PIECE, File, Release


class Sink(Protocol):
    """Where a release is published."""

    def manifest(self) -> tuple[bytes, Release] | None:
        """Return the envelope that is there and what it claims, or None."""

    def have(self, path: str, file: File) -> int | None:
        """Return how many verified bytes of ``file`` were taken already, from its first one on; None: it is whole and in place."""

    def take(self, path: str, file: File, first: int, data: bytes) -> None:
        """Take the bytes of ``file`` from ``first`` on, a piece."""

    def finish(self, path: str, file: File) -> None:
        """Put ``file``, whose bytes were all taken, durably into its place."""

    def commit(self, envelope: bytes) -> None:
        """Put the manifest durably into its place; every file that it names is there."""


def publish(folder: Path, sink: Sink, progress: Progress = lambda _: None) -> int:
    """Copy the release in ``folder`` to ``sink``; return how many files had to be copied. Doing it again copies nothing.

    Raises:
        ConfigError: ``folder`` holds no release, or its files are not what the manifest says; holds all faults.
        Refused: the sink has a newer version (``older-version``), or another content under the same version.
    """
    data, release = made_in(folder)
    if faults := folders.absences(folder, release):
        raise ConfigError(folders.bounded(faults))
    there = sink.manifest()
    if there is not None:
        _newer(release, there[1])
    copied, faults = 0, []
    for name, file in release.files.items():
        have = sink.have(name, file)
        progress(file.size if have is None else have)
        if have is None:
            continue
        if _copy(folder / name, name, file, sink, have, progress):
            copied += 1
        else:  # the other files are copied all the same, so that the next time only this one is left
            mend = "make the release anew, or put the signed file back"
            faults.append(_fault(folder / name, "was changed since the manifest was made: its SHA-256 differs", mend))
    if faults:
        raise ConfigError(folders.bounded(faults))
    if there is None or there[0] != data:
        sink.commit(data)
    return copied


def made_in(folder: Path) -> tuple[bytes, Release]:
    """Return the envelope in ``folder`` and what it claims.

    Raises:
        ConfigError: there is none.
    """
    found = folders.read_claimed(folder)
    if found is None:
        mend = "run 'headgate release make' first"
        raise ConfigError([_fault(folder, f"holds no {paths.MANIFEST}", mend)])
    return found


def _newer(release: Release, known: Release) -> None:
    if known.version > release.version:
        raise Refused("older-version", f"the origin has version {known.version}, this is {release.version}")
    if known.version == release.version and known != release:
        raise Refused("older-version", f"the origin has other content as version {known.version}: make a new version")


def _copy(source: Path, name: str, file: File, sink: Sink, first: int, progress: Progress) -> bool:
    """Hand the bytes of ``source`` from ``first`` on to ``sink``; return whether the whole is what the manifest says."""
    digest, at = hashlib.sha256(), 0
    with source.open("rb") as data:
        while at < file.size and (piece := data.read(PIECE)):
            digest.update(piece)
            if file.chunks and not file.signs(at, piece):
                return False
            if at >= first:
                sink.take(name, file, at, piece)
                progress(len(piece))
            at += len(piece)
    if (digest.hexdigest(), at) != (file.sha256, file.size):
        return False
    sink.finish(name, file)
    return True


def _fault(path: Path, message: str, mend: str) -> Fault:
    return Fault(paths.shown(str(path)), 1, 1, "", message, hint=mend)
