"""An auditor with a copy of the registry's folder and its verifier key finds whatever was altered."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance.identity.keys import PrivateKey
from appliance.journal import note
from appliance.journal.log import Journal
from gateway.resolver.auditing import Audit, Keys, Report
from gateway.resolver.change import entry
from gateway.resolver.cli import commands
from gateway.resolver.proof import parse_key
from gateway.resolver.published import Snapshot, seal
from provisioning.registry.ledger import statement_path
from tests.unit.provisioning.registry.conftest import NOW, Place

DAY = timedelta(days=1)


@pytest.fixture
async def copy(place: Place, tmp_path: Path) -> Path:
    """A copy of what a registry published in which something of everything happened."""
    await place.take(*[place.record(number) for number in range(1, 6)])
    await place.take(
        place.record(2, title="second"), place.record(7), place.record(8, body="film"), mode="good", at=NOW + DAY
    )
    await place.publication.publish(NOW + DAY)
    await place.publication.take_snapshot(NOW + DAY)
    gone = place.record(3, status="withdrawn", reason="x")
    await place.take(gone, act="withdraw", by=place.operator, at=NOW + 2 * DAY)
    await place.publication.publish(NOW + 2 * DAY)
    shutil.copytree(place.folder, tmp_path / "copy", ignore=shutil.ignore_patterns("tail.jsonl"))
    return tmp_path / "copy"


def audited(place: Place, copy: Path, key: PrivateKey | None = None) -> Report:
    keys = Keys({"library": [(key or place.library).public]}, [place.operator.public])
    return Audit(copy, parse_key(place.registry.ledger.verifier), keys).run(lambda done, of: None)


async def test_a_sound_registry_has_no_fault(place: Place, copy: Path) -> None:
    """Tree, chains, statements with and without all their records, signatures and snapshot are as they must be."""
    report = audited(place, copy)
    assert report.faults == []
    assert (report.changes, report.codes, report.statements, report.snapshot) == (8, 6, 3, 7)
    verifier, body = place.registry.ledger.verifier, f"library={place.library.public}"
    words = ["audit", str(copy), "--key", verifier, "--json"]
    done = CliRunner().invoke(commands, words)
    assert (done.exit_code, json.loads(done.stdout)["signed"]) == (0, False)
    done = CliRunner().invoke(commands, [*words, "--body-key", body])  # the operator's withdrawal is nobody's then
    assert (done.exit_code, len(json.loads(done.stdout)["faults"])) == (1, 1)


async def test_whoever_did_not_sign_is_found(place: Place, copy: Path) -> None:
    """With another key than the body's no statement of it holds."""
    assert sum("none of the keys" in fault for fault in audited(place, copy, PrivateKey.generate()).faults) == 2


def _entry(folder: Path, place: Place) -> None:
    bundle = next((folder / "tile/entries").rglob("8"))
    bundle.write_bytes(bundle.read_bytes().replace("刘三姐".encode(), "刘四姐".encode(), 1))


def _statement(folder: Path, place: Place) -> None:
    done = place.signed(*[place.record(number) for number in range(1, 6)])
    (folder / statement_path(done.digest)).unlink()


def _leaves(folder: Path, place: Place) -> None:
    path = next(folder.rglob("*.leaves"))
    path.write_bytes(path.read_bytes()[::-1])


def _snapshot(folder: Path, place: Place) -> None:
    told = place.publication.snapshot
    assert told is not None
    fewer = Snapshot(registry="centre", size=told.size, root=told.root, made=told.made, count=0)
    (folder / "snapshot.json").write_bytes(seal(fewer, place.key))


def _chunk(folder: Path, place: Place) -> None:
    path = next((folder / "snapshot").iterdir())
    path.write_bytes(path.read_bytes()[:-1])


def _forked(folder: Path, place: Place) -> None:
    """The registry itself writes a change that no body signed, that follows a withdrawal, and that hides it."""
    shutil.rmtree(folder / "tile")
    (folder / "checkpoint").unlink()
    shutil.copy(place.folder / "tail.jsonl", folder)
    shutil.copytree(place.folder / "tile", folder / "tile")
    shutil.copy(place.folder / "checkpoint", folder)
    log = Journal(folder, place.key, "headgate.registry/centre")
    forged = place.record(3, title="back again")
    log.append_lines([entry(forged.dump(), place.signed(place.record(1)).digest, 0, NOW.isoformat(), 3)])
    log.close()


@pytest.mark.parametrize(
    ("alter", "words"),
    [
        (_entry, ["not those that were signed", "of other records", "is not as the log has it"]),
        (_statement, ["No such file"]),
        (_leaves, ["of other records", "not in its statement"]),
        (_snapshot, ["it holds 0 records"]),
        (_chunk, ["its content is another"]),
        (_forked, ["No such file", "was changed before by 8", "withdrawn by change 8", "of a time before"]),
    ],
)
async def test_what_was_altered_is_found(
    place: Place, copy: Path, alter: Callable[[Path, Place], None], words: list[str]
) -> None:
    """Whoever altered it, the registry with its own key included."""
    alter(copy, place)
    found = " | ".join(audited(place, copy).faults)
    assert all(word in found for word in words), found


async def test_another_registrys_key_is_told(place: Place, copy: Path) -> None:
    """A log that the key did not sign is none to audit."""
    other = note.verifier(note.log_key("headgate.registry/centre", PrivateKey.generate().public))
    done = CliRunner().invoke(commands, ["audit", str(copy), "--key", other])
    assert "not signed" in str(done.exception)
