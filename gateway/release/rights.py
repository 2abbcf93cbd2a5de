"""May it be shown here and now, and is what it is made of granted? Pure: (reason, sentence) of a refusal, or None.

The classes of screens stand behind zones: a box knows a screen by the network it is in. An institution's own network counts as
big screens: what hangs in its halls is seen by many at once, like a television.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

from appliance.runtime.errors import Corrupt
from gateway.isolation.policy import Policy
from gateway.release import grants
from gateway.release.grants import Keys
from gateway.release.manifest import Release, Rights

SCREENS = {"bigscreen": "big", "smallscreen": "small", "institution": "big"}  # culture and management have no screens

Told = tuple[str, str]  # reason, sentence


def shown(policy: Policy, zone: str, release: Release, now: datetime) -> Told | None:
    """Return why ``release`` may not go into ``zone`` at ``now``; asked with each request, because times pass."""
    rights = release.rights
    if zone not in rights.zones:
        return "zone-not-granted", f"the body grants {', '.join(rights.zones)}, not {zone}"
    screen = SCREENS.get(zone)
    if screen is not None and rights.screens and screen not in rights.screens:
        return (
            "screen-not-granted",
            f"the body grants {' and '.join(rights.screens)} screens, and {zone} has {screen} ones",
        )
    return _territory(policy, rights) or _times(release, now) or _site(policy, rights)


def granted(policy: Policy, release: Release, keys_of: Keys, now: datetime) -> Told | None:
    """Return why ``release`` may not make use of its sources, by the policy of this site and the grants that it carries.

    For each source its body must be the one whose range the code is in, and must have granted the act; the body that signs
    must be admitted for the act here.
    """
    body = policy.bodies.get(release.body)
    for source in release.sources:
        if source.body == release.body:
            continue
        if body is None or source.act not in body.acts:
            acts = ", ".join(body.acts) if body else "nothing"
            return "not-admitted", f"'{release.body}' is admitted for {acts}, not to {source.act} {source.release}"
        giver = policy.bodies.get(source.body)
        if giver is None:
            return "no-grant", f"no body '{source.body}' is admitted here that could grant {source.release}"
        if not any(source.release.startswith(leading) for leading in giver.identifiers):
            return (
                "no-grant",
                f"{source.release} is not in the range of '{source.body}', which therefore cannot grant it",
            )
        if told := grants.check(source, release.body, keys_of, now):
            return "no-grant", told
    return None


def _territory(policy: Policy, rights: Rights) -> Told | None:
    if not rights.territories:
        return None
    here = policy.territory
    if here is not None and here.startswith(rights.territories):
        return None
    where = f"this box is in {here}" if here else "the policy does not say in which territory this box is"
    return "territory-not-granted", f"the body grants {', '.join(rights.territories)}, and {where}"


def _times(release: Release, now: datetime) -> Told | None:
    rights, clock = release.rights, f"this box's clock says {now.isoformat(timespec='seconds')}"
    if rights.since is not None and now < rights.since:
        return "not-yet", f"it may be shown from {rights.since.isoformat()}; {clock}"
    if rights.until is not None and now >= rights.until:
        return "expired", f"it might be shown until {rights.until.isoformat()}; {clock}"
    for source in release.sources:
        until = _until(source.grant) if source.body != release.body else None
        if until is not None and now >= until:
            return "no-grant", f"the grant of '{source.body}' for {source.release} ended {until.isoformat()}; {clock}"
    return None


def _site(policy: Policy, rights: Rights) -> Told | None:
    if rights.bodies and not any(body in policy.bodies for body in rights.bodies):
        return (
            "body-not-granted",
            f"the body grants sites of {', '.join(rights.bodies)}, and none of them is admitted at {policy.site}",
        )
    return None


@lru_cache(4096)  # asked with each request; that it is signed was verified when the release was admitted
def _until(grant: str) -> datetime | None:
    try:
        return grants.claimed(grant.encode()).until
    except Corrupt:
        return None
