"""``headgate run DAEMON --config FILE``: what the systemd units call; ``--check`` is their ``ExecStartPre=``."""

from __future__ import annotations

from pathlib import Path

import click

from appliance.runtime import service
from provisioning import loading

# daemon -> the module that holds `check(config: Path, zone: str | None)` and `async main(service, config, zone)`
DAEMONS = {
    "guard": "gateway.isolation.guard",
    "exchange": "gateway.exchange.daemon",
    "admission": "gateway.filters.admission.daemon",
    "inspection": "gateway.filters.inspection.daemon",
    "replica": "gateway.replica.daemon",
    "fetch": "gateway.fetch.daemon",
    "delivery": "gateway.delivery.daemon",
    "front": "gateway.delivery.front.daemon",
    "resolver": "gateway.resolver.daemon",
    "publish": "gateway.publish.daemon",
    "linking": "gateway.linking.daemon",
    "share": "gateway.share.daemon",
    "telemetry": "appliance.telemetry.daemon",
    "controller": "provisioning.controller.daemon",
}


@click.command(name="run")
@click.argument("daemon", type=click.Choice(list(DAEMONS)))
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    required=True,
    help="The daemon's file: the site's policy, or its own settings.",
)
@click.option("--zone", help="The zone it serves, for delivery, front, resolver, publish, linking and share.")
@click.option("--check", is_flag=True, help="Only check the file, by the same code that the start runs.")
def commands(daemon: str, config: Path, zone: str | None, *, check: bool) -> None:
    """Run one daemon in the foreground.

    Example: headgate run delivery --zone bigscreen --config /run/headgate/policy.yaml
    """
    module = loading.daemon(DAEMONS[daemon])
    module.check(config, zone)
    if not check:
        service.run(lambda running: module.main(running, config, zone))
