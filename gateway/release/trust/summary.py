"""A repository in words and figures, for people and programs. Nothing here is a proof: boxes verify, these lines tell."""

from __future__ import annotations

import hashlib
from typing import Any

from tuf.api.metadata import Root, Targets, Timestamp

from appliance.runtime.errors import Corrupt
from gateway.release.trust import drafts, layout, listing, metadata, repository
from gateway.release.trust.delegate import Delegate, delegates_of
from gateway.release.trust.files import Files
from gateway.release.trust.layout import TARGETS, TIMESTAMP, Name


def pin(files: Files) -> str:
    """Return the SHA-256 of the first root, which policies pin.

    Raises:
        Corrupt: there is none yet.
    """
    data = files.read(Name(layout.ROOT, 1))
    if data is None:
        raise Corrupt(f"{files.folder} holds no root yet")
    return hashlib.sha256(data).hexdigest()


def words(signed: Root | Targets) -> str:
    """Return what a draft says, for whoever signs it."""
    until = f"until {signed.expires.isoformat()}"
    if isinstance(signed, Root):
        held = drafts.holders_of(signed)
        root = f"{held.threshold} of {', '.join(str(key) for key in held.root)} hold the root"
        bodies = f"{held.operator_threshold} of {', '.join(str(key) for key in held.operator)} say who is admitted"
        return f"{root}; {bodies}; {', '.join(str(key) for key in held.online)} is online; {until}"
    admitted = [
        f"{body.body} ({', '.join(body.leading)}: {', '.join(body.acts)})" for body in delegates_of(signed).values()
    ]
    return f"admitted: {'; '.join(admitted) or 'nobody'}; {until}"


def told(files: Files, waiting: list[str]) -> dict[str, Any]:
    """Return what the repository holds.

    Raises:
        Corrupt: a file is damaged.
        Refused: a root is not signed by the one before.
    """
    newest = files.newest()
    found: dict[str, Any] = {"waiting": waiting, "pin": None, "root": None, "bodies": {}, "timestamp": None}
    if layout.ROOT not in newest:
        return found
    root = repository.root_of(files).signed
    held = drafts.holders_of(root)
    found["pin"] = pin(files)
    found["root"] = {
        "version": root.version,
        "expires": root.expires.isoformat(),
        "threshold": held.threshold,
        "keys": [str(key) for key in held.root],
        "operator_threshold": held.operator_threshold,
        "operator": [str(key) for key in held.operator],
        "online": [str(key) for key in held.online],
    }
    if TARGETS in newest:
        targets = repository.targets_of(files).signed
        found["targets"] = {"version": targets.version, "expires": targets.expires.isoformat()}
        found["bodies"] = {body: _body(files, newest, known) for body, known in delegates_of(targets).items()}
    data = files.read(Name(TIMESTAMP, None))
    if data is not None:
        timestamp = metadata.read(data, Timestamp, "timestamp.json").signed
        found["timestamp"] = {
            "version": timestamp.version,
            "expires": timestamp.expires.isoformat(),
            "snapshot": timestamp.snapshot_meta.version,
        }
    return found


def _body(files: Files, newest: dict[str, int], known: Delegate) -> dict[str, Any]:
    prefix = layout.bins_of(known.body, known.bits) + "-"
    bins = [repository.bin_content(files, name) for name in newest if name.startswith(prefix)]
    role = repository.role_content(files, known.body)
    return {
        "identifiers": list(known.leading),
        "acts": list(known.acts),
        "keys": [str(key) for key in known.keys],
        "signs_with": str(key) if role and (key := listing.signs_with(role)) else None,
        "bins": 1 << known.bits,
        "releases": sum(len(content.targets) for content in bins if content),
        "expires": min(content.expires for content in (*bins, role) if content).isoformat() if role else None,
    }


def lines(found: dict[str, Any]) -> list[str]:
    """Return what ``told`` found, in words."""
    said = [f"waits for signatures: {name}" for name in found["waiting"]]
    if found["root"] is None:
        return [*said, "no root is in force yet"]
    root = found["root"]
    said += [
        f"pin: {found['pin']}",
        f"root {root['version']} until {root['expires']}: {root['threshold']} of {', '.join(root['keys'])}",
        f"operator: {root['operator_threshold']} of {', '.join(root['operator'])}",
        f"online: {', '.join(root['online'])}",
    ]
    for body, told_of in found["bodies"].items():
        said.append(
            f"{body}: {', '.join(told_of['identifiers'])}; {', '.join(told_of['acts'])}; "
            f"{told_of['releases']} releases; keys {', '.join(told_of['keys'])}"
            + (f"; signs with {told_of['signs_with']} until {told_of['expires']}" if told_of["expires"] else "")
        )
    stamp = found["timestamp"]
    said.append(
        f"timestamp {stamp['version']} (snapshot {stamp['snapshot']}) until {stamp['expires']}"
        if stamp
        else "no timestamp yet: 'headgate release trust refresh'"
    )
    return said
