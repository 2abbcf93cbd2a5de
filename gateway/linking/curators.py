"""Who may curate: a file with a name and the digest of a token on each line; tokens themselves are kept nowhere."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from appliance.runtime.errors import ConfigError, Fault, Refused
from appliance.runtime.files import write_atomic

MOST = 200  # curators
LARGEST = 64 << 10  # bytes of the file
LONGEST_TOKEN = 128  # characters
NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
_LINE = re.compile(rf"({NAME.pattern})\s+sha256:([0-9a-f]{{64}})")


@dataclass(frozen=True)
class Curators:
    """Names and their tokens' digests."""

    digests: dict[str, str]

    def name_of(self, token: str) -> str | None:
        """Return whose token this is; it takes the same time whoever's it is."""
        given, found = digest(token[:LONGEST_TOKEN]), None
        for name, known in self.digests.items():
            if hmac.compare_digest(given, known):
                found = name
        return found


def digest(token: str) -> str:
    """Return what the file keeps of a token; tokens are random and long, so a plain hash is enough."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def load(path: Path) -> Curators:
    """Return the curators that ``path`` names; nobody where it does not exist.

    Raises:
        ConfigError: a line is wrong.
    """
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST + 1).decode(errors="replace")
    except FileNotFoundError:
        return Curators({})
    except OSError as error:
        raise ConfigError([Fault(str(path), 1, 1, "", f"cannot be read: {error.strerror}")]) from error
    found: dict[str, str] = {}
    faults = [Fault(str(path), 1, 1, "", f"has more than {LARGEST} bytes")] if len(text) > LARGEST else []
    for number, line in enumerate(text[:LARGEST].splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        matched = _LINE.fullmatch(line.strip())
        if matched is None:
            faults.append(
                Fault(str(path), number, 1, "", "is not NAME sha256:DIGEST; 'headgate link curator' writes it")
            )
        elif matched[1] in found:
            faults.append(Fault(str(path), number, 1, "", f"'{matched[1]}' is named twice"))
        else:
            found[matched[1]] = matched[2]
    if len(found) > MOST:
        faults.append(Fault(str(path), 1, 1, "", f"names more than {MOST} curators"))
    if faults:
        raise ConfigError(faults)
    return Curators(found)


def admit(path: Path, name: str, *, remove: bool = False) -> str:
    """Give ``name`` a new token, or take hers away, and return it ("" where it was taken away); the file is replaced whole.

    Raises:
        ConfigError: the file is wrong.
        Refused: ``bad-name``, ``unknown-curator``, ``too-many``.
    """
    if not NAME.fullmatch(name):
        raise Refused("bad-name", "a curator's name is small letters, digits, dots and dashes", 400)
    known = dict(load(path).digests)
    token = ""
    if remove:
        if known.pop(name, None) is None:
            raise Refused("unknown-curator", f"'{name}' is no curator", 404)
    else:
        token = secrets.token_urlsafe(24)
        known[name] = digest(token)
    if len(known) > MOST:
        raise Refused("too-many", f"at most {MOST} curators", 409)
    text = "".join(f"{who} sha256:{what}\n" for who, what in sorted(known.items()))
    group = path.stat().st_gid if path.exists() else path.parent.stat().st_gid
    write_atomic(path, text.encode(), 0o640)
    _hand(path, group)
    return token


def _hand(path: Path, group: int) -> None:
    """Let the daemon's group read it, where we may."""
    if os.geteuid() == 0:
        os.chown(path, 0, group)
