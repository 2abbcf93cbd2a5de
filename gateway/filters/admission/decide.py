"""Is it admitted, and may it go there? Pure: policy, envelope and what is known go in; an allowance or a refusal comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from appliance.identity.keys import PublicKey
from appliance.runtime.errors import Corrupt, Refused
from gateway.isolation.policy import Body, Lane, Policy
from gateway.release import important, manifest, rights, signed
from gateway.release.manifest import APPLICATION, File, Release

STATUS = {
    "unknown-release": 404,
    "unknown-path": 404,
    "unknown-host": 404,
    "method-not-allowed": 405,
    "bad-request": 400,
    "too-large": 413,
    "too-large-to-inspect": 413,
    "digest-mismatch": 502,
    "stale-segment": 502,
    "stale-playlist": 502,
    "clock-differs": 502,
    "unexpected-answer": 502,
    "store-full": 507,
    "store-broken": 507,
    "too-fast": 503,  # not 429: what waits to be recorded must wait on, not be dropped
    "busy": 503,
    "filter-failed": 503,
    "spool-full": 503,
    # What inspection says of bytes that the origin has: the box in the middle cannot mend them.
    **dict.fromkeys(
        (
            "malformed",
            "type-mismatch",
            "unknown-type",
            "polyglot",
            "bomb",
            "outside-reference",
            "encrypted",
            "encrypted-content",
        ),
        502,
    ),
}


@dataclass(frozen=True)
class Refuse:
    """It may not cross; ``reason`` is the word for answer, audit and metric."""

    reason: str
    sentence: str
    told: Mapping[str, str] = field(default_factory=dict, compare=False)  # what its record says besides

    @classmethod
    def of(cls, error: Refused, sentence: str = "") -> Refuse:
        """Return ``error`` as a value, told by another ``sentence`` where there is one."""
        return cls(error.reason, sentence or str(error), error.about)

    def error(self) -> Refused:
        """Return the failure that an answer is made of."""
        refused = Refused(self.reason, self.sentence, STATUS.get(self.reason, 403))
        refused.about.update(self.told)
        return refused


@dataclass(frozen=True)
class Known:
    """The version of a release that was verified before."""

    version: int
    digest: str  # of the canonical manifest


@dataclass(frozen=True)
class Admitted:
    """A release whose body and signature were verified under the policy of now."""

    release: Release
    signer: PublicKey


@dataclass(frozen=True)
class Allowed:
    """It may cross by ``lane``; ``application``: also what runs in a browser, as far as the release is one."""

    lane: Lane
    application: bool = False


def admit(policy: Policy, envelope: bytes, code: str, known: Known | None, now: datetime) -> Admitted | Refuse:
    """Judge what an origin gave as the release ``code``, of which version ``known`` is the one verified before.

    With ``trust:`` the policy is the one that trust metadata narrowed for this release (``gateway/release/trust/admitting.py``).
    """
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
    if known is not None and release.version <= known.version and manifest.digest(release) != known.digest:
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


def pass_into(policy: Policy, zone: str, release: Release, now: datetime) -> Allowed | Refuse:
    """Judge whether an admitted release may go into ``zone`` at ``now``."""
    if told := important.by_release(policy.important, release, zone):
        return Refuse(important.REASON, told)
    lane = lane_into(policy, zone, "release")
    if isinstance(lane, Refuse):
        return lane
    if held_back := rights.shown(policy, zone, release, now):
        return Refuse(*held_back)
    return Allowed(lane, application=lane.active and APPLICATION in release.labels)


def pass_to_boxes(policy: Policy, zone: str, release: Release, now: datetime) -> Allowed | Refuse:
    """Judge whether an admitted release may go to other boxes of the culture zone.

    There it stays in its zone, so no lane leads there: they get what a lane lets out of that zone here, or into it. Where and when it
    may be shown is judged at the box that shows it.
    """
    if told := important.by_release(policy.important, release, zone):
        return Refuse(important.REASON, told)
    lane = lane_of_boxes(policy, release)
    if isinstance(lane, Refuse):
        return lane
    lanes = (*policy.lanes_of("release", source="culture"), *policy.lanes_of("release", to="culture"))
    return Allowed(lane, application=any(each.active for each in lanes) and APPLICATION in release.labels)


def lane_of_boxes(policy: Policy, release: Release | None) -> Lane | Refuse:
    """Return the widest lane of what may be shared with other boxes at all, or of ``release``."""
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


def pass_in(policy: Policy, zone: str, release: Release, now: datetime) -> Allowed | Refuse:
    """Judge whether an admitted release that a peer in ``zone`` brings may come in: by the widest lane that leads on."""
    lanes = pass_out_of(policy, zone, release, now)
    if isinstance(lanes, Refuse):
        return lanes
    active = any(lane.active for lane in lanes) and APPLICATION in release.labels
    return Allowed(max(lanes, key=lambda lane: lane.largest), application=active)


def pass_object(lane: Lane, release: Release, path: str) -> File | Refuse:
    """Judge whether the file ``path`` of a release that passes may cross ``lane``."""
    file = release.files.get(path)
    if file is None:
        return Refuse("unknown-path", "the release has no such file")
    if file.size > lane.largest:
        return Refuse("too-large", f"{file.size} bytes; the lane lets objects of {lane.largest} bytes pass")
    return file


def _may_publish(release: Release, body: Body) -> Refuse | None:
    if "share" not in body.acts:
        return Refuse("not-admitted", f"'{release.body}' is admitted for {', '.join(body.acts)}, not to share")
    if not any(release.identifier.startswith(leading) for leading in body.identifiers):
        return Refuse("outside-identifiers", f"{release.identifier} is outside the identifiers of '{release.body}'")
    return None
