"""Checkpoint to witness and back, with real Mosquitto (the role's access list), SQLite and PostgreSQL, and both daemons."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from appliance.identity.keys import PrivateKey
from appliance.journal.log import Journal
from appliance.journal.verify import verify_folder
from appliance.runtime import config
from appliance.telemetry.witnessing import Outlet
from provisioning.controller.journals import Journals
from provisioning.controller.settings import Controller
from provisioning.controller.store import Store
from provisioning.controller.witness import Alarm, Countersign, Remind, Witness

pytestmark = [pytest.mark.server, pytest.mark.timeout(180)]
NOW = "2026-11-22T08:30:00.000000Z"
LATER = "2026-11-22T09:30:00.000000Z"


def journal(folder: Path, entries: int, word: str = "apply") -> Journal:
    made = Journal(folder, PRIVATE, "headend/guard")
    made.append_many([{"decision": word, "number": number} for number in range(entries)])
    made.publish()
    return made


PRIVATE = PrivateKey.generate()


@pytest.fixture
async def journals(database: str) -> AsyncIterator[Journals]:
    text = f"database: {database}\nbroker: {{address: a}}\nlisten: {{address: a, port: 1}}\n"
    store = Store(config.parse(text, Controller).database)
    await store.open()
    yield Journals(store, Witness.named("operator", PrivateKey.generate()))
    await store.close()


async def consider(journals: Journals, made: Journal, old: int, now: str = NOW, box: str = "headend") -> Any:
    made.publish()
    return await journals.consider(box, "guard", made.verifier, made.request(old).decode(), now)


async def test_the_last_head_is_kept_in_the_transaction_that_countersigns(journals: Journals, tmp_path: Path) -> None:
    """First sight, a step on, a reminder: the database knows head, key and since when something waits; boxes are apart."""
    made = journal(tmp_path / "a", 5)
    first = await consider(journals, made, 0)
    assert isinstance(first.verdict, Countersign)
    made.countersigned(5, base64.b64encode(made.head().root).decode(), first.lines)
    assert verify_folder(made.folder, witnesses=[journals.by.verifier]).ok
    made.append({})
    assert isinstance((await consider(journals, made, 3)).verdict, Remind)
    (view,) = (await journals.views())["headend"]
    assert (view.size, view.waiting > 0, view.fault) == (5, True, "")
    assert isinstance((await consider(journals, made, 5, LATER)).verdict, Countersign)
    (told,) = await journals.told()
    assert (told["size"], told["key"], told["cosigned"]) == (6, made.verifier, LATER)
    assert told["checkpoint"].count("\N{EM DASH} ") == 2
    assert (await journals.views())["headend"][0].waiting == 0.0
    assert isinstance((await consider(journals, journal(tmp_path / "b", 2), 0, box="edge")).verdict, Countersign)
    assert set(await journals.views()) == {"edge", "headend"}
    made.close()


async def test_a_fork_is_kept_with_its_evidence_until_an_operator_says_why(journals: Journals, tmp_path: Path) -> None:
    """Recorded once however often it comes; afterwards the journal begins anew, and what was known is evidence."""
    made, forged = journal(tmp_path / "a", 5), journal(tmp_path / "b", 9, "forged")
    await consider(journals, made, 0)
    for _ in range(3):
        assert isinstance((await consider(journals, forged, 5)).verdict, Alarm)
    made.append({})
    assert isinstance((await consider(journals, made, 5)).verdict, Alarm)
    (fault,) = await journals.faults()
    assert (fault["reason"], fault["box"]) == ("forked", "headend")
    assert forged.request(5).decode() in fault["evidence"]
    assert (await journals.views())["headend"][0].fault == "forked"
    assert await journals.forget("headend", "guard", "disk replaced", LATER)
    assert not await journals.forget("headend", "guard", "again", LATER)
    assert isinstance((await consider(journals, forged, 0)).verdict, Countersign)
    newest, _ = await journals.faults()
    assert (newest["reason"], newest["told"]) == ("begins-anew", "disk replaced")
    made.close()
    forged.close()


async def test_two_controllers_never_countersign_two_pasts(journals: Journals, database: str, tmp_path: Path) -> None:
    """At the same moment given different continuations, one of them is refused."""
    other = Journals(Store(journals._store.engine.url.render_as_string(hide_password=False)), journals.by)
    made = [journal(tmp_path / word, 5, word) for word in ("apply", "forged")]
    done = await asyncio.gather(consider(journals, made[0], 0), consider(other, made[1], 0))
    assert sorted(type(one.verdict).__name__ for one in done) == ["Alarm", "Countersign"]
    await other._store.close()
    for one in made:
        one.close()


async def ask(daemon: Any, path: str, method: str = "GET") -> Any:
    async with aiohttp.ClientSession() as session, session.request(method, daemon.url + path) as answer:
        text = await answer.text()
        return json.loads(text) if answer.content_type == "application/json" else text


async def until(condition: Any, told: str) -> None:
    for _ in range(800):
        with contextlib.suppress(aiohttp.ClientError, KeyError, IndexError):
            if await condition():
                return
        await asyncio.sleep(0.05)
    raise AssertionError(f"waited in vain: {told}")


async def test_a_checkpoint_leaves_the_box_and_comes_back_countersigned(
    controller: Any, telemetry: Any, tmp_path: Path
) -> None:
    """Through both daemons and the broker; the controller killed in between goes on from what it saw, and a fork is an alarm there."""
    run = telemetry.folder / "run"
    made = journal(tmp_path / "guard", 3)
    outlet = Outlet(made, "guard", run)

    async def witnessed() -> bool:
        outlet.look(hurry=True)
        return made.witnessed == made.size

    await until(witnessed, f"the countersignature\n{controller.log}\n{telemetry.log}")
    key = (await ask(controller, "/api/journals"))["witness"]
    controller.kill()
    made.append_many([{"more": number} for number in range(400)])
    controller.start()
    await until(witnessed, f"the second countersignature\n{controller.log}\n{telemetry.log}")
    assert (await ask(controller, "/api/journals"))["witness"] == key
    kept = tmp_path / "kept"
    kept.write_text(await ask(controller, "/api/journals/headend/guard/checkpoint"))
    report = verify_folder(made.folder, made.verifier, [key], [kept])
    assert (report.faults, report.witnesses["operator"][0]) == ([], 403)
    assert 'headgate_box_journal_entries{box="headend",journal="guard"} 403.0' in await ask(controller, "/metrics")

    forged = journal(tmp_path / "forged", 500, "forged")
    forging = Outlet(
        forged, "guard", run
    )  # is told where the witness stands, and cannot prove that it goes on from there

    async def forks() -> bool:
        forging.look(hurry=True)
        return 'journal_fault{box="headend",journal="guard",reason="forked"} 1.0' in await ask(controller, "/metrics")

    await until(forks, f"the alarm\n{controller.log}")
    assert forged.witnessed == 0
    assert "Suspicious journal" in await ask(controller, "/?lang=en")
    assert "error" in await ask(controller, "/api/journals/headend/guard", "DELETE")
    assert (await ask(controller, "/api/journals/headend/guard?reason=installed+anew", "DELETE"))["box"] == "headend"
    outlet = forging
    made.close()
    made = forged
    await until(witnessed, f"the new beginning\n{controller.log}")
    made.close()
