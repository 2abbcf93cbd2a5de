"""What is written is signed, what is read back is verified; the page beside it is what was signed."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance.identity.keys import PrivateKey
from appliance.journal.note import log_key, verifier
from appliance.runtime.errors import Corrupt, Refused
from gateway.isolation.report import files
from gateway.isolation.report.cli import verify_report
from gateway.isolation.report.model import Audit


def test_what_was_written_is_verified(good: Audit, key: PrivateKey, tmp_path: Path):
    """The auditor gets the box's audit back, and the digest that the page carries."""
    written = files.write(good, key, tmp_path / "new")
    verified = files.verify(written.json, key.public)

    assert verified.audit == good
    assert verified.digest == written.digest == hashlib.sha256(written.json.read_bytes()).hexdigest()
    assert sorted(path.name for path in written.json.parent.iterdir()) == [
        "audit-headend-20260504T030201Z.en.html",
        "audit-headend-20260504T030201Z.json",
        "audit-headend-20260504T030201Z.zh.html",
    ]
    assert all(written.digest in path.read_text() for path in written.pages.values())
    assert files.differing_pages(verified, written.json.parent) == []


def test_another_key_is_refused(good: Audit, key: PrivateKey, tmp_path: Path):
    """Signed by somebody, but not by this box."""
    written = files.write(good, key, tmp_path)

    with pytest.raises(Refused, match="none of the keys") as told:
        files.verify(written.json, PrivateKey.generate().public)
    assert told.value.reason == "not-signed"


def test_an_altered_report_is_refused(bad: Audit, key: PrivateKey, tmp_path: Path):
    """A failure turned into a success breaks the signature."""
    written = files.write(bad, key, tmp_path)
    told = json.loads(written.json.read_bytes())
    payload = base64.b64decode(told["payload"]).replace(b'"failed"', b'"passed"')
    written.json.write_text(json.dumps({**told, "payload": base64.b64encode(payload).decode()}))

    with pytest.raises(Refused):
        files.verify(written.json, key.public)


def test_an_audit_is_signed_by_the_key_that_it_names(good: Audit, tmp_path: Path):
    """Else the page would send its reader to the wrong key."""
    with pytest.raises(ValueError, match="the key that it names"):
        files.write(good, PrivateKey.generate(), tmp_path)


def test_a_missing_file_is_told(key: PrivateKey, tmp_path: Path):
    """In words, not as a traceback."""
    with pytest.raises(Corrupt, match="cannot be read"):
        files.verify(tmp_path / "none.json", key.public)


@pytest.mark.parametrize("form", ["text", "file", "journal"])
def test_the_command_verifies_and_makes_pages_anew(good: Audit, key: PrivateKey, tmp_path: Path, form: str):
    """With the key as text, in a file, or as the journal's key; the new pages are those that the box made."""
    written = files.write(good, key, tmp_path / "box")
    texts = {
        "text": str(key.public),
        "file": str(key.public),
        "journal": verifier(log_key("headend/guard", key.public)),
    }
    told = texts[form]
    if form != "text":
        (tmp_path / "key.pub").write_text(told + "\n")
        told = str(tmp_path / "key.pub")
    done = CliRunner().invoke(verify_report, [str(written.json), "--key", told, "--pages", str(tmp_path / "made")])

    assert done.exit_code == 0, done.output
    assert "conversion: proved" in done.output
    for path in written.pages.values():
        assert (tmp_path / "made" / path.name).read_bytes() == path.read_bytes()


def test_the_command_finds_a_page_that_was_altered(bad: Audit, key: PrivateKey, tmp_path: Path):
    """A page that says something better than what was signed."""
    written = files.write(bad, key, tmp_path)
    page = written.pages["en"]
    page.write_text(page.read_text().replace("the separation is not shown", "zones kept apart, and proved so"))

    done = CliRunner().invoke(verify_report, [str(written.json), "--key", str(key.public)])

    assert isinstance(done.exception, Refused)
    assert done.exception.reason == "page-differs"
    assert page.name in str(done.exception)


def test_the_command_gives_a_program_the_audit(bad: Audit, key: PrivateKey, tmp_path: Path):
    """As JSON, whole."""
    written = files.write(bad, key, tmp_path)
    done = CliRunner().invoke(verify_report, [str(written.json), "--key", str(key.public), "--json"])

    assert json.loads(done.output) == bad.as_json()


@pytest.mark.parametrize("told", ["ed25519:AAAA", "no-such-file", "."])
def test_a_wrong_key_is_told(good: Audit, key: PrivateKey, tmp_path: Path, told: str):
    """Neither a key nor a file of one."""
    written = files.write(good, key, tmp_path)
    done = CliRunner().invoke(verify_report, [str(written.json), "--key", told])

    assert done.exit_code == 2
    assert "key" in done.output
