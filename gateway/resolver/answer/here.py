"""Where a resolver answers: its zone, the screens there, the zone's delivery; and what may be seen there. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Literal
from urllib.parse import urlsplit

from gateway.release.rights import SCREENS
from gateway.resolver.answer.known import Known, moment

Screen = Literal["big", "small"]
Told = tuple[str, str]  # reason, sentence


@dataclass(frozen=True)
class Here:
    """One zone of one box."""

    site: str
    zone: str
    delivery: str | None = None  # the address of the zone's delivery (``http://10.20.0.11``); None: nothing plays here
    territory: str | None = None
    networks: tuple[IPv4Network | IPv6Network, ...] = field(default=())  # of the zone: what lies there is near
    hidden: Literal[403, 404] = 404  # how a code is answered that may not be seen here

    @property
    def screen(self) -> str | None:
        """The class of screens that stand in the zone, None where there are none."""
        return SCREENS.get(self.zone)

    def near(self, url: str) -> bool:
        """Return whether ``url`` leads to an address of the zone's own networks."""
        try:
            address = ip_address(urlsplit(url).hostname or "")
        except ValueError:
            return False
        return any(address in network for network in self.networks)


def unseen(known: Known, here: Here, now: datetime) -> Told | None:
    """Return why the record may not be told of ``here`` at ``now``, None where it may; the meaning is that of a release's rights."""
    rights = known.rights
    if rights is None:
        return None
    zones, screens, territories = rights.get("zones"), rights.get("screens"), rights.get("territories")
    if zones and here.zone not in zones:
        return "zone-not-granted", f"the body grants {', '.join(zones)}, not {here.zone}"
    if screens and here.screen is not None and here.screen not in screens:
        return (
            "screen-not-granted",
            f"the body grants {' and '.join(screens)} screens, and {here.zone} has {here.screen} ones",
        )
    if territories and not (here.territory or "-").startswith(tuple(territories)):
        where = (
            f"this box is in {here.territory}" if here.territory else "the policy does not say in which territory it is"
        )
        return "territory-not-granted", f"the body grants {', '.join(territories)}, and {where}"
    since, until = moment(rights.get("since")), moment(rights.get("until"))
    if since is not None and now < since:
        return "not-yet", f"it may be told of from {since.isoformat()}"
    if until is not None and now >= until:
        return "expired", f"it might be told of until {until.isoformat()}"
    return None
