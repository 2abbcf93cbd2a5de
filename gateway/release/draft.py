"""A folder and what was written about it, looked through before anything is signed: what would be made, and every fault at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from appliance.runtime.errors import ConfigError, Fault
from gateway.release import description as descriptions
from gateway.release import folder as folders
from gateway.release import media, paths, structure
from gateway.release.description import Description, Written
from gateway.release.manifest import Source
from gateway.release.structure import Structure


@dataclass(frozen=True)
class Draft:
    """A release that is not made yet; ``entry`` is empty where it is not known."""

    folder: Path
    sizes: Mapping[str, int]
    description: Description
    structure: Structure
    entry: str
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...]

    def check(self) -> None:
        """Let pass what can be made.

        Raises:
            ConfigError: it cannot; holds all faults.
        """
        if self.faults:
            raise ConfigError(folders.bounded(list(self.faults)))


def draw(
    folder: Path, written: Path | None, told: Mapping[str, Any], sources: tuple[Source, ...], now: datetime
) -> Draft:
    """Return the draft of ``folder``: described by the file ``written`` (or the one that is found), and ``told`` on the command line."""
    sizes, faults = folders.look_through(folder)
    described = Description(Written(), "release.yaml")
    try:
        path = written or descriptions.find(folder)
        if path is not None:
            described = descriptions.read(path)
        described = descriptions.overridden(described, told, sources)
        known = True
    except ConfigError as error:
        faults += error.faults
        known = False  # what is lacking cannot be told of a description that cannot be read
    found = structure.look(sizes, lambda name, most: folders.head(folder, name, most), described.written.labels)
    obvious = structure.entry_of(sizes)
    if known and sizes:
        faults += descriptions.lacking(described, obvious, sizes)
        faults += descriptions.outdated(described, now)
    for grant in described.grants:
        if grant.resolve().is_relative_to(folder.resolve()):
            why = "is a grant, and would be published as one of the files: the manifest carries it already"
            faults.append(
                Fault(paths.shown(str(grant)), 1, 1, "", why, hint="put it and release.yaml beside the folder")
            )
    faults += [_placed(folder, fault) for fault in found.faults]
    warnings = [_placed(folder, fault) for fault in found.warnings]
    unknown = sorted({f".{name.rpartition('.')[2]}" for name in sizes if media.type_of(name) == media.UNKNOWN})
    if unknown:
        kinds = ", ".join(paths.shown(each) for each in unknown[:8])
        warnings.append(Fault(str(folder), 1, 1, "", f"content type unknown, told as {media.UNKNOWN}: {kinds}"))
    entry = described.written.entry or (obvious if isinstance(obvious, str) else "")
    return Draft(folder, sizes, described, found, entry, tuple(faults), tuple(warnings))


def _placed(folder: Path, fault: Fault) -> Fault:
    return replace(fault, file=paths.shown(str(folder / fault.file)))
