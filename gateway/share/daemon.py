"""``headgate run share --zone culture``: serves other boxes at the address that the enforced policy names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from appliance.runtime import metrics
from appliance.runtime.errors import ConfigError, Fault
from appliance.runtime.listening import Listening
from appliance.runtime.places import RUN, STATE
from appliance.runtime.service import Service
from gateway.isolation import policy as policies
from gateway.isolation.policy import Policy
from gateway.serving.exchange import Exchange
from gateway.share import metrics as counted
from gateway.share.boxes import Boxes
from gateway.share.uses import Uses
from gateway.store.manifests import Manifests
from gateway.store.objects import Objects
from gateway.store.registry import Mirror


def check(config: Path, zone: str | None) -> None:
    """Read the policy as the start does.

    Raises:
        ConfigError: it is wrong, or nothing is shared in ``zone``.
    """
    _listen(policies.load(config), config, zone)


def _listen(policy: Policy, config: Path, zone: str | None) -> tuple[str, int]:
    service = policy.service_of(zone, "share") if zone else None
    if service is None:
        raise ConfigError([Fault(str(config), 1, 1, "services", f"no service with 'run: share' in the zone '{zone}'")])
    return service.address, service.port


async def main(service: Service, config: Path, zone: str | None) -> None:
    """Serve other boxes until told to stop."""
    policy = policies.load(config)
    listening = Listening(_listen(policy, config, zone))
    unit = f"share-{zone}"
    (RUN / "metrics" / unit).mkdir(parents=True, exist_ok=True)
    async with Exchange(RUN / "exchange" / unit / "exchange.sock", service.tasks) as exchange:
        uses = Uses(exchange.used)
        store = STATE / "store"
        boxes = Boxes(policy.site, Objects(store), store / "incoming", Manifests(store), Mirror(store), exchange, uses)

        async def reload() -> None:
            policy = policies.load(config)
            listening.move(_listen(policy, config, zone))
            boxes.site = policy.site
            exchange.forget()

        async def withdraw(codes: Sequence[str], _: object) -> int:
            return boxes.running.cut(codes)

        service.reload = reload
        service.tasks.create_task(uses.run())
        service.tasks.create_task(exchange.follow(withdraw))
        service.tasks.create_task(metrics.keep_written(counted.REGISTRY, RUN / "metrics" / unit / f"{unit}.prom"))
        await listening.serve(service, boxes.application, "sharing")
