"""Whom the exchange serves, and what it may refuse by itself. Pure.

What passes, the filters decide (``gateway/filters``): what is judged here by their rules can only be refused earlier.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from appliance.telemetry.records import Record
from gateway.filters.admission.decide import Known as Known
from gateway.filters.admission.decide import Refuse as Refuse
from gateway.filters.admission.decide import in_catalogue as in_catalogue
from gateway.filters.admission.decide import lane_into as lane_into
from gateway.filters.admission.decide import lane_of_boxes as lane_of_boxes
from gateway.filters.admission.decide import lanes_out_of as lanes_out_of
from gateway.filters.admission.decide import pass_object as pass_object
from gateway.filters.admission.decide import pass_out_of as pass_out_of
from gateway.isolation.policy import Lane, Policy
from gateway.release import media, paths
from gateway.release.live.signing import Claim
from gateway.release.manifest import File, Live, Release

SHARE = "share"  # the peer that gives to other boxes of the culture zone what this one has
SERVED = ("delivery", "resolver", "publish", SHARE)  # what may be a peer of the exchange
BRINGS = ("publish", "carry")  # peers that bring releases in, and ask for nothing else
CARRIED = ("institution",)  # zones as whose a disk may be carried in, by root


@dataclass(frozen=True)
class Peer:
    """Who asks: known by the socket, never by what it says."""

    run: str  # delivery, resolver, publish, telemetry, or carry: root, with a disk in hand
    zone: str

    @property
    def name(self) -> str:
        """The folder of its socket, such as ``delivery-bigscreen``."""
        return f"{self.run}-{self.zone}"

    @property
    def source(self) -> str:
        """The only source its records may tell, such as ``delivery/bigscreen``."""
        return f"{self.run}/{self.zone}"


PURGES = Peer("purge", "management")  # root, who has answers of web origins forgotten, and nothing else
ORDERS = Peer("telemetry", "management")  # brings the orders to withdraw and to reinstate, and nothing else


@dataclass(frozen=True)
class Admitted:
    """A release that the admission filter verified under the policy of now."""

    release: Release
    digest: str  # of the canonical manifest, by which admission knows it
    signer: str  # the public key
    envelope: bytes | None = field(
        default=None, compare=False, repr=False
    )  # of what a peer brings, and is not kept yet


def peers(policy: Policy) -> frozenset[Peer]:
    """Return everybody who may speak to the exchange."""
    served = {Peer(s.run, s.zone) for s in policy.services.values() if s.run in SERVED}
    carried = {Peer("carry", z) for z in CARRIED if policy.lanes_of("release", source=z)}
    purging = {PURGES} if policy.web else set()
    return frozenset(served | carried | purging | ({ORDERS} if ORDERS.zone in policy.zones else set()))


def deliveries(policy: Policy) -> frozenset[Peer]:
    """Return the peers that must break off what is withdrawn."""
    return frozenset(peer for peer in peers(policy) if peer.run in ("delivery", SHARE))


def lane_out_of(policy: Policy, zone: str, kind: str) -> Lane | Refuse:
    """Return a lane by which objects of ``kind`` leave ``zone``."""
    lanes = policy.lanes_of(kind, source=zone)
    return lanes[0] if lanes else Refuse("no-lane", f"no lane lets a {kind} out of {zone}")


def may_ask(policy: Policy, peer: Peer) -> Lane | Refuse:
    """Return the lane by which releases come to ``peer`` at all, before any origin hears of the question."""
    return lane_into(policy, peer.zone, "release") if peer.run != SHARE else lane_of_boxes(policy, None)


def pass_live(release: Release, path: str) -> Live | Refuse:
    """Judge whether ``path`` can be a live file of a release that passes."""
    if release.live is None:
        return Refuse("unknown-path", "the release is no channel")
    if fault := paths.fault_in(path):
        return Refuse("bad-request", fault)
    return release.live


def live_file(lane: Lane, path: str, claim: Claim) -> File | Refuse:
    """Judge whether a live file that was verified may cross ``lane``."""
    if claim.size > lane.largest:
        return Refuse("too-large", f"{claim.size} bytes; the lane lets objects of {lane.largest} bytes pass")
    return File.model_construct(sha256=claim.sha256, size=claim.size, type=media.type_of(path))


def told(admitted: Admitted) -> dict[str, object]:
    """Return the verified manifest as the exchange's answer tells it; digests of chunks stay here, where bytes are judged."""
    release = admitted.release
    return {
        "release": release.code,
        "version": release.version,
        "body": release.body,
        "title": release.title,
        "entry": release.entry,
        "files": {path: file_told(file) for path, file in release.files.items()},
        "digest": admitted.digest,
        "live": release.live.model_dump() if release.live else None,
    }


def file_told(file: File) -> dict[str, object]:
    """Return what the exchange's answers tell of a file."""
    return {"sha256": file.sha256, "size": file.size, "type": file.type}


def may_tell(peer: Peer, record: Record) -> Refuse | None:
    """Judge whether ``peer`` may send ``record``: only of itself, of its own zone, and no audit of decisions it does not make."""
    if record.source != peer.source:
        return Refuse("bad-request", f"this socket is {peer.source}'s; the record says {record.source[:64]}")
    if record.kind not in ("usage", "event"):
        return Refuse("bad-request", f"{peer.source} sends no {record.kind} records")
    if record.body.get("zone", peer.zone) != peer.zone:
        return Refuse("bad-request", f"{peer.source} sends records of its own zone")
    return None
