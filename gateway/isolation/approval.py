"""May this policy follow the one in force? Serials only grow, and as many keys as that one says sign the successor's exact bytes.

Pure. The signatures lie beside a policy, in ``policy.yaml.signatures``: JSON ``{"digest", "signatures"}``, each signature ``{"name", "key",
"signature"}`` over the DSSE encoding of the whole file. Names are for people; keys count, each of them once.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass

from appliance.identity.envelope import pae
from appliance.identity.keys import PrivateKey, PublicKey
from appliance.runtime.errors import Refused
from gateway.isolation.policy import Approval, Policy

PAYLOAD = "application/vnd.headgate.policy"
SUFFIX = ".signatures"  # behind the name of the policy's file
LONGEST_SIGNATURES = 64 << 10  # bytes of that file
MOST_SIGNATURES = 64  # in it


@dataclass(frozen=True)
class Signature:
    """One signature over a policy."""

    name: str
    key: PublicKey
    signature: bytes


def refusal(in_force: Policy | None, new: Policy, signatures: bytes | None) -> Refused | None:
    """Return why ``new`` may not follow ``in_force``, or None if it may; ``signatures`` are the bytes of the file beside ``new``.

    The policy in force says whose signatures its successor needs; the first policy of a box needs those that it names itself. Reasons:
    ``older-policy``, ``same-serial``, ``not-signed``, ``wrong-key``, ``too-few-signatures``.
    """
    if in_force is not None and in_force.digest == new.digest:
        return None
    return _serial(in_force, new) or _signed(in_force or new, new, signatures)


def approvers(in_force: Policy | None, new: Policy, signatures: bytes | None) -> tuple[str, ...]:
    """Return the names, as the policy in force (or the first one itself) knows them, whose signatures over ``new`` hold."""
    approval = (in_force or new).approval
    return tuple(sorted(_valid(approval, new, _read(signatures)[1]))) if approval is not None else ()


def sign(policy: Policy, name: str, key: PrivateKey, before: bytes | None) -> bytes:
    """Return the file of signatures over ``policy`` with that of ``key`` added to ``before``; those over other bytes are left out."""
    digest, known = _read(before)
    kept = [one for one in known if one.key != key.public] if digest == policy.digest else []
    made = Signature(name, key.public, key.sign(pae(policy.data, PAYLOAD)))
    told = [
        {"name": one.name, "key": str(one.key), "signature": base64.b64encode(one.signature).decode()}
        for one in [*kept[: MOST_SIGNATURES - 1], made]
    ]
    return json.dumps({"digest": policy.digest, "signatures": told}, ensure_ascii=False, indent=1).encode() + b"\n"


def _serial(in_force: Policy | None, new: Policy) -> Refused | None:
    if in_force is None or in_force.serial is None:
        return None
    if new.serial is None or new.serial < in_force.serial:
        told = f"it has serial {new.serial}" if new.serial is not None else "it has no serial"
        mend = f"write 'serial: {in_force.serial + 1}' and have it signed"
        return Refused(
            "older-policy",
            f"{told}, and serial {in_force.serial} is in force: an older policy never returns; {mend}",
            409,
        )
    if new.serial == in_force.serial:
        mend = f"write 'serial: {new.serial + 1}'"
        return Refused("same-serial", f"serial {new.serial} is in force already with other content; {mend}", 409)
    return None


def _signed(deciding: Policy, new: Policy, signatures: bytes | None) -> Refused | None:
    approval = deciding.approval
    if approval is None:
        return None
    needed = f"{approval.signatures} of the keys of {', '.join(approval.keys)} must sign it"
    mend = "'headgate policy sign FILE --key KEYFILE'"
    digest, found = _read(signatures)
    if not found:
        return Refused("not-signed", f"nobody signed this policy: {needed}; {mend}")
    valid = _valid(approval, new, found)
    if not valid and hashlib.sha256(new.data).hexdigest() != digest:
        told = (
            f"the signatures are over another file ({digest[:12] or 'unnamed'}), not over this one ({new.digest[:12]})"
        )
        return Refused("not-signed", f"{told}: {needed}; {mend}")
    if not valid:
        names = ", ".join(repr(one.name) for one in found[:4])
        return Refused(
            "wrong-key", f"none of the signatures ({names}) is by an admitted key over these bytes: {needed}; {mend}"
        )
    if len(valid) < approval.signatures:
        left = ", ".join(name for name in approval.keys if name not in valid)
        told = f"{len(valid)} of {approval.signatures} signatures, by {', '.join(sorted(valid))}"
        return Refused("too-few-signatures", f"{told}: one more each can come from {left}; {mend}")
    return None


def _valid(approval: Approval, new: Policy, found: list[Signature]) -> set[str]:
    """Return the names of the admitted keys that signed ``new``."""
    names = {key: name for name, key in approval.keys.items()}
    signed = pae(new.data, PAYLOAD)
    return {names[one.key] for one in found if one.key in names and one.key.verify(one.signature, signed)}


def _read(signatures: bytes | None) -> tuple[str, list[Signature]]:
    """Return digest and signatures that a file of signatures tells; nothing where it cannot be understood."""
    if not signatures or len(signatures) > LONGEST_SIGNATURES:
        return "", []
    try:
        told = json.loads(signatures)
        found = [
            Signature(
                str(one["name"])[:80],
                PublicKey.parse(str(one["key"])),
                base64.b64decode(one["signature"], validate=True),
            )
            for one in told["signatures"][:MOST_SIGNATURES]
        ]
        return str(told["digest"])[:64], found
    except (ValueError, KeyError, TypeError, RecursionError):
        return "", []
