"""Names in the repository: roles, files, and the paths by which releases are listed."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Literal

from appliance.runtime.errors import Refused
from gateway.release import paths

ROOT, TARGETS, SNAPSHOT, TIMESTAMP = "root", "targets", "snapshot", "timestamp"
TOP = (ROOT, TARGETS, SNAPSHOT, TIMESTAMP)
TRUST = "trust"  # the folder that an origin serves
TIMESTAMP_FILE = "timestamp.json"
FIRST_ROOT = "1.root.json"
WAITING = "waiting"  # folder of drafts that lack signatures
MOST_BITS = 14  # 16 384 bins of a body: 6 000 000 releases with bins of 400
BITS = 6  # 64 bins
NEWEST = (1 << 53) - 1  # the largest version that every JSON reader keeps exact
LARGEST = {ROOT: 512 << 10, TARGETS: 8 << 20, SNAPSHOT: 16 << 20, TIMESTAMP: 16 << 10, "body": 64 << 10, "bin": 4 << 20}

Kind = Literal["root", "targets", "snapshot", "timestamp", "body", "bin"]
_KINDS: dict[str, Kind] = {ROOT: "root", TARGETS: "targets", SNAPSHOT: "snapshot", TIMESTAMP: "timestamp"}
_BODY = r"[a-z0-9][a-z0-9-]{0,62}"
_ROLE = re.compile(rf"(?P<body>{_BODY})(\.(?P<bits>[1-9]\d?)-(?P<bin>[0-9a-f]{{1,4}}))?", re.ASCII)
_FILE = re.compile(r"(?P<version>[1-9]\d{0,15})\.(?P<role>[^/]{1,90})\.json", re.ASCII)
_LEADING = re.compile(r"isli:[0-9A-Z-]{0,100}", re.ASCII)  # nothing that means more than itself in a pattern


@dataclass(frozen=True)
class Name:
    """A file of the repository, read from its name: ``timestamp.json`` has no version."""

    role: str
    version: int | None

    @property
    def file(self) -> str:
        """The file's name, such as ``12.library.6-0a.json``."""
        return f"{self.role}.json" if self.version is None else f"{self.version}.{self.role}.json"

    @property
    def kind(self) -> Kind:
        """Which of the six kinds of metadata it is."""
        return _KINDS.get(self.role) or ("bin" if "." in self.role else "body")

    @property
    def body(self) -> str:
        """The body whose file it is, an empty text for the operator's."""
        return "" if self.role in TOP else self.role.partition(".")[0]

    @property
    def largest(self) -> int:
        """How many bytes it may have."""
        return LARGEST[self.kind]


@dataclass(frozen=True)
class Needed:
    """The file that is to be given before the question can be answered, of at most ``largest`` bytes."""

    file: str
    largest: int


def parse(file: str) -> Name:
    """Return what the file name says.

    Raises:
        Refused: no file of a repository has this name (``bad-request``).
    """
    if file == TIMESTAMP_FILE:
        return Name(TIMESTAMP, None)
    if (found := _FILE.fullmatch(file)) and int(found["version"]) <= NEWEST:
        role = found["role"]
        if role in (ROOT, TARGETS, SNAPSHOT) or (role not in TOP and _ROLE.fullmatch(role)):
            return Name(role, int(found["version"]))
    raise Refused("bad-request", f"{file[:100]!r} is no name of trust metadata, such as 3.targets.json", 400)


def fault_in_body(body: str) -> str:
    """Return why a role cannot go by this name, or an empty text."""
    if body in TOP or re.fullmatch(_BODY, body, re.ASCII) is None:
        return "a body's name has small letters, digits and '-', at most 63, and is none of " + ", ".join(TOP)
    return ""


def bins_of(body: str, bits: int) -> str:
    """Return what the names of a body's bins begin with; no body's name has a dot, so nobody's bins are another's."""
    return f"{body}.{bits}"


def bin_of(body: str, bits: int, code: str) -> str:
    """Return the bin that lists the release ``code``: by the first bits of the digest of its path (TAP 15)."""
    number = int.from_bytes(hashlib.sha256(path_of(code).encode()).digest()[:4], "big") >> (32 - bits)
    return f"{bins_of(body, bits)}-{number:0{len(f'{(1 << bits) - 1:x}')}x}"


def path_of(code: str) -> str:
    """Return the path by which the release ``code`` is listed: its envelope, below the origin's ``/releases/``."""
    return f"{code}/{paths.MANIFEST}"


def code_of(path: str) -> str:
    """Return the code of the release that is listed as ``path``, an empty text if it is no release's path."""
    code, _, name = path.partition("/")
    return code if name == paths.MANIFEST else ""


def pattern_of(leading: str) -> str:
    """Return the TUF path pattern of all codes that begin with ``leading``, such as ``isli:999999-1``.

    Raises:
        Refused: it is no leading part of ISLI codes (``bad-request``).
    """
    if _LEADING.fullmatch(leading) is None:
        raise Refused("bad-request", f"{leading[:100]!r} is no leading part of codes, such as isli:999999-1", 400)
    return f"{leading.partition(':')[2]}*/{paths.MANIFEST}"


def leading_of(pattern: str) -> str:
    """Return the leading part of canonical codes that a pattern made by ``pattern_of`` stands for."""
    return "isli:" + pattern.removesuffix(f"*/{paths.MANIFEST}")
