"""The report's files: one signed JSON and a page in each language; and an auditor's way back from file to verified audit."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from appliance.identity import envelope
from appliance.identity.keys import PrivateKey, PublicKey
from appliance.runtime.errors import Corrupt
from appliance.runtime.files import write_atomic
from gateway.isolation.report.model import LARGEST, Audit, from_json
from gateway.isolation.report.page import page
from gateway.isolation.report.words import LANGUAGES, Language

KIND = "application/vnd.headgate.audit+json"
LARGEST_FILE = 2 * LARGEST  # bytes; an envelope is a third longer than what it holds


@dataclass(frozen=True)
class Written:
    """Where a report was written, and the SHA-256 of its signed file."""

    json: Path
    pages: Mapping[Language, Path]
    digest: str


@dataclass(frozen=True)
class Verified:
    """An audit whose signature was checked, and the SHA-256 of its file."""

    audit: Audit
    digest: str


def write(audit: Audit, key: PrivateKey, folder: Path) -> Written:
    """Write the signed JSON of ``audit`` and its pages into ``folder``, durably.

    Raises:
        ValueError: ``key`` is not the one that the audit names.
    """
    if str(key.public) != audit.box.key:
        raise ValueError("an audit is signed by the key that it names")
    folder.mkdir(parents=True, exist_ok=True)
    data = envelope.seal(audit.as_bytes(), KIND, key) + b"\n"
    digest = hashlib.sha256(data).hexdigest()
    path = folder / f"{audit.name}.json"
    write_atomic(path, data)
    return Written(path, write_pages(audit, digest, folder), digest)


def write_pages(audit: Audit, digest: str, folder: Path) -> dict[Language, Path]:
    """Write the page of ``audit`` in each language into ``folder``; the same audit gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    paths: dict[Language, Path] = {}
    for lang in LANGUAGES:
        paths[lang] = folder / f"{audit.name}.{lang}.html"
        write_atomic(paths[lang], page(audit, digest, lang).encode())
    return paths


def verify(path: Path, key: PublicKey) -> Verified:
    """Return the audit in the file at ``path``, which ``key`` signed; needs neither the box nor a network.

    Raises:
        Corrupt: it cannot be read, is no signed audit, or names another key than the one that signed it.
        Refused: ``key`` did not sign it (reason ``not-signed``).
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise Corrupt(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > LARGEST_FILE:
        raise Corrupt(f"{path} is longer than {LARGEST_FILE} bytes")
    payload, _ = envelope.open_sealed(data, KIND, [key])
    audit = from_json(payload)
    if audit.box.key != str(key):
        raise Corrupt(f"the audit names the key {audit.box.key[:60]}, but another signed it")
    return Verified(audit, hashlib.sha256(data).hexdigest())


def differing_pages(verified: Verified, folder: Path) -> list[Path]:
    """Return the pages of this report in ``folder`` that are not, byte for byte, what its JSON says."""
    found = []
    for lang in LANGUAGES:
        path = folder / f"{verified.audit.name}.{lang}.html"
        if path.is_file() and path.read_bytes() != page(verified.audit, verified.digest, lang).encode():
            found.append(path)
    return found
