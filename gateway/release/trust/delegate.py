"""What the operator delegates to a body: its keys, the codes it may list, what it is admitted for, and how many bins it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tuf.api.metadata import DelegatedRole, Key, Targets

from appliance.identity.keys import PublicKey
from appliance.runtime.errors import Corrupt, Refused
from gateway.release.trust import layout, metadata

ACTS = ("share", "associate", "reconstruct")


@dataclass(frozen=True)
class Delegate:
    """An admitted body, as the operator's targets metadata says it."""

    body: str
    keys: tuple[PublicKey, ...]
    leading: tuple[str, ...]  # parts that its codes begin with, such as isli:999999-1
    acts: tuple[str, ...]
    bits: int  # of its releases' path digests, by which they lie in bins

    def may_list(self, code: str) -> bool:
        """Return whether the release ``code`` (the part after ``isli:``) is within its range."""
        return any(f"isli:{code}".startswith(leading) for leading in self.leading)


def delegates_of(targets: Targets) -> dict[str, Delegate]:
    """Return every admitted body by its name.

    Raises:
        Corrupt: a delegation is none that ``admitted`` writes.
    """
    if targets.delegations is None:
        return {}
    if targets.delegations.roles is None:
        raise Corrupt("the operator's metadata delegates to bins, not to bodies")
    return {name: _read(role, targets.delegations.keys) for name, role in targets.delegations.roles.items()}


def delegate_of(targets: Targets, body: str) -> Delegate | None:
    """Return what is delegated to ``body``, or None.

    Raises:
        Corrupt: its delegation is none that ``admitted`` writes.
    """
    roles = targets.delegations.roles if targets.delegations is not None else None
    role = roles.get(body) if roles is not None else None
    return None if role is None or targets.delegations is None else _read(role, targets.delegations.keys)


def _read(role: DelegatedRole, keys: Mapping[str, Key]) -> Delegate:
    acts, bits = role.unrecognized_fields.get("acts"), role.unrecognized_fields.get("bits")
    if (
        layout.fault_in_body(role.name)
        or not role.paths
        or not isinstance(acts, list)
        or not acts
        or any(act not in ACTS for act in acts)
        or type(bits) is not int
        or not 1 <= bits <= layout.MOST_BITS
        or any(key not in keys for key in role.keyids)
    ):
        raise Corrupt(f"the delegation to '{role.name[:64]}' cannot be read")
    leading = tuple(layout.leading_of(pattern) for pattern in role.paths)
    try:
        known = [layout.pattern_of(part) for part in leading]
    except Refused as error:
        raise Corrupt(f"the delegation to '{role.name[:64]}' has a path that is no range of codes") from error
    if known != role.paths:
        raise Corrupt(f"the delegation to '{role.name[:64]}' has a path that is no range of codes")
    public = tuple(metadata.public_of(keys[key]) for key in role.keyids)
    return Delegate(role.name, public, leading, tuple(acts), bits)


def admitted(delegate: Delegate) -> DelegatedRole:
    """Return the delegation to a body: by path patterns, the last word on its range, with what it is admitted for."""
    return DelegatedRole(
        delegate.body,
        [metadata.key_id(key) for key in delegate.keys],
        threshold=1,
        terminating=True,
        paths=[layout.pattern_of(leading) for leading in delegate.leading],
        unrecognized_fields={"acts": list(delegate.acts), "bits": delegate.bits},
    )
