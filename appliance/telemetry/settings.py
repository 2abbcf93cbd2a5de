"""``telemetry.yaml``: the telemetry daemon's settings, and those of an MQTT connection."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from appliance.runtime.config import Section
from appliance.runtime.places import ETC, RUN, STATE

Site = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(ge=0.05, le=3600)]


class Broker(Section):
    """Where the broker is and who we are to it; its certificate must name ``address``."""

    address: str
    port: Port = 8883
    ca: Path = ETC / "tls" / "ca.crt"
    cert: Path = ETC / "tls" / "box.crt"
    key: Path = ETC / "tls" / "box.key"
    retry: Seconds = 30  # longest pause between two attempts to connect, before jitter


class Listen(Section):
    """An address and port to serve HTTP on."""

    address: str
    port: Port


class Telemetry(Section):
    """Settings of the telemetry daemon; ``site`` is also its MQTT user and the CN of its certificate."""

    site: Site
    broker: Broker
    metrics: Listen | None = None  # where /metrics and /healthz are served
    report: Seconds = 2  # between two looks at what changed
    heartbeat: Seconds = 30  # the uptime changes this often, so that a silent box is told from a dead one
    figures: Seconds = 10  # between two tellings of what the zones' screens were served
    records: Seconds = 0.5  # between two looks into the spool
    patience: Seconds = 10  # until a record without an acknowledgement is sent again
    spool: Path = STATE / "spool" / "spool.db"
    status: Path = RUN / "guard" / "status.json"
    units: Path = RUN / "metrics"  # the other daemons' metrics
    run: Path = RUN  # holds ``journal``, whose checkpoints leave from here, and ``witness``, where the answers go
