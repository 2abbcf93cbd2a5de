"""The association engine as an institution runs it: commands, the page as a process, and a registry that takes what was accepted."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner
from sqlalchemy.ext.asyncio import create_async_engine

from appliance.identity.keys import PrivateKey
from appliance.runtime import http
from gateway.linking.cli import commands
from provisioning.controller.identifiers_web import routes
from provisioning.registry.backlinks import Backlinks
from provisioning.registry.judging import Admitted, Rules
from provisioning.registry.looking import Looking
from provisioning.registry.publication import Publication
from provisioning.registry.registry import Registry
from provisioning.registry.routes import Api
from provisioning.registry.tables import metadata

pytestmark = pytest.mark.server

DEADLINE = 20.0  # seconds for anything that should happen
FILM, SCRIPT, THEIRS = "999999-100000000000001-4", "999999-123456789012345-8", "isli:999998-000000000000000000000001-6"
OURS = f"编号,标识,题名,类型,年,责任者,来源\n1,{FILM},电影《刘三姐》,电影,1961,乔羽,\n2,{SCRIPT},劉三姐,图书,1961,喬羽,\n3,x,坏行,,,,\n"
MUSEUM = f'{{"code": "{THEIRS}", "title": "刘三姐", "kind": "film", "year": 1961, "creator": "乔羽"}}\n'
POLICY = """
site: library
zones:
  institution: {{port: "02:68:67:14:00:0b", addresses: [127.50.0.1/24]}}
  management: {{port: "02:68:67:28:00:0b", addresses: [127.40.0.1/24]}}
services:
  linking: {{zone: institution, run: linking, listen: tcp/{port}, from: [127.50.0.0/24]}}
never:
  - {{from: institution, to: management}}
"""


class Engine:
    """An institution's box, as far as it links."""

    def __init__(self, root: Path) -> None:
        self.root = root
        with socket.socket() as probe:
            probe.bind(("127.50.0.1", 0))
            self.port = probe.getsockname()[1]
        (root / "etc/linking").mkdir(parents=True)
        self.policy = root / "policy.yaml"
        self.policy.write_text(POLICY.format(port=self.port))
        self.environment = {
            **os.environ,
            "HEADGATE_RUN": str(root / "run"),
            "HEADGATE_STATE": str(root / "state"),
            "HEADGATE_ETC": str(root / "etc"),
        }

    async def headgate(self, *words: str) -> str:
        """Return what ``headgate link`` printed."""
        book = [] if "--file" in words else ["--book", str(self.root / "state/linking/linking.db")]
        done = await asyncio.to_thread(CliRunner().invoke, commands, [*words, *book], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    async def told(self, *words: str) -> Any:
        """Return what a command told as JSON."""
        return json.loads(await self.headgate(*words, "--json"))

    @asynccontextmanager
    async def page(self) -> AsyncIterator[tuple[asyncio.subprocess.Process, aiohttp.ClientSession]]:
        """Run the daemon."""
        words = ["run", "linking", "--config", str(self.policy), "--zone", "institution"]
        daemon = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "provisioning", *words, env=self.environment
        )
        try:
            jar = aiohttp.CookieJar(unsafe=True)
            async with aiohttp.ClientSession(f"http://127.50.0.1:{self.port}", cookie_jar=jar) as client:
                async with asyncio.timeout(DEADLINE):
                    while not await _answers(client):  # noqa: ASYNC110 (another process)
                        await asyncio.sleep(0.05)
                yield daemon, client
        finally:
            if daemon.returncode is None:
                daemon.kill()
            await daemon.wait()


async def _answers(client: aiohttp.ClientSession) -> bool:
    try:
        async with client.get("/healthz") as answer:
            return answer.status == 200
    except aiohttp.ClientConnectionError:
        return False


async def test_from_a_catalogue_to_the_registry(tmp_path: Path) -> None:
    """Import, propose, decide on the page (killed in between), register under the institution's key, see the link from its other end."""
    box, library = Engine(tmp_path), PrivateKey.generate()
    library.save(tmp_path / "library.pem")
    (tmp_path / "ours.csv").write_text(OURS, encoding="gb18030")
    (tmp_path / "museum.jsonl").write_text(MUSEUM)
    token = (await box.headgate("curator", "li-wei", "--file", str(tmp_path / "etc/linking/curators"))).strip()
    imported = await box.told("import", str(tmp_path / "ours.csv"))
    assert (imported["entries"], imported["faults"][0]["row"]) == (2, 3)
    await box.told("import", str(tmp_path / "museum.jsonl"), "--of", "museum")
    assert (await box.told("propose"))["new"] == 3

    async with box.page() as (daemon, client):
        assert (await client.post("/enter", data={"token": "x"})).status == 401
        assert (await client.post("/enter", data={"token": token})).status == 200
        listed = (await (await client.get("/api/links", headers={"Authorization": f"Bearer {token}"})).json())["links"]
        ends = {(one["source"], one["type"], one["target"]): one["number"] for one in listed}
        same = ends[f"isli:{FILM}", "is-equivalent-to", THEIRS]
        media = ends[f"isli:{SCRIPT}", "multimedia", f"isli:{FILM}"]
        other = ends[f"isli:{SCRIPT}", "multimedia", THEIRS]
        for number, act in ((same, "accepted"), (media, "accepted"), (other, "rejected")):
            assert (await client.post("/decide", data={"number": str(number), "act": act})).status == 200
        daemon.kill()  # what was answered is kept
        await daemon.wait()
    assert (await box.told("list"))["states"] == {"proposed": 0, "accepted": 2, "rejected": 1, "registered": 0}
    assert (await box.told("propose"))["new"] == 0
    async with box.page() as (_, client):
        assert (await client.post("/enter", data={"token": token})).status == 200

    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/controller.db")
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    bodies = {"library": Admitted((library.public,), ("isli:999999-",))}
    registry = Registry(engine, PrivateKey.generate(), tmp_path / "registry", lambda: Rules(bodies))
    await registry.open()
    publication = Publication(registry)
    links = Backlinks(registry, publication)
    app = http.application()
    app.add_routes([*Api(registry, publication).routes(), *routes(Looking(registry, publication, links))])
    async with http.serving(app, tcp=[("127.0.0.1", 0)]) as [(host, port)], aiohttp.ClientSession() as asking:
        at = f"http://{host}:{port}"
        words = ["--key", str(tmp_path / "library.pem"), "--body", "library", "--at", at]
        assert await box.told("register", *words) == {"records": 2, "links": 2, "there": 0, "refused": []}
        assert await box.told("register", *words) == {"records": 0, "links": 0, "there": 0, "refused": []}
        await publication.publish(datetime.now(UTC))
        await links.follow()
        seen = await (await asking.get(f"{at}/api/identifiers/{THEIRS}?depth=2")).json()
        edges = {(edge["source"], edge["type"], edge["target"]) for edge in seen["graph"]["edges"]}
        assert edges == {
            (f"isli:{FILM}", "is-equivalent-to", THEIRS),
            (f"isli:{SCRIPT}", "multimedia", f"isli:{FILM}"),
        }
        assert (await (await asking.get(f"{at}/api/identifiers/{FILM}")).json())["proof"]["body"] == "library"
    registry.close()
    await engine.dispose()
    await box.headgate("export", "--json-ld", str(tmp_path / "links.jsonld"))
    graph = json.loads((tmp_path / "links.jsonld").read_text())["@graph"]
    assert [node["title"] for node in graph[-2:]] == ["电影《刘三姐》", "劉三姐"]
