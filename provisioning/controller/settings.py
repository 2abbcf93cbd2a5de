"""``controller.yaml``: the controller's settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from appliance.runtime.config import Section
from appliance.runtime.places import ETC, STATE
from appliance.telemetry.settings import Broker, Listen, Seconds, Site
from gateway.isolation.words import Key, Name

DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg"}


def _database(text: str) -> str:
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise ValueError("a database is sqlite:////PATH or postgresql://USER@HOST/NAME") from error
    engine = url.get_backend_name()
    if engine not in DRIVERS:
        raise ValueError(f"'{engine}' is not known here: sqlite:////PATH or postgresql://USER@HOST/NAME")
    return url.set(drivername=DRIVERS[engine]).render_as_string(hide_password=False)


class Registry(Section):
    """The registry of identifiers: its name and signing key, and the folder that the origin serves as ``/registry/``."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$")] = (
        "centre"  # in its log's origin line: never changed
    )
    key: Path = ETC / "registry.key"
    folder: Path = STATE / "registry"
    publish: Seconds = 60  # between two looks whether something must be signed anew; changes are published at once
    socket: Path | None = None  # where the origin asks for codes that a box does not hold


class Witness(Section):
    """Who countersigns the boxes' journals; the key is made where there is none."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9./-]{0,62}$")] = "operator"
    key: Path = STATE / "controller" / "witness.key"


class Trust(Section):
    """The trust repository that the origin serves, and the online key that keeps it fresh; without these the controller signs nothing."""

    key: Path = ETC / "controller" / "trust.key"
    folder: Path = Path("/srv/origin/trust")
    root: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = (
        None  # the SHA-256 of the first root that may be sent
    )
    every: Seconds = 5  # between two looks for what was signed
    lasts: Annotated[float, Field(ge=60, le=30 * 86_400)] = 86_400  # seconds of a timestamp; made anew at half of it


class Orders(Section):
    """Whose orders to withdraw and to reinstate are handed on, beside those that the wanted policies name."""

    keys: dict[Name, Key] = Field(default_factory=dict, max_length=16)


class Controller(Section):
    """Settings of the controller."""

    database: Annotated[str, AfterValidator(_database), Field(validate_default=True)] = (
        f"sqlite:///{STATE / 'controller' / 'controller.db'}"
    )
    broker: Broker
    name: Site = "controller"  # its MQTT user and the CN of its certificate
    listen: Listen
    wanted: Path | None = None  # folder of SITE.yaml: the policies that are asked of the boxes
    releases: Path | None = None  # the origin's folder of releases, to show what is published
    registry: Registry | None = None
    orders: Orders = Field(default_factory=Orders)
    witness: Witness = Field(default_factory=Witness)
    trust: Trust | None = None
    silence: Annotated[float, Field(ge=1, le=86_400)] = (
        120  # seconds without a word after which a box counts as offline
    )
