"""Whether a plain HTTP request may cross, and its answer. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.filters.admission.decide import Refuse
from gateway.isolation.content import WebOrigin
from gateway.isolation.policy import Lane, Policy
from gateway.web.wire import Fields

NEVER = ("CONNECT", "TRACE")  # methods: the first opens a tunnel, the second shows what the way added
PASSIVE = frozenset(
    {
        "application/dash+xml",
        "application/json",
        "application/octet-stream",
        "application/vnd.apple.mpegurl",
        "application/x-mpegurl",
        "application/x-ndjson",
        "text/csv",
        "text/plain",
        "text/vtt",
    }
)  # what no browser runs, if it takes it for what it says it is
PASSIVE_FAMILIES = ("audio/", "font/", "image/", "video/")
RUNS = frozenset({"image/svg+xml"})  # of these families


@dataclass(frozen=True)
class Passing:
    """A request that may cross: to the policy's web origin ``name``, its answer by ``lane``."""

    name: str
    origin: WebOrigin
    lane: Lane

    @property
    def largest(self) -> int:
        """Return the bytes that the answer's body may have."""
        return min(self.origin.answer, self.lane.largest)


def request(policy: Policy, zone: str, host: str, method: str, length: int | None) -> Passing | Refuse:
    """Judge a request of a screen of ``zone``; ``length``: the bytes of its body, where they are known."""
    found = policy.web_of(host)
    if found is None:
        return Refuse("unknown-host", f"no origin of plain HTTP is admitted as '{host[:100]}'")
    name, origin = found
    lanes = policy.lanes_of("web", to=zone, source="culture")
    if not lanes or (origin.zones and zone not in origin.zones):
        return Refuse("no-lane", f"no lane lets answers of '{name}' into {zone}")
    if method in NEVER or method not in origin.methods:
        told = f"'{name}' is asked by {', '.join(origin.methods)} and not by {method}"
        return Refuse("method-not-allowed", told)
    if length is not None and length > origin.request:
        return Refuse("too-large", f"{length} bytes; '{name}' is sent at most {origin.request}")
    return Passing(name, origin, lanes[0])


def answer(passing: Passing, status: int, headers: Fields, *, bodied: bool) -> Refuse | None:
    """Judge an answer by its head; ``bodied``: a body follows it."""
    length = next((value for name, value in headers if name.lower() == "content-length"), "")
    if bodied and length.isascii() and length.isdecimal() and int(length) > passing.largest:
        return Refuse("too-large", f"the answer has {length} bytes; {passing.largest} may pass")
    if passing.lane.active or not bodied:
        return None
    types = [value for name, value in headers if name.lower() == "content-type"]
    type_ = types[0].partition(";")[0].strip().lower() if len(types) == 1 else ""
    if _is_passive(type_):
        return None
    what = type_[:100] or "content of no type"
    told = f"'{passing.name}' answered {status} with {what}, which may run in a browser: its lane is not 'active: true'"
    return Refuse("active-content", told)


def _is_passive(type_: str) -> bool:
    if type_ in PASSIVE or type_.endswith("+json"):
        return True
    return type_.startswith(PASSIVE_FAMILIES) and type_ not in RUNS and not type_.endswith("+xml")
