"""Service codes and blocks: who must have signed that they are somebody's, and how the registry keeps it."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import delete, insert

from appliance.runtime.errors import Refused
from gateway.resolver.delegations import AskedBlock, AskedService, claimed, unseal
from provisioning.registry import rows
from provisioning.registry.judging import Block, Service, allot
from provisioning.registry.registry import EARLY, Registry
from provisioning.registry.tables import blocks, services

MOST_BLOCKS = 10_000
MOST_SERVICES = 10_000


class Delegating:
    """Takes what an operator and bodies sign, for ``registry``."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def service(self, data: bytes, now: datetime) -> tuple[str, Service]:
        """Take an operator's word on a service code; a later one takes the place of an earlier one.

        Raises:
            Corrupt: it is none.
            Refused: no operator signed it (``not-signed``), codes of another length are registered there (``wrong-link-length``), ...
        """
        registry = self._registry
        asked = unseal(AskedService, data, registry.rules().operators)
        _not_early(asked.time, now)
        service = Service(asked.link, asked.body, asked.name)
        async with registry.alone():
            before = registry.services.get(asked.service)
            if before is None and len(registry.services) >= MOST_SERVICES:
                raise Refused("too-many", f"a registry has at most {MOST_SERVICES} services", 507)
            async with registry.begin() as connection:
                known = await rows.any_code(connection, f"isli:{asked.service}-")
                if known is not None and len(known) - 14 != asked.link:
                    told = f"{known} is registered, whose link code has another length: it is fixed for a service"
                    raise Refused("wrong-link-length", told, 409)
                await rows.not_older(connection, services.c.service == asked.service, services.c.time, _utc(asked.time))
                await connection.execute(delete(services).where(services.c.service == asked.service))
                row = {"service": asked.service, "time": _utc(asked.time), "envelope": data.decode(), **vars(service)}
                await connection.execute(insert(services).values(row))
            registry.services = registry.services | {asked.service: service}
        return asked.service, service

    async def block(self, data: bytes, now: datetime) -> Block:
        """Allot a block, which a body signed, to one of its boxes; the same again changes nothing.

        Raises:
            Corrupt: it is none.
            Refused: no key of the body signed it (``not-signed``), or it may not be (``allotted``, ``outside-identifiers``, ...).
        """
        registry = self._registry
        rules = registry.rules()
        admitted = rules.bodies.get(claimed(AskedBlock, data).body)
        asked = unseal(AskedBlock, data, admitted.keys if admitted else ())
        _not_early(asked.time, now)
        block = Block(asked.part, asked.body, asked.box)
        async with registry.alone():
            allot(block, registry.rules())
            if block in registry.blocks:
                return block
            if len(registry.blocks) >= MOST_BLOCKS:
                raise Refused("too-many", f"a registry has at most {MOST_BLOCKS} blocks", 507)
            async with registry.begin() as connection:
                if known := await rows.any_code(connection, asked.part):
                    raise Refused("allotted", f"{known} is registered already, so {asked.part} is no fresh block", 409)
                row = {"time": _utc(asked.time), "envelope": data.decode(), **vars(block)}
                await connection.execute(insert(blocks).values(row))
            registry.blocks = tuple(sorted([*registry.blocks, block], key=lambda one: one.part))
        return block


def _not_early(time: datetime, now: datetime) -> None:
    if time > now + EARLY:
        raise Refused("wrong-time", f"it is signed at {time.isoformat()}, which is not yet", 422)


def _utc(time: datetime) -> str:
    return time.astimezone(UTC).isoformat()
