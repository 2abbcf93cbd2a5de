"""What the resolver's process answers in each form; and any question that its OpenAPI document allows or does not."""

import asyncio
import io
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner

from appliance.identity.keys import PrivateKey
from gateway.resolver.cli import commands
from gateway.resolver.records import Link, Location, Record, Rights
from tests.registries import put
from tests.server.resolving import FILM, GONE, OTHER, Box, until

pytestmark = pytest.mark.server

CODE = f"isli:{FILM}"
BOOK, SECRET, OLD, ITEM = "isbn:9780471117094", "doi:10.5555/secret", "hdl:20.500.12345/old", "gtin:06901234567892"
FUZZED = 10  # seconds


def table(made: datetime | None = None) -> tuple[int, list[Record], datetime]:
    """Return a table with a code of each kind."""
    plays = Location(release=CODE, entry="master.m3u8", screens=("big",))
    records = [
        Record(
            code=CODE,
            title="刘三姐",
            body="film",
            locations=[Location(url="http://example.com/a", screens=("small",)), plays],
            links=[Link(type="source", target=BOOK), Link(type="related", target=SECRET)],
            ttl=600,
        ),
        Record(code=BOOK, title="壮族山歌", body="library", links=[Link(type="multimedia", target=CODE)]),
        Record(code=SECRET, title="秘密", body="library", rights=Rights(zones=("culture",))),
        Record(code=OLD, title="旧版", body="library", status="superseded", superseded_by=CODE),
        Record(code=GONE, title="x", body="library", status="withdrawn", reason="版权到期"),
        Record(
            code=ITEM,
            title="铜鼓",
            body="museum",
            locations=[Location(url="http://example.com/drum")],
            links=[Link(type="cite", target=CODE)],
        ),
    ]
    return 1, records, made or datetime.now(UTC)


async def ask(
    client: aiohttp.ClientSession, url: str, accept: str = "application/json", **headers: str
) -> tuple[aiohttp.ClientResponse, Any]:
    """Return the answer and its body, read as JSON where it is."""
    async with client.get(url, headers={"Accept": accept, **headers}, allow_redirects=False) as response:
        text = await response.text()
        return response, json.loads(text) if response.content_type.endswith("json") else text


async def test_one_code_in_every_form(box: Box, client: aiohttp.ClientSession) -> None:
    """JSON, linkset, JSON-LD, page, Handle and walk say the same of one code; what this zone may not see is in none of them."""
    put(box.identifiers, *table())
    await box.start()
    plays = f"http://127.0.0.1/r/{FILM}/master.m3u8"

    played, _ = await ask(client, f"{box.url}/id/{FILM}", "*/*")
    assert (played.status, played.headers["Location"]) == (302, plays)
    assert played.headers["Cache-Control"] == "public, max-age=5, stale-if-error=600"
    assert (await ask(client, f"{box.url}/id/{FILM}?screen=small", "*/*"))[0].headers[
        "Location"
    ] == "http://example.com/a"

    texts = []
    told, record = await ask(client, f"{box.url}/id/{FILM}")
    assert (told.status, record["playable"], record["links"]) == (200, plays, [{"target": BOOK, "type": "source"}])
    assert told.headers["Vary"] == "Accept"
    assert 'rel="linkset"' in told.headers["Link"]
    same, _ = await ask(client, f"{box.url}/id/{FILM}", **{"If-None-Match": told.headers["ETag"]})
    assert (same.status, same.headers["ETag"]) == (304, told.headers["ETag"])
    texts.append(json.dumps(record, ensure_ascii=False))
    for accept, words in (
        ("application/linkset+json", "klsv#source"),
        ("application/ld+json", "@context"),
        ("text/html", "▶ 播放 · Play"),
    ):
        answer, found = await ask(client, f"{box.url}/id/{FILM}", accept)
        assert (answer.status, answer.content_type) == (200, accept)
        assert answer.headers["ETag"] != told.headers["ETag"]
        texts.append(found if isinstance(found, str) else json.dumps(found, ensure_ascii=False))
        assert words in texts[-1]
        assert "壮族山歌" in texts[-1]
    _, walk = await ask(client, f"{box.url}/id/{FILM}/links?direction=both&depth=2")
    assert {node["code"] for node in walk["nodes"]} == {CODE, BOOK, ITEM}
    assert {(edge["source"], edge["type"], edge["across"]) for edge in walk["edges"]} == {
        (CODE, "source", True),
        (BOOK, "multimedia", True),
        (ITEM, "cite", True),
    }
    texts.append(json.dumps(walk))
    paged, first = await ask(client, f"{box.url}/id/{CODE}/links?direction=backward&breadth=1&after=")
    assert [edge["source"] for edge in first["edges"]] == [ITEM]
    (more,) = (str(link["url"]) for link in paged.links.values())
    _, last = await ask(client, more)
    assert ([edge["source"] for edge in last["edges"]], last["whole"]) == ([BOOK], True)
    wrong, told_of = await ask(client, f"{box.url}/id/isbn:9780471171094/links")
    assert (wrong.status, told_of["likely"]) == (400, [BOOK])
    _, handle = await ask(client, f"{box.url}/api/handles/isli/{FILM}")
    assert handle["responseCode"] == 1
    assert handle["values"][0]["data"]["value"] == plays
    texts.append(json.dumps(handle))
    assert not any(SECRET in text or "秘密" in text for text in texts)

    _, serial = await ask(client, f"{box.url}/id/gs1:01%2F06901234567892%2F21%2F9")
    assert (serial["record"], serial["playable"]) == (ITEM, "http://example.com/drum")
    moved, _ = await ask(client, f"{box.url}/id/{OLD}", "*/*")
    assert (moved.status, moved.headers["Location"]) == (301, f"/id/{CODE}")
    assert 'rel="successor-version"' in (await ask(client, f"{box.url}/id/{OLD}"))[0].headers["Link"]


async def test_the_command_line_asks_a_box(box: Box) -> None:
    """``headgate id`` resolves in each format, walks, and asks for a file of codes at once."""
    put(box.identifiers, *table())
    await box.start()

    async def headgate(*words: str, lines: str = "") -> tuple[int, str]:
        done = await asyncio.to_thread(CliRunner().invoke, commands, [*words, "--at", box.url], input=lines)
        return done.exit_code, done.stdout

    shown = await headgate("resolve", FILM)
    assert shown[0] == 0
    assert "刘三姐" in shown[1]
    for form, words in (
        ("json", '"playable"'),
        ("linkset", '"linkset"'),
        ("ld", '"@graph"'),
        ("html", "<h1>刘三姐</h1>"),
        ("handle", '"responseCode": 1'),
    ):
        status, text = await headgate("resolve", FILM, "--format", form)
        assert (status, words in text) == (0, True), form
    assert (await headgate("resolve", "20.500.12345/none", "--format", "handle"))[0] == 1
    assert (await headgate("resolve", OTHER))[0] == 1
    walked = await headgate("links", BOOK, "--direction", "both", "--type", "source")
    assert CODE in walked[1]
    assert "来源" in walked[1]
    status, text = await headgate("batch", "-", lines=f"{FILM}\n\n{OTHER}\n")
    assert status == 1
    assert [json.loads(line).get("reason") for line in text.splitlines()] == [None, "unknown-code"]


async def test_why_there_is_nothing(box: Box, client: aiohttp.ClientSession) -> None:
    """Hidden is as unknown unless the policy says 403; a wrong code is told with the registered one that was meant."""
    key = PrivateKey.generate().public
    box.registry = (
        f"registry: {{keys: ['{key}'], origin: centre, hidden: 403}}\norigins: {{centre: {{address: 10.10.0.20}}}}\n"
        "reach: {origin: {zone: culture, run: fetch, to: [10.10.0.20], port: tcp/80}}\n"
    )
    box.zones = "  culture: {port: '02:68:67:0a:00:0b', addresses: [10.10.0.11/24]}\n"
    put(box.identifiers, *table())
    await box.start()
    hidden, told = await ask(client, f"{box.url}/id/{SECRET}")
    assert (hidden.status, told["reason"]) == (403, "zone-not-granted")
    assert (await ask(client, f"{box.url}/id/{SECRET.replace('/', '%2F')}/links"))[0].status == 403
    denied, told = await ask(client, f"{box.url}/api/handles/10.5555/secret")
    assert (denied.status, told["responseCode"]) == (403, 400)
    gone, page = await ask(client, f"{box.url}/id/{GONE}", "text/html")
    assert gone.status == 410
    assert "版权到期" in page
    slip, told = await ask(client, f"{box.url}/id/isbn:9780471171094")
    assert (slip.status, told["reason"], told["likely"]) == (400, "wrong-check-digit", [BOOK])
    assert "壮族山歌" in (await ask(client, f"{box.url}/id/isbn:9780471171094", "text/html"))[1]
    for question in (
        "?format=xml",
        "?screen=huge",
        "/links?depth=0",
        "/links?depth=x",
        "/links?direction=up",
        "/links?after=",
        "/links?direction=backward&after=" + "x" * 500,
        "/links?type=x",
    ):
        answer, _ = await ask(client, f"{box.url}/id/{FILM}{question}")
        assert answer.status == 400, question


async def test_ten_thousand_codes_at_once(box: Box, client: aiohttp.ClientSession) -> None:
    """A batch is answered line by line, as it was asked; more or longer is refused before anything is looked up."""
    put(box.identifiers, *table(datetime.now(UTC) - timedelta(days=3)))
    await box.start()
    asked = [CODE, f"ISLI {FILM}", OTHER, "nonsense"] * 2500
    async with client.post(f"{box.url}/batch", json=asked) as response:
        assert (response.status, response.content_type) == (200, "application/x-ndjson")
        assert response.headers["Headgate-Stale"] == "true"
        told = [json.loads(line) for line in (await response.text()).splitlines()]
    assert [one["asked"] for one in told] == asked
    assert [one.get("reason") for one in told[:4]] == [None, None, "unknown-code", "not-a-code"]
    async with client.post(
        f"{box.url}/batch", data="\n".join(asked).encode(), headers={"Content-Type": "text/plain"}
    ) as lines:
        assert [json.loads(line) for line in (await lines.text()).splitlines()] == told
    for body, kind, status in (
        (json.dumps(["1"] * 10_001).encode(), "application/json", 400),
        (b"{", "application/json", 400),
        (io.BytesIO(b"x" * (5 << 20)), "text/plain", 413),
        (b"1", "image/png", 415),
    ):
        async with client.post(f"{box.url}/batch", data=body, headers={"Content-Type": kind}) as refused:
            assert (refused.status, (await refused.json())["error"] != "") == (status, True)
    metrics = box.root / "run/metrics/resolver-bigscreen/resolver-bigscreen.prom"

    async def counted() -> bool:
        return metrics.exists() and 'scheme="isli",zone="bigscreen"} 10000.0' in metrics.read_text()

    await until(counted)


async def test_no_question_breaks_it(box: Box, client: aiohttp.ClientSession) -> None:
    """Schemathesis asks what the document allows, and what it does not: no answer is a 5xx, and each is as the document says."""
    box.delivery = False  # or it would follow redirects to where nothing plays
    put(box.identifiers, *table())
    await box.start()
    program = Path(sys.executable).with_name("schemathesis")
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,unsupported_method"
    done = await asyncio.to_thread(
        subprocess.run,
        [
            program,
            "run",
            f"{box.url}/openapi.json",
            "--max-time",
            str(FUZZED),
            "--checks",
            checks,
            "--seed",
            "1",
            "--warnings",
            "off",
        ],
        capture_output=True,
        text=True,
        timeout=100,
        cwd=box.root,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-1000:]
    assert (await ask(client, f"{box.url}/id/{FILM}"))[0].status == 200
