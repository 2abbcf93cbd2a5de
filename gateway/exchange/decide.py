"""May it cross? Pure: the policy, what is asked and what is known go in; an allowance or a refusal with its reason comes out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from appliance.identity.keys import PublicKey
from appliance.runtime.errors import Corrupt, Refused
from appliance.telemetry.records import Record
from gateway.isolation.policy import Body, Lane, Policy
from gateway.release import important, manifest, media, paths, rights, signed
from gateway.release.live.signing import Claim
from gateway.release.manifest import File, Live, Release

SHARE = "share"  # the peer that gives to other boxes of the culture zone what this one has
SERVED = ("delivery", "resolver", "publish", SHARE)  # what may be a peer of the exchange
BRINGS = ("publish", "carry")  # peers that bring releases in, and ask for nothing else
CARRIED = ("institution", "culture")  # zones as whose a disk may be carried in, by root
STATUS = {
    "unknown-release": 404,
    "unknown-path": 404,
    "bad-request": 400,
    "too-large": 413,
    "digest-mismatch": 502,
    "stale-segment": 502,
    "stale-playlist": 502,
    "clock-differs": 502,
    "unexpected-answer": 502,
    "store-full": 507,
    "store-broken": 507,
    "too-fast": 503,  # not 429: what waits to be recorded must wait on, not be dropped
}


@dataclass(frozen=True)
class Peer:
    """Who asks: known by the socket, never by what it says."""

    run: str  # delivery, resolver, publish, or carry: root, with a disk in hand
    zone: str

    @property
    def name(self) -> str:
        """The folder of its socket, such as ``delivery-bigscreen``."""
        return f"{self.run}-{self.zone}"

    @property
    def source(self) -> str:
        """The only source its records may tell, such as ``delivery/bigscreen``."""
        return f"{self.run}/{self.zone}"


@dataclass(frozen=True)
class Refuse:
    """It may not cross; ``reason`` is the word for answer, audit and metric."""

    reason: str
    sentence: str

    def error(self) -> Refused:
        """Return the failure that an answer is made of."""
        return Refused(self.reason, self.sentence, STATUS.get(self.reason, 403))


@dataclass(frozen=True)
class Admitted:
    """A release whose body and signature were verified under the policy of now."""

    release: Release
    signer: PublicKey


def peers(policy: Policy) -> frozenset[Peer]:
    """Return everybody who may speak to the exchange."""
    served = {Peer(s.run, s.zone) for s in policy.services.values() if s.run in SERVED}
    return frozenset(served | {Peer("carry", z) for z in CARRIED if policy.lanes_of("release", source=z)})


def admit(policy: Policy, envelope: bytes, code: str, known: Release | None, now: datetime) -> Admitted | Refuse:
    """Judge what an origin gave as the release ``code``, of which version ``known`` is the one verified before."""
    try:
        release = signed.claimed(envelope)  # says only whose keys must have signed it
        body = policy.bodies.get(release.body)
        if body is None:
            return Refuse("not-admitted", f"no body '{release.body}' is admitted here")
        if refusal := _may_publish(release, body):
            return refusal
        release, signer = signed.open_signed(envelope, body.keys)
    except Corrupt as error:
        return Refuse("not-signed", f"what the origin has is no signed release: {error}")
    except Refused as error:
        return Refuse(error.reason, f"none of the keys of '{release.body}' signed this")
    if release.code != code:
        return Refuse("unknown-release", f"the origin answered with the release {release.code}")
    if known is not None and release != known and release.version <= known.version:
        return Refuse(
            "older-version",
            f"version {known.version} is known; the origin has version {release.version}"
            + (" with other content" if release.version == known.version else ""),
        )
    if lacking := rights.granted(policy, release, lambda name: policy.bodies[name].keys, now):
        return Refuse(*lacking)
    return Admitted(release, signer)


def in_catalogue(policy: Policy, zone: str, code: str) -> Refuse | None:
    """Judge by the operator's catalogue of important data alone, before anybody is asked for the release ``code``."""
    told = important.by_code(policy.important, f"isli:{code}", zone)
    return Refuse(important.REASON, told) if told else None


def lane_into(policy: Policy, zone: str, kind: str) -> Lane | Refuse:
    """Return the lane by which objects of ``kind`` come into ``zone``; of several, the widest."""
    lanes = policy.lanes_of(kind, to=zone)
    if not lanes:
        return Refuse("no-lane", f"no lane lets a {kind} into {zone}")
    return max(lanes, key=lambda lane: lane.largest)


def lane_out_of(policy: Policy, zone: str, kind: str) -> Lane | Refuse:
    """Return a lane by which objects of ``kind`` leave ``zone``."""
    lanes = policy.lanes_of(kind, source=zone)
    return lanes[0] if lanes else Refuse("no-lane", f"no lane lets a {kind} out of {zone}")


def lanes_out_of(policy: Policy, zone: str, code: str) -> Refuse | None:
    """Judge whether the release ``code`` may leave ``zone`` at all, before its manifest is looked at."""
    lanes = policy.lanes_of("release", source=zone)
    if not lanes:
        return Refuse("no-lane", f"no lane lets a release out of {zone}")
    refusals = [in_catalogue(policy, lane.target, code) for lane in lanes]
    return None if None in refusals else refusals[0]


def pass_out_of(policy: Policy, zone: str, release: Release, now: datetime) -> tuple[Lane, ...] | Refuse:
    """Judge by which lanes an admitted release that came in ``zone`` may go on.

    What a body grants says where its content may be shown. The culture zone shows nothing: it brings content to other boxes.
    """
    lanes, refusal = [], lanes_out_of(policy, zone, release.code)
    for lane in policy.lanes_of("release", source=zone):
        if told := important.by_release(policy.important, release, lane.target):
            refusal = Refuse(important.REASON, told)
        elif lane.target == "culture":
            lanes.append(lane)
        elif (held_back := rights.shown(policy, lane.target, release, now)) and held_back[0] != "not-yet":
            refusal = refusal or Refuse(*held_back)  # what begins later may come in before
        else:
            lanes.append(lane)
    if lanes:
        return tuple(lanes)
    return refusal or Refuse("no-lane", f"no lane lets a release out of {zone}")


def pass_into(policy: Policy, zone: str, release: Release, now: datetime) -> Lane | Refuse:
    """Judge whether an admitted release may go into ``zone`` at ``now``."""
    if told := important.by_release(policy.important, release, zone):
        return Refuse(important.REASON, told)
    lane = lane_into(policy, zone, "release")
    if isinstance(lane, Lane) and (held_back := rights.shown(policy, zone, release, now)):
        return Refuse(*held_back)
    return lane


def may_ask(policy: Policy, peer: Peer) -> Lane | Refuse:
    """Return the lane by which releases come to ``peer`` at all, before any origin hears of the question."""
    return lane_into(policy, peer.zone, "release") if peer.run != SHARE else _lane_of_boxes(policy, None)


def pass_to(policy: Policy, peer: Peer, release: Release, now: datetime) -> Lane | Refuse:
    """Judge whether an admitted release may go to ``peer`` at ``now``.

    Towards other boxes it stays in its zone, so no lane leads there: they get what a lane lets out of that zone here, or into it. Where
    and when it may be shown is judged at the box that shows it.
    """
    if peer.run != SHARE:
        return pass_into(policy, peer.zone, release, now)
    if told := important.by_release(policy.important, release, peer.zone):
        return Refuse(important.REASON, told)
    return _lane_of_boxes(policy, release)


def _lane_of_boxes(policy: Policy, release: Release | None) -> Lane | Refuse:
    out = policy.lanes_of("release", source="culture")
    into = policy.lanes_of("release", to="culture")
    if not out and not into:
        return Refuse(
            "no-lane", "no lane lets releases out of the culture zone or into it, so there is nothing to share"
        )
    able = [*into, *(lane for lane in out if release is None or lane.target in release.rights.zones)]
    if not able:
        return Refuse("zone-not-granted", "the body grants no zone that this box serves, so others ask elsewhere")
    return max(able, key=lambda lane: lane.largest)


def pass_object(lane: Lane, release: Release, path: str) -> File | Refuse:
    """Judge whether the file ``path`` of a release that passes may cross ``lane``."""
    file = release.files.get(path)
    if file is None:
        return Refuse("unknown-path", "the release has no such file")
    if file.size > lane.largest:
        return Refuse("too-large", f"{file.size} bytes; the lane lets objects of {lane.largest} bytes pass")
    return file


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
    return File.model_construct(sha256=claim.sha256, size=claim.size, type=media.type_of(path), chunks=())


def told(release: Release) -> dict[str, object]:
    """Return the verified manifest as the exchange's answer tells it."""
    return {
        "release": release.code,
        "version": release.version,
        "body": release.body,
        "title": release.title,
        "entry": release.entry,
        "files": {path: file.model_dump() for path, file in release.files.items()},
        "digest": manifest.digest(release),
        "live": release.live.model_dump() if release.live else None,
    }


def _may_publish(release: Release, body: Body) -> Refuse | None:
    if "share" not in body.acts:
        return Refuse("not-admitted", f"'{release.body}' is admitted for {', '.join(body.acts)}, not to share")
    if not any(release.identifier.startswith(leading) for leading in body.identifiers):
        return Refuse("outside-identifiers", f"{release.identifier} is outside the identifiers of '{release.body}'")
    return None


def may_tell(peer: Peer, record: Record) -> Refuse | None:
    """Judge whether ``peer`` may send ``record``: only of itself, of its own zone, and no audit of decisions it does not make."""
    if record.source != peer.source:
        return Refuse("bad-request", f"this socket is {peer.source}'s; the record says {record.source[:64]}")
    if record.kind not in ("usage", "event"):
        return Refuse("bad-request", f"{peer.source} sends no {record.kind} records")
    if record.body.get("zone", peer.zone) != peer.zone:
        return Refuse("bad-request", f"{peer.source} sends records of its own zone")
    return None
