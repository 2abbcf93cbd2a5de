"""The lab's trust: the ceremony that the operator's people hold, and what the library lists afterwards.

Each holder's key lies in the operator's folder here; at a real operator these are different people (docs/releases.md).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.identity.keys import PrivateKey

if TYPE_CHECKING:
    from provisioning.lab.operator import Operator

HOLDERS = ("root-a", "root-b", "root-c")  # of whom two sign
ADMISSIONS = "admissions"  # signs which bodies are admitted
ONLINE = "trust"  # the centre's
REGULATOR = "regulator"  # orders withdrawals
KEYS = (*HOLDERS, ADMISSIONS, ONLINE, REGULATOR)


def folder_of(operator: Operator) -> Path:
    """Return the repository's folder."""
    return operator.folder / "trust"


def begin(operator: Operator, body: str, key: str, identifiers: str) -> str:
    """Hold the ceremony, admit ``body`` with its key's name and range, and return the SHA-256 of the first root.

    Raises:
        CommandFailed: a step of it failed.
    """
    for name in KEYS:
        if not operator.key(name).exists():
            PrivateKey.generate().save(operator.key(name))
    folder = folder_of(operator)
    if not (folder / "1.root.json").exists():
        roots = [word for name in HOLDERS for word in ("--root", _public(operator, name))]
        others = ["--operator", _public(operator, ADMISSIONS), "--online", _public(operator, ONLINE)]
        signing = [word for name in (*HOLDERS[:2], ADMISSIONS) for word in ("--sign", str(operator.key(name)))]
        operator.headgate("release", "trust", "new", str(folder), *roots, "--threshold", "2", *others, *signing)
        admitted = [body, "--key", _public(operator, key), "--identifiers", identifiers, "--act", "share"]
        operator.headgate("release", "trust", "admit", str(folder), *admitted, "--sign", str(operator.key(ADMISSIONS)))
    return hashlib.sha256((folder / "1.root.json").read_bytes()).hexdigest()


def list_release(operator: Operator, release: Path, key: str, controller: str) -> None:
    """Let the body list the release in the folder ``release``, and hand what it signed to the controller.

    Raises:
        CommandFailed: it was not taken.
    """
    folder = str(folder_of(operator))
    operator.headgate("release", "trust", "fetch", folder, "--from", controller)  # what came in from the institution
    operator.headgate("release", "trust", "list", folder, str(release), "--key", str(operator.key(key)))
    operator.headgate("release", "trust", "send", folder, "--to", controller)


def _public(operator: Operator, name: str) -> str:
    return str(PrivateKey.load(operator.key(name)).public)
