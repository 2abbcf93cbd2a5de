"""What the operator decides, as metadata that waits for signatures: the root, and which bodies are admitted. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tuf.api.metadata import Delegations, Metadata, Role, Root, Targets

from appliance.identity.keys import PublicKey
from appliance.runtime.errors import Refused
from gateway.release.trust import layout, metadata
from gateway.release.trust.delegate import Delegate, admitted, delegates_of
from gateway.release.trust.layout import ROOT, SNAPSHOT, TARGETS, TIMESTAMP

ROOT_LASTS = timedelta(days=730)
TARGETS_LASTS = timedelta(days=365)
MOST_KEYS = 16  # of one role


@dataclass(frozen=True)
class Holders:
    """Whose keys a root names: enough of ``root`` sign the next root, enough of ``operator`` who is admitted, ``online`` the rest."""

    root: tuple[PublicKey, ...]
    threshold: int
    operator: tuple[PublicKey, ...]
    operator_threshold: int
    online: tuple[PublicKey, ...]  # more than one while it changes

    def fault(self) -> str:
        """Return what is wrong with these keys, or an empty text."""
        for what, keys, threshold in (
            ("root", self.root, self.threshold),
            ("operator's", self.operator, self.operator_threshold),
            ("online", self.online, 1),
        ):
            if len(set(keys)) != len(keys) or not 1 <= len(keys) <= MOST_KEYS:
                return f"there are 1 to {MOST_KEYS} {what} keys, each named once"
            if not 1 <= threshold <= len(keys):
                return f"of {len(keys)} {what} keys no {threshold} can sign"
        if set(self.online) & {*self.root, *self.operator}:
            return "the online key lies on a server: it cannot be a root key or an operator's key too"
        return ""


def root(holders: Holders, version: int, now: datetime) -> Metadata[Root]:
    """Return a root that names ``holders``, unsigned.

    Raises:
        Refused: so no root can be (``bad-request``).
    """
    if fault := holders.fault():
        raise Refused("bad-request", fault, 400)

    def role(keys: Sequence[PublicKey], threshold: int) -> Role:
        return Role([metadata.key_id(key) for key in keys], threshold)

    every = (*holders.root, *holders.operator, *holders.online)
    return Metadata(
        Root(
            version=version,
            expires=metadata.moment(now) + ROOT_LASTS,
            keys={metadata.key_id(key): metadata.key_of(key) for key in every},
            roles={
                ROOT: role(holders.root, holders.threshold),
                TARGETS: role(holders.operator, holders.operator_threshold),
                SNAPSHOT: role(holders.online, 1),
                TIMESTAMP: role(holders.online, 1),
            },
            consistent_snapshot=True,
        )
    )


def holders_of(known: Root) -> Holders:
    """Return whose keys a root names.

    Raises:
        Corrupt: a key is of another kind than Ed25519.
    """

    def keys(role: str) -> tuple[PublicKey, ...]:
        return tuple(metadata.public_of(known.keys[key]) for key in known.roles[role].keyids)

    return Holders(
        keys(ROOT), known.roles[ROOT].threshold, keys(TARGETS), known.roles[TARGETS].threshold, keys(TIMESTAMP)
    )


def targets(old: Targets | None, bodies: Sequence[Delegate], now: datetime) -> Metadata[Targets]:
    """Return the operator's targets that follow ``old`` and admit ``bodies``, unsigned.

    Raises:
        Refused: a body's name, keys, range or number of bins cannot be (``bad-request``), or two bodies' ranges meet
            (``outside-identifiers``): then either could replace the other's releases.
    """
    for body in bodies:
        if fault := fault_in(body):
            raise Refused("bad-request", f"{body.body}: {fault}", 400)
    ranges = sorted((leading, body.body) for body in bodies for leading in body.leading)
    for (first, owner), (second, other) in itertools.pairwise(ranges):
        if second.startswith(first):
            raise Refused("outside-identifiers", f"{second} of '{other}' meets {first} of '{owner}'")
    keys = {metadata.key_id(key): metadata.key_of(key) for body in bodies for key in body.keys}
    return Metadata(
        Targets(
            version=1 if old is None else old.version + 1,
            expires=metadata.moment(now) + TARGETS_LASTS,
            delegations=Delegations(keys, {body.body: admitted(body) for body in bodies}),
        )
    )


def fault_in(body: Delegate) -> str:
    """Return what is wrong with what shall be delegated to a body, or an empty text."""
    if fault := layout.fault_in_body(body.body):
        return fault
    if not 1 <= len(set(body.keys)) == len(body.keys) <= MOST_KEYS:
        return f"a body has 1 to {MOST_KEYS} keys, each named once"
    if not body.leading or not body.acts:
        return "a body is admitted for a range of codes and for at least one act"
    if not 1 <= body.bits <= layout.MOST_BITS:
        return f"a body has 2 to {1 << layout.MOST_BITS} bins"
    for leading in body.leading:
        layout.pattern_of(leading)
    return ""


def admit(old: Targets, body: Delegate, now: datetime) -> Metadata[Targets]:
    """Return targets that admit ``body``, a new one or one that is known with other keys, range or acts.

    Raises:
        Refused: as ``targets``; or the number of its bins is another one, in which nothing would be found again.
    """
    bodies = delegates_of(old)
    known = bodies.get(body.body)
    if known is not None and known.bits != body.bits:
        raise Refused("bad-request", f"'{body.body}' has {1 << known.bits} bins; the number stays", 400)
    return targets(old, list((bodies | {body.body: body}).values()), now)


def dismiss(old: Targets, body: str, now: datetime) -> Metadata[Targets]:
    """Return targets that no longer admit ``body``: nothing it lists counts from then on.

    Raises:
        Refused: it is not admitted (``not-admitted``).
    """
    bodies = delegates_of(old)
    if body not in bodies:
        raise Refused("not-admitted", f"no body '{body}' is admitted")
    return targets(old, [other for name, other in bodies.items() if name != body], now)


def reissued(old: Targets, now: datetime) -> Metadata[Targets]:
    """Return targets that admit the same bodies, to be signed anew: by other keys of the operator, or before they expire."""
    return targets(old, list(delegates_of(old).values()), now)


def with_keys(
    keys: tuple[PublicKey, ...], add: Sequence[PublicKey], remove: Sequence[PublicKey]
) -> tuple[PublicKey, ...]:
    """Return ``keys`` with those to add at the end and without those to remove.

    Raises:
        Refused: one to remove is not there (``wrong-key``).
    """
    if missing := [key for key in remove if key not in keys]:
        raise Refused("wrong-key", f"{missing[0]} is none of these keys")
    return tuple(dict.fromkeys([key for key in (*keys, *add) if key not in remove]))


def rekeyed(body: Delegate, add: Sequence[PublicKey], remove: Sequence[PublicKey]) -> Delegate:
    """Return a body with other keys.

    Raises:
        Refused: as ``with_keys``.
    """
    return replace(body, keys=with_keys(body.keys, add, remove))
