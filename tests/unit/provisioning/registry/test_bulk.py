"""``headgate id import`` against a registry: all or nothing, all good ones, a report by line, going on, the same again."""

from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from appliance.runtime import http
from appliance.runtime.errors import Unreachable
from gateway.resolver.cli import commands
from gateway.resolver.importing import reading
from provisioning.registry.routes import Api
from tests.unit.provisioning.registry.conftest import Place, code

Run = Callable[..., Awaitable[Result]]


@pytest.fixture
async def run(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Run]:
    """Run the command on a file's rows, ten at once, at a registry that is served."""
    monkeypatch.setattr(reading, "MOST", 10)
    key = tmp_path / "library.key"
    place.library.save(key)
    app = http.application()
    app.add_routes(Api(place.registry, place.publication).routes())
    async with http.serving(app, tcp=[("127.0.0.1", 0)]) as addresses:
        at = f"http://127.0.0.1:{addresses[0][1]}"

        async def run_(rows: list[dict[str, Any]], *words: str) -> Result:
            file = tmp_path / "catalogue.jsonl"
            file.write_text("".join(json.dumps(row) + "\n" for row in rows))
            argv = [
                "import",
                str(file),
                "--body",
                "library",
                "--key",
                str(key),
                "--at",
                at,
                "--processes",
                "0",
                "--json",
            ]
            return await asyncio.to_thread(CliRunner().invoke, commands, [*argv, *words])

        yield run_


def rows(*numbers: int) -> list[dict[str, Any]]:
    return [{"code": code(number), "title": f"film {number}"} for number in numbers]


async def test_many_rows_are_registered_and_again_change_nothing(place: Place, run: Run, tmp_path: Path) -> None:
    """Every batch is one statement; the same file again finds all of it there."""
    done = await run(rows(*range(25)))
    assert (done.exit_code, json.loads(done.stdout)) == (0, {"batches": 3, "changed": 25, "unchanged": 0, "faults": 0})
    assert place.registry.ledger.size == 25
    again = await run(rows(*range(25)))
    assert json.loads(again.stdout)["unchanged"] == 25
    assert not (tmp_path / ".catalogue.jsonl.import").exists()


async def test_a_row_with_a_fault_holds_all_back_or_only_itself(place: Place, run: Run, tmp_path: Path) -> None:
    """All or nothing registers nothing, and the report has every fault by its line; asked for, the good ones are registered."""
    wrong = [
        *rows(*range(12)),
        {"code": code(3), "title": "again"},
        {"code": code(1, "999998"), "title": "x"},
        {"code": "x"},
    ]
    report = tmp_path / "faults.csv"
    done = await run(wrong, "--report", str(report))
    assert (done.exit_code, place.registry.ledger.size) == (1, 0)
    with report.open(newline="") as file:
        told = {(int(row["line"]), row["reason"]) for row in csv.DictReader(file)}
    assert told == {(13, "twice"), (14, "outside-identifiers"), (15, "not-a-code")}
    assert "line 13" in done.stderr

    done = await run(wrong, "--report", str(report), "--good-ones")
    assert (done.exit_code, json.loads(done.stdout)["changed"], place.registry.ledger.size) == (1, 12, 12)
    with report.open(newline="") as file:
        assert {int(row["line"]) for row in csv.DictReader(file)} == {13, 14, 15}


async def test_an_import_that_was_broken_off_goes_on(
    place: Place, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failure in the middle the same command hands in what is left, and not what was."""
    taken, register = [], place.registry.register

    async def failing(*args: Any, **more: Any) -> Any:
        if not more.get("dry"):
            taken.append(args[0].digest)
            if len(taken) == 3:
                raise Unreachable("the line is down")
        return await register(*args, **more)

    monkeypatch.setattr(place.registry, "register", failing)
    done = await run(rows(*range(45)))
    assert isinstance(done.exception, Unreachable)
    assert 10 <= place.registry.ledger.size < 45
    before = len(taken)
    done = await run(rows(*range(45)))
    assert (done.exit_code, place.registry.ledger.size) == (0, 45)
    assert len(taken) - before <= 4
