"""How much must go so that something comes in. Pure: the policy's figures and what stands there go in, bytes come out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from appliance.runtime.errors import Refused
from gateway.isolation.content import Store
from gateway.store.rows import Of

SLACK = 64 << 20  # bytes that go beyond what is needed, so that not each object that comes lets others go
SLACK_SHARE = 50  # and at most this part of the limit
FREE_SHARE = 8  # of a small disk at most this part stays free, whatever ``free`` says


@dataclass(frozen=True)
class Standing:
    """What the store holds now, with what is on its way into it."""

    bytes: int
    pinned: int
    room: int  # bytes that the disk takes still, what is on its way taken off
    quotas: Mapping[tuple[Of, str], int]  # bytes of a body's or a zone's objects


@dataclass(frozen=True)
class Excess:
    """So many bytes must go, ``of`` one body or zone or of all; ``least`` of them before the object comes in."""

    of: tuple[Of, str] | None
    least: int
    wanted: int  # down to the low-water mark


def fitted(settings: Store, total: int) -> Store:
    """Return the settings for a disk of ``total`` bytes: a small one would hold nothing if the whole ``free`` stayed free."""
    return settings.model_copy(update={"free": min(settings.free, total // FREE_SHARE)})


def quotas_of(settings: Store, body: str, zone: str) -> dict[tuple[Of, str], int]:
    """Return the limits in bytes that hold for an object of ``body`` that comes for ``zone``."""
    found: dict[tuple[Of, str], int] = {}
    if (limit := settings.quotas.bodies.get(body)) is not None:
        found["body", body] = limit
    if (limit := settings.quotas.zones.get(zone)) is not None:
        found["zone", zone] = limit
    return found


def capacity(settings: Store, held: int, room: int) -> int:
    """Return the bytes that the store may take: by the policy, and by what the disk has."""
    by_disk = max(0, held + room - settings.free)
    return by_disk if settings.size is None else min(settings.size, by_disk)


def excesses(settings: Store, standing: Standing, size: int, body: str, zone: str) -> list[Excess]:
    """Return what must go for an object of ``size`` bytes, the narrowest limit first.

    Raises:
        Refused: it would not fit if everything went that may go (``store-full``).
    """
    found = []
    for of, limit in quotas_of(settings, body, zone).items():
        if size > limit:
            raise Refused("store-full", f"{size} bytes; the quota of the {of[0]} '{of[1]}' is {limit} bytes", 507)
        found.append(_excess(of, standing.quotas[of] + size - limit, limit))
    whole = capacity(settings, standing.bytes, standing.room)
    if size > whole - standing.pinned:
        raise Refused(
            "store-full", f"{size} bytes; the store takes {whole} bytes, of which {standing.pinned} are pinned", 507
        )
    found.append(_excess(None, standing.bytes + size - whole, whole))
    return [excess for excess in found if excess.least > 0]


def _excess(of: tuple[Of, str] | None, least: int, limit: int) -> Excess:
    return Excess(of, least, least + min(SLACK, limit // SLACK_SHARE))
