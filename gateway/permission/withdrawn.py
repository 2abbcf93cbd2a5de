"""Which tokens are withdrawn at this box: what a door asks of each permit, and by what a permit that is in use is broken off.

The exchange tells the whole list. It outlives doors, of which each policy makes another, and forgets by itself what ends.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping

from pydantic import BaseModel, ConfigDict

from appliance.runtime.errors import Refused
from gateway.permission.permit import Permit
from gateway.release.orders import Order, Target

MARK = 12  # bytes of a mark
# How a screen is told, and with which status: 401 where another token would help (RFC 9110 section 15.5.2), else 403.
TOLD: Mapping[str, tuple[str, int]] = {
    "token": ("the token was", 401),
    "signer": ("what this key signed was", 401),
    "subject": ("what was given to this subject was", 403),
    "issuer": ("what this issuer signs was", 403),
}


class Withdrawal(BaseModel):
    """One entry of the list, as the exchange tells it: of what kind, which, by which order of whom, until when."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    kind: str
    name: str
    serial: int
    by: str
    until: float | None = None  # seconds since 1970

    @classmethod
    def of(cls, order: Order) -> Withdrawal:
        """Return the entry that ``order``, a withdrawal of tokens, makes."""
        (kind, name), until = order.what.target, order.until
        return cls(kind=kind, name=name, serial=order.serial, by=order.by, until=until.timestamp() if until else None)


class Withdrawn:
    """The list of one zone. Until it was heard for the first time no token passes."""

    def __init__(self) -> None:
        self._list: dict[Target, Withdrawal] | None = None
        self._marks: dict[str, Withdrawal] = {}

    def replace(self, told: Iterable[Withdrawal]) -> bool:
        """Have another list from now on; return whether it is another one."""
        before, self._list = self._list, {(one.kind, one.name): one for one in told}
        self._marks = {_mark(target): one for target, one in self._list.items()}
        return self._list != before

    def marked(self, marks: str, now: float) -> bool:
        """Return whether a permit of which only its ``marks`` are known is withdrawn at ``now`` (seconds since 1970)."""
        found = (self._marks.get(mark) for mark in marks.split("."))
        return any(one is not None and _stands(one, now) for one in found)

    def refusal(self, permit: Permit, now: float) -> Refused | None:
        """Return how ``permit`` is refused at ``now`` (seconds since 1970), or None where nothing of it is withdrawn."""
        if self._list is None:
            return Refused("orders-unknown", "the box has not heard yet which tokens are withdrawn: ask again", 503)
        for target in targets(permit) if self._list else ():
            found = self._list.get(target)
            if found is not None and _stands(found, now):
                told, status = TOLD[found.kind]
                return Refused("token-withdrawn", f"{told} withdrawn by order {found.serial} of {found.by}", status)
        return None


def marks(permit: Permit) -> str:
    """Return what a permit in use is known again by (``Withdrawn.marked``) where its own words have no place, as in another's log.

    A mark for each of its names: letters, digits, ``-`` and ``_``, with dots between.
    """
    return ".".join(_mark(target) for target in targets(permit))


def _mark(target: Target) -> str:
    digest = hashlib.sha256("\0".join(target).encode("utf-8", "surrogatepass")).digest()
    return base64.urlsafe_b64encode(digest[:MARK]).decode()


def _stands(one: Withdrawal, now: float) -> bool:
    return one.until is None or now < one.until


def targets(permit: Permit) -> Iterable[Target]:
    """Yield all by which a permit may be named; identifiers and subjects are the issuer's own."""
    yield "issuer", permit.issuer
    yield "signer", permit.signer
    if permit.subject:
        yield "subject", f"{permit.issuer}:{permit.subject}"
    if permit.token:
        yield "token", f"{permit.issuer}:{permit.token}"
