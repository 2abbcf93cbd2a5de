"""What a body may do at this box: what the policy says *and* what the operator and the body sign, for one release at a time."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from appliance.runtime.errors import Refused
from gateway.isolation.content import Trust
from gateway.isolation.policy import Body, Policy
from gateway.release import signed
from gateway.release.manifest import Release
from gateway.release.trust.delegate import Delegate
from gateway.release.trust.kept import Folder
from gateway.release.trust.layout import Needed
from gateway.release.trust.verifying import Chain, Listed


class Trusting:
    """The chain that the policy in force pins; what was verified stays below ``base``."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._chain: tuple[str, Chain] | None = None
        self._one = threading.Lock()  # one look at a time; a look has no I/O but the box's own disk

    def policy_for(self, policy: Policy, envelope: bytes, code: str, now: datetime, *, away: bool) -> Policy | Needed:
        """Return the policy, with the bodies that the release in ``envelope`` is about narrowed to what trust metadata lets them do.

        Without ``trust:`` in the policy it is the policy. ``away``: the trust's origin does not answer, and the release was
        admitted before; then what was listed when it was looked up last counts, and nothing else.

        Raises:
            Corrupt: it is no envelope of a release.
            Refused: the metadata does not list exactly this, or is not to be trusted (``Chain.look_up``).
        """
        release = signed.claimed(envelope)  # says only whose listing to look at
        if release.body not in policy.bodies or policy.trust is None:
            return policy
        digest = hashlib.sha256(envelope).hexdigest()
        givers = [source.body for source in release.sources if source.body != release.body]
        with self._one:
            chain = self._of(policy.trust)
            found = (
                chain.last_known(release.body, code) if away else chain.look_up(release.body, code, now, digest, givers)
            )
        if isinstance(found, Needed):
            return found
        if found.entry.sha256 != digest:
            raise Refused("not-as-listed", f"'{release.body}' was seen to list other bytes of {code} than these")
        return narrowed(policy, release, found)

    def give(self, policy: Policy, file: str, data: bytes | None, now: datetime) -> None:
        """Take a file that was needed, None where the origin has none.

        Raises:
            Refused: it is longer than it may be (``too-large``).
        """
        if policy.trust is not None:
            with self._one:
                self._of(policy.trust).give(file, data, now)

    def _of(self, trust: Trust) -> Chain:
        if self._chain is None or self._chain[0] != trust.root:
            self._chain = (trust.root, Chain(Folder(self._base, trust.root), trust.root))
        return self._chain[1]


def narrowed(policy: Policy, release: Release, listed: Listed) -> Policy:
    """Return ``policy`` with the release's body, and those whose material it uses, as far as the operator's metadata admits them too.

    Raises:
        Refused: no act is left to the body (``not-admitted``), or the policy names keys and the listing's is none of them
            (``wrong-key``).
    """
    body = within(policy.bodies[release.body], listed.delegate)
    signer = listed.entry.signer
    if not body.acts:
        acts = ", ".join(policy.bodies[release.body].acts)
        told = f"the policy admits '{release.body}' for {acts}, the operator for {', '.join(listed.delegate.acts)}"
        raise Refused("not-admitted", told)
    if policy.bodies[release.body].keys and signer not in policy.bodies[release.body].keys:
        raise Refused("wrong-key", f"{signer} signed this release; the policy names other keys of '{release.body}'")
    admitted = {giver.body: giver for giver in listed.givers}
    bodies = dict(policy.bodies)
    for name in {source.body for source in release.sources} - {release.body}:
        if name in bodies and name in admitted:
            bodies[name] = within(bodies[name], admitted[name])
        else:
            bodies.pop(name, None)
    bodies[release.body] = body.model_copy(update={"keys": (signer,)})
    return policy.model_copy(update={"bodies": bodies})


def within(body: Body, delegate: Delegate) -> Body:
    """Return the policy's ``body`` with what the operator delegates too; keys that the policy names stay the only ones."""
    return body.model_copy(
        update={
            "acts": tuple(act for act in body.acts if act in delegate.acts),
            "identifiers": tuple(dict.fromkeys(_in_both(body.identifiers, delegate.leading))),
            "keys": body.keys or delegate.keys,
        }
    )


def _in_both(one: Iterable[str], other: Sequence[str]) -> Iterator[str]:
    """Yield the leading parts of all codes that begin as in ``one`` and as in ``other``."""
    for first in one:
        for second in other:
            if first.startswith(second):
                yield first
            elif second.startswith(first):
                yield second
