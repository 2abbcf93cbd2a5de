"""A body registers at its own box, with every process of the chain running: also while the line is down."""

from __future__ import annotations

import json
import os
import signal
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from appliance.identity.keys import PrivateKey
from gateway.resolver.cli import commands
from gateway.resolver.pending import PendingFile
from gateway.resolver.statement import sign
from gateway.resolver.table import Table
from tests.registries import Registry, dump
from tests.server.content.test_inward import HOST, call, with_institution

pytestmark = pytest.mark.server
PART = "isli:999999-1000001"
LANE = "  registering: {from: institution, to: culture, kind: identifier}\n"
REGISTRATIONS = "/api/registry/registrations"


def record(number, title="刘三姐", **more):
    """Return the dump of the record with a code in the block."""
    return dump(100_000_100_000_000 + number, title, **more)


@pytest.fixture
def box(chain, until):
    """An institution's box whose body has a block of codes, and what its registry publishes."""
    chain.registry = Registry(chain.origin.folder / "registry", chain.key)
    chain.registry.services = {"999999": {"link": 15, "body": "library"}}
    chain.registry.blocks = [{"part": PART, "body": "library", "box": "testbox"}]
    chain.registry.change([dump(100_000_000_000_001)])
    with_institution(chain)
    chain.policy.write_text(chain.policy.read_text().replace("lanes:\n", f"lanes:\n{LANE}", 1))
    chain.stop("exchange")
    chain.start("exchange")
    chain.start("publish", "institution")
    until(lambda: (info := Table.open(chain.state / "identifiers").info()) and info.size, "the registry is followed")
    return chain


def registered(box, *dumps, key=None, body="library"):
    given = sign("register", body, list(dumps), key or box.key, datetime.now(UTC))
    return call(box, "POST", REGISTRATIONS, b"\n".join([given.envelope, *given.dumps, b""]))


def waits(box, name):
    found = PendingFile(box.state / "identifiers")
    found.renew()
    return found.raw(name)


def headgate_id(*argv):
    """Run ``headgate id ARGV`` and return what it prints."""
    done = CliRunner().invoke(commands, list(argv))
    assert done.exit_code == 0, done.output
    return done.output.strip()


def test_a_code_of_the_block_is_registered_while_the_line_is_down(box, tmp_path, until):
    """The next code is handed out, registered, durable on its way to the centre and resolved at once; what the log says later counts."""
    key, at = tmp_path / "library.key", f"http://{HOST}:{box.port}"
    box.key.save(key)
    box.origin.stop()
    name = headgate_id("next", "--body", "library", "--at", at)
    assert name == json.loads(record(0))["code"]
    words = ["--title", "刘三姐", "--body", "library", "--key", str(key), "--at", at]
    assert "the centre hears of it" in headgate_id("register", name, *words)

    assert waits(box, name) == record(0)
    (spooled,) = box.records("registration")
    assert (spooled.source, spooled.body["records"]) == ("publish/institution", [json.loads(record(0))])
    assert registered(box, record(0))[0] == 202
    assert len(box.records("registration")) == 2  # signed anew, it is another statement

    for daemon in ("exchange", "replica"):
        os.kill(box.processes[daemon].pid, signal.SIGKILL)
        box.processes.pop(daemon).wait()
        box.start(daemon)
    assert waits(box, name) == record(0)
    statement = registered(box, record(5))[2]["digest"]
    gone = json.loads(record(5))["code"]
    assert waits(box, gone) == record(5)
    assert box.ask("telemetry-management", "not-registered", {"statement": statement}).status == 204
    assert waits(box, gone) is None

    box.origin.start()
    box.registry.change([record(0)])
    until(lambda: waits(box, name) is None, "the registry has it")
    assert Table.open(box.state / "identifiers").raw(name) == record(0)


def test_what_is_not_the_bodys_here_is_refused(box, until):
    """Outside the block, another key, another's record, and what is no registration: refused by name, journalled, not sent."""
    answers = [
        registered(box, dump(100_000_000_000_002)),
        registered(box, record(3), key=PrivateKey.generate()),
        registered(box, record(3, body="film")),
        registered(box, record(3), body="stranger"),
        registered(box, *[record(n, "x" * 400) for n in range(40)]),
    ]
    assert [told["reason"] for _, _, told in answers] == [
        "outside-block",
        "not-signed",
        "other-body",
        "not-admitted",
        "too-large",
    ]
    assert call(box, "POST", REGISTRATIONS, b"x")[2]["reason"] == "bad-request"
    status, _, told = call(box, "POST", REGISTRATIONS, b"x\ny")
    assert (status, told["reason"]) == (400, "bad-request")
    assert call(box, "GET", "/api/registry/next?body=library&count=0")[2]["reason"] == "bad-request"
    assert call(box, "GET", "/api/registry/next?body=stranger")[2]["reason"] == "not-admitted"
    assert box.records("registration") == []
    until(
        lambda: {r.body["reason"] for r in box.records("audit")} >= {"outside-block", "not-signed", "other-body"},
        "journalled",
    )
