"""What the requests of one zone have in common: where they are answered, what is known, what may be told."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from gateway.isolation import policy
from gateway.resolver.answer.here import Here, unseen
from gateway.resolver.answer.known import Known, known
from gateway.resolver.answer.outcome import Source
from gateway.resolver.answer.raw import plain
from gateway.resolver.codes import SHOWN, Code, WrongCode, broader
from gateway.resolver.finding import Finder, Found
from gateway.resolver.metrics import Numbers

About = dict[str, dict[str, Any]]


class Resolver:
    """The requests' side: settings of the zone, and who finds records."""

    def __init__(self, site: policy.Policy, zone: str, finder: Finder, numbers: Numbers) -> None:
        self.zone, self.finder, self.numbers = zone, finder, numbers
        self.take(site)

    def take(self, site: policy.Policy) -> None:
        """Use the policy ``site`` from now on."""
        self.here = here_of(site, self.zone)

    async def find(self, code: Code) -> tuple[Known | None, Source | None]:
        """Return what is known of ``code``, or of the lot or the item that it is one of; and who says so.

        Raises:
            Corrupt: the record is damaged.
        """
        found: Found = await self.finder.find(code)
        if found.raw is not None:
            return Known(found.raw), found.source
        for wider in broader(code):
            less = await self.finder.at_hand(wider)
            if less.raw is not None:
                return known(less.raw), less.source
        return None, found.source

    def beside(self, targets: Collection[str], *, titles: bool = True) -> tuple[set[str], About]:
        """Return which of the codes may not be told of here, and, with ``titles``, what is told of those that may."""
        hidden, about, now = set[str](), About(), datetime.now(UTC)
        for target, raw in zip(targets, self.finder.many([target.encode() for target in targets]), strict=True):
            if raw is None or (not titles and plain(raw)):
                continue
            record = known(raw)
            if record.status == "reserved" or unseen(record, self.here, now):
                hidden.add(target)
            else:
                about[target] = {"title": record.title, "body": record.body, "status": record.status}
        return hidden, about

    def seen(self, codes: Collection[str]) -> set[str]:
        """Return those of the codes that may be told of here."""
        return set(codes) - self.beside(list(codes), titles=False)[0]

    def likely(self, error: WrongCode) -> list[tuple[str, str]]:
        """Return (code, title) of what may have been meant: those that are registered, if any is, else the likeliest."""
        candidates = error.likely
        _, about = self.beside(candidates)
        registered = [(code, str(about[code]["title"])) for code in candidates if code in about]
        return registered[:SHOWN] or [(code, "") for code in candidates[:SHOWN]]

    def told(self, error: WrongCode) -> dict[str, Any]:
        """Return what a program is told of a wrong code."""
        told: dict[str, Any] = {"reason": error.reason, "error": str(error)}
        if likely := self.likely(error):
            told["likely"] = [code for code, _ in likely]
        if error.schemes:
            told["schemes"] = list(error.schemes)
        return told


def here_of(site: policy.Policy, zone: str) -> Here:
    """Return where the resolver of ``zone`` answers, by the policy."""
    delivery = site.service_of(zone, "delivery")
    return Here(
        site=site.site,
        zone=zone,
        delivery=None if delivery is None else address(delivery),
        territory=site.territory,
        networks=tuple(site.zones[zone].networks),
        hidden=site.registry.hidden if site.registry is not None else 404,
    )


def address(service: policy.Service) -> str:
    """Return the address at which ``service`` is reached."""
    host = f"[{service.address}]" if ":" in service.address else service.address
    return f"http://{host}" if service.port == 80 else f"http://{host}:{service.port}"
