"""Drafts that lack signatures: files in ``waiting/``, carried from holder to holder, put into force when enough have signed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tuf.api.metadata import Metadata, Root, Targets

from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import Corrupt, Refused
from appliance.runtime.files import write_atomic
from gateway.release.trust import drafts, layout, metadata, repository
from gateway.release.trust.files import Files
from gateway.release.trust.layout import ROOT, Name


@dataclass(frozen=True)
class Draft:
    """A file that waits, why it still does (an empty text: it was put into force), and how many have signed it."""

    name: Name
    path: Path
    lacks: str
    signatures: int


def propose(folder: Path, draft: Metadata[Root] | Metadata[Targets], keys: list[PrivateKey], now: datetime) -> Draft:
    """Write a draft, signed by ``keys``, and put it into force if these are enough.

    Raises:
        Refused: as ``put``, but for signatures that are to come.
    """
    signed: Metadata[Any] = draft
    metadata.sign(signed, *keys)
    name = Name(draft.signed.type, draft.signed.version)
    path = folder / layout.WAITING / name.file
    path.parent.mkdir(exist_ok=True)
    write_atomic(path, metadata.written(signed))
    return put(folder, path, now)


def sign(path: Path, key: PrivateKey) -> Metadata[Any]:
    """Add the signature of ``key`` to the file at ``path``, wherever it was carried, and return what was signed.

    Raises:
        Corrupt: it is no metadata of a root or of the operator's targets.
    """
    data = path.read_bytes()
    kind = layout.parse(path.name).kind
    if kind == "root":
        draft: Metadata[Any] = metadata.read(data, Root, path.name)
    elif kind == "targets":
        draft = metadata.read(data, Targets, path.name)
    else:
        raise Corrupt(f"{path.name} is signed by no holder: a root or the operator's targets are")
    write_atomic(path, metadata.written(metadata.sign(draft, key)))
    return draft


def put(folder: Path, path: Path, now: datetime) -> Draft:
    """Put the draft at ``path`` into force, or tell what it lacks. Copies that were signed apart come together here.

    Raises:
        Corrupt: it is no metadata.
        Refused: as ``repository.put``, but for signatures that are to come; or another draft of this name waits.
    """
    name, here = layout.parse(path.name), folder / layout.WAITING / path.name
    kind: Any = Root if name.kind == "root" else Targets
    draft: Metadata[Any] = metadata.read(path.read_bytes(), kind, name.file)
    if here.exists() and here != path:
        other: Metadata[Any] = metadata.read(here.read_bytes(), kind, name.file)
        if other.signed_bytes != draft.signed_bytes:
            raise Refused("mixed-metadata", f"{here} says something else than {path}: sign one of them", 409)
        draft.signatures.update(other.signatures)
        write_atomic(here, metadata.written(draft))
    files = Files(folder)
    if name.kind == "targets" and ROOT not in files.newest():
        return Draft(name, path, "the first root is not in force yet", len(draft.signatures))
    try:
        repository.put(folder, name.file, metadata.written(draft), now=now)
    except Refused as error:
        if error.reason != "wrong-key":
            raise
        return Draft(name, path, str(error), len(draft.signatures))
    here.unlink(missing_ok=True)
    return Draft(name, path, "", len(draft.signatures))


def waiting(folder: Path) -> list[Path]:
    """Return the drafts that wait in a repository, the roots first."""
    found = []
    for path in sorted((folder / layout.WAITING).glob("*.json")):
        name = layout.parse(path.name)
        found.append((name.kind != "root", name.version or 0, path))
    return [path for _, _, path in sorted(found)]


def next_root(folder: Path, holders: drafts.Holders, now: datetime) -> Metadata[Root]:
    """Return the draft of the root that follows the newest one.

    Raises:
        Corrupt: there is none that it could follow.
        Refused: no root can name these holders.
    """
    return drafts.root(holders, repository.root_of(Files(folder)).signed.version + 1, now)
