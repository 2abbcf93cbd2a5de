"""What a body may do at this box: what the policy says *and* what the operator and the body sign, for one release at a time."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from appliance.runtime.errors import Refused
from gateway.isolation.content import Trust
from gateway.isolation.policy import Body, Policy
from gateway.release import signed
from gateway.release.manifest import Release
from gateway.release.trust import layout
from gateway.release.trust.delegate import Delegate
from gateway.release.trust.files import Files
from gateway.release.trust.handed_in import HandedIn
from gateway.release.trust.kept import Folder
from gateway.release.trust.layout import Name, Needed
from gateway.release.trust.reasons import UNLISTED
from gateway.release.trust.signing_over import Over
from gateway.release.trust.verifying import Chain, Listed, Mark, Stand


@dataclass(frozen=True)
class Under:
    """The policy that counts for one release, and how its body lists it; ``waits``: by a file that the centre does not name yet."""

    policy: Policy
    mark: Mark | None = None
    waits: bool = False


class Trusting:
    """The chain that the policy in force pins; what was verified stays below ``base``."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._chain: tuple[str, Chain, HandedIn] | None = None
        self._one = threading.Lock()  # one look at a time; a look has no I/O but the box's own disk

    def policy_for(self, policy: Policy, envelope: bytes, code: str, now: datetime, *, away: bool) -> Under | Needed:
        """Return the policy, with the bodies that the release in ``envelope`` is about narrowed to what trust metadata lets them do.

        Without ``trust:`` in the policy it is the policy. ``away``: the trust's origin does not answer, and the release was
        admitted before; then what was listed when it was looked up last counts, and nothing else.

        Raises:
            Corrupt: it is no envelope of a release.
            Refused: the metadata does not list exactly this, or is not to be trusted (``Chain.look_up``).
        """
        release = signed.claimed(envelope)  # says only whose listing to look at
        if release.body not in policy.bodies or policy.trust is None:
            return Under(policy)
        digest = hashlib.sha256(envelope).hexdigest()
        givers = [source.body for source in release.sources if source.body != release.body]
        with self._one:
            chain, handed = self._of(policy.trust)
            try:
                found: Listed | Needed = (
                    chain.last_known(release.body, code)
                    if away
                    else chain.look_up(release.body, code, now, digest, givers)
                )
            except Refused as error:
                stand = chain.stand(release.body, now) if error.reason in UNLISTED and not away else None
                listed = handed.lists(stand, code, digest, givers, now) if isinstance(stand, Stand) else None
                if listed is None:
                    raise
                return Under(narrowed(policy, release, listed), waits=True)
        if isinstance(found, Needed):
            return found
        if found.entry.sha256 != digest:
            raise Refused("not-as-listed", f"'{release.body}' was seen to list other bytes of {code} than these")
        return Under(narrowed(policy, release, found), found.mark if not release.sources else None)

    def give(self, policy: Policy, file: str, data: bytes | None, now: datetime) -> None:
        """Take a file that was needed, None where the origin has none.

        Raises:
            Refused: it is longer than it may be (``too-large``).
        """
        if policy.trust is not None:
            with self._one:
                self._of(policy.trust)[0].give(file, data, now)

    def unchanged(self, policy: Policy, mark: Mark, now: datetime) -> bool | Needed:
        """Return whether a release that was admitted by ``mark`` is listed as it was.

        Raises:
            Refused: there is no metadata to trust.
        """
        if policy.trust is None:
            return False
        with self._one:
            return self._of(policy.trust)[0].unchanged(mark, now)

    def hand_in(self, policy: Policy, body: str, files: Mapping[Name, bytes], now: datetime) -> list[Name] | Needed:
        """Keep what ``body`` signed for the centre to name, and return what of it is new.

        Raises:
            Corrupt: a file is of another form.
            Refused: the body may not share here (``not-admitted``), or as ``HandedIn.take``.
        """
        with self._one:
            chain, handed = self._of(_trust(policy))
            stand = chain.stand(body, now)
            if isinstance(stand, Needed):
                return stand
            if body not in policy.bodies or "share" not in within(policy.bodies[body], stand.delegate).acts:
                raise Refused("not-admitted", f"'{body}' is not admitted to share by both the policy and the operator")
            return handed.take(stand, files, now)

    def body(self, policy: Policy, name: str, now: datetime) -> Body | Needed | None:
        """Return a body as policy and operator admit it, None where the policy does not; keys in the policy need no metadata.

        Raises:
            Refused: there is no metadata to trust.
        """
        body = policy.bodies.get(name)
        if body is None or body.keys or policy.trust is None:
            return body
        with self._one:
            stand = self._of(policy.trust)[0].stand(name, now)
        return stand if isinstance(stand, Needed) else within(body, stand.delegate)

    def base(self, policy: Policy, body: str, code: str, now: datetime) -> Over | Needed:
        """Return what ``body`` signs the listing of ``code`` over.

        Raises:
            Refused: it is not admitted, or there is no metadata to trust.
        """
        with self._one:
            chain, handed = self._of(_trust(policy))
            stand = chain.stand(body, now)
            if isinstance(stand, Needed):
                return stand
            files: dict[Name, bytes] = {}
            for role in (body, layout.bin_of(body, stand.delegate.bits, code)):
                waits, version = handed.newest(role), stand.version(role)
                if waits is not None and (waits[0].version or 0) > version:
                    files[waits[0]] = waits[1]
                elif version:
                    known = chain.obtain(Name(role, version), now)
                    if isinstance(known, Needed):
                        return known
                    files |= {Name(role, version): known} if known is not None else {}
            return Over(stand.delegate, files)

    def waiting(self, policy: Policy, now: datetime) -> list[Name]:
        """Return what waits for the centre to name it, by what is known of the newest snapshot."""
        if policy.trust is None:
            return []
        with self._one:
            chain, handed = self._of(policy.trust)
            return handed.waiting(chain.named(now))

    def drop(self, policy: Policy, name: Name) -> None:
        """Let a file go that the centre does not take."""
        if policy.trust is not None:
            with self._one:
                self._of(policy.trust)[1].drop(name)

    def file(self, policy: Policy, name: Name, now: datetime, *, away: bool) -> bytes | Needed | None:
        """Return a verified file for other boxes, None where this version of it is not here."""
        with self._one:
            return self._of(_trust(policy))[0].obtain(name, now, away=away)

    def handed_in(self, policy: Policy, name: Name) -> bytes | None:
        """Return a file that waits for the centre, None where it does not."""
        with self._one:
            waits = self._of(_trust(policy))[1].newest(name.role)
        return waits[1] if waits is not None and waits[0] == name else None

    def _of(self, trust: Trust) -> tuple[Chain, HandedIn]:
        if self._chain is None or self._chain[0] != trust.root:
            handed = HandedIn(Files(self._base / trust.root / "handed-in"))
            self._chain = (trust.root, Chain(Folder(self._base, trust.root), trust.root), handed)
        return self._chain[1:]


def _trust(policy: Policy) -> Trust:
    if policy.trust is None:
        raise Refused("unknown-path", "the policy has no 'trust:', so there is no listing", 404)
    return policy.trust


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
