"""What pages that follow the controller are told."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.identity.keys import PrivateKey
from appliance.runtime import config
from monitoring.fleet import Box
from provisioning.controller import web
from provisioning.controller.hub import Hub
from provisioning.controller.journals import Journals
from provisioning.controller.orders import Orders
from provisioning.controller.settings import Controller
from provisioning.controller.store import Store
from provisioning.controller.wanted import Wanted
from provisioning.controller.witness import Witness


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    text = f"database: sqlite:///{tmp_path}/c.db\nbroker: {{address: a}}\nlisten: {{address: a, port: 1}}\n"
    settings = config.parse(text, Controller)
    store = Store(settings.database)
    made = Hub(
        settings, store, Journals(store, Witness.named("c", PrivateKey.generate())), Wanted(None), Orders(store, list)
    )
    made.boxes = {name: Box(name, online=True) for name in ("headend", "edge")}
    return made


async def turns() -> None:
    """Let whoever can go on go on."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize(("follows", "hears"), [("headend", False), ("edge", True), ("", True)])
async def test_a_boxs_page_hears_of_that_box_alone(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, follows: str, hears: bool
) -> None:
    """In a fleet something changes all the time; a page that follows all of it hears all of it."""
    monkeypatch.setattr(web, "LULL", 0)
    versions = web._versions(hub, follows)
    first = await anext(versions)
    async with asyncio.TaskGroup() as tasks:
        told = tasks.create_task(anext(versions))  # type: ignore[arg-type]
        await turns()
        hub.boxes["edge"] = replace(hub.boxes["edge"], online=False)
        await hub._bump()
        await turns()
        assert told.done() is hears
        hub.boxes["headend"] = replace(hub.boxes["headend"], online=False)
        await hub._bump()
    assert told.result() == first + (1 if hears else 2)


async def test_a_page_hears_that_we_live_though_nothing_is_new(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while it is told the same version again."""
    monkeypatch.setattr(web, "LULL", 0)
    monkeypatch.setattr(web, "AGAIN", 0.01)
    versions = web._versions(hub, "headend")
    assert await anext(versions) == await anext(versions)
