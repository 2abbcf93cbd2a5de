"""Which records may follow which."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from appliance.runtime.errors import Refused
from gateway.resolver.statement import Act
from provisioning.registry.judging import Admitted, Asked, Batch, Block, Known, Rules, Service, allot, judge

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OURS, THEIRS = "isli:999999-100000000000001-4", "isli:999999-000000000000001-5"
RULES = Rules({"library": Admitted((), ("isli:999999-1",))}, services={"999999": Service(15, "library")})
BLOCK = Block("isli:999999-1000000", "library", "nanning")


def asked(status: str = "registered", code: str = OURS, body: str = "library", **more: Any) -> Asked:
    dump = json.dumps({"code": code, "status": status, "body": body} | more, sort_keys=True).encode()
    return Asked(dump, code, status, body, more.get("reason", ""))


def known(status: str = "registered", body: str = "library", **more: Any) -> Known:
    return Known(status, body, 7, NOW, asked(status, body=body, **more).dump)


def verdict(
    record: Asked, before: Known | None = None, act: Act = "register", rules: Rules = RULES, **more: Any
) -> list[str]:
    """Return the reasons of the faults; 'unchanged' or 'changed' where there is none."""
    batch = Batch(act, "library", more.pop("signed", NOW), [record], **more)
    found = judge(batch, {record.code: before} if before else {}, rules)
    return [w.reason for w in found.faults] or (["changed"] if found.changed else ["unchanged"])


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, "registered", "changed"),
        (None, "reserved", "changed"),
        (None, "superseded", "changed"),
        (None, "withdrawn", "wrong-status"),
        ("reserved", "registered", "changed"),
        ("registered", "reserved", "wrong-status"),
        ("registered", "superseded", "changed"),
        ("registered", "withdrawn", "wrong-status"),
        ("superseded", "registered", "wrong-status"),
        ("withdrawn", "registered", "withdrawn"),
    ],
)
def test_a_status_follows_another(before: str | None, after: str, expected: str) -> None:
    """Reserved becomes registered, registered is superseded, withdrawn is the end; withdrawing is another act."""
    assert verdict(asked(after, title="new"), known(before, title="old") if before else None) == [expected]


@pytest.mark.parametrize(
    ("record", "before", "expected"),
    [
        (asked("withdrawn", reason="x"), known(), "changed"),
        (asked("withdrawn", reason="x"), known("superseded", superseded_by=THEIRS), "changed"),
        (asked("withdrawn"), known(), "no-reason"),
        (asked("withdrawn", reason="x", title="slipped in"), known(), "changed-too"),
        (asked("withdrawn", reason="x"), None, "unknown-code"),
        (asked(), known(title="old"), "wrong-status"),
        (asked("withdrawn", reason="x"), known(body="film"), "other-body"),
        (asked("withdrawn", THEIRS, reason="x"), None, "unknown-code"),
    ],
)
def test_withdrawing_says_why_and_changes_nothing_else(record: Asked, before: Known | None, expected: str) -> None:
    """A withdrawal needs a known code, a reason, and leaves the rest as it was."""
    assert verdict(record, before, act="withdraw") == [expected]


def test_a_record_stays_with_its_body_and_in_its_range() -> None:
    """Codes outside the range, and codes of another body, are refused."""
    assert verdict(asked(code=THEIRS)) == ["outside-identifiers"]
    assert verdict(asked(body="film")) == ["other-body"]
    assert verdict(asked(title="x"), known(body="film")) == ["other-body"]
    assert verdict(asked(), rules=Rules()) == ["outside-identifiers"]


def test_an_older_statement_does_not_take_a_newer_one_back() -> None:
    """Whoever kept an old statement cannot bring its state back."""
    assert verdict(asked(title="old"), known(), signed=NOW - timedelta(seconds=1)) == ["older-statement"]
    assert verdict(asked(), known(), signed=NOW - timedelta(seconds=1)) == ["unchanged"]


def test_a_service_fixes_the_length_of_its_link_codes() -> None:
    """A link code of another length than the service's is no code of it."""
    assert verdict(asked(), rules=Rules(RULES.bodies, services={"999999": Service(16, "x")})) == ["wrong-link-length"]


def test_a_block_is_given_out_by_its_box_alone() -> None:
    """Codes of a block come from its box; the centre and other boxes are refused."""
    rules = Rules(RULES.bodies, blocks=(BLOCK,))
    assert verdict(asked(), rules=rules) == ["allotted"]
    assert verdict(asked(), rules=rules, box="liuzhou") == ["allotted"]
    assert verdict(asked(), rules=rules, box="nanning") == ["changed"]
    assert verdict(asked("withdrawn", reason="x"), known(), "withdraw", rules) == ["changed"]


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        (Block("isli:999999-1000001", "library", "liuzhou"), ""),
        (BLOCK, ""),
        (Block("isli:999999-10000000", "library", "liuzhou"), "allotted"),
        (Block("isli:999999-1000", "library", "nanning"), "allotted"),
        (Block("isli:999999-2", "library", "nanning"), "outside-identifiers"),
        (Block("isli:999999-1000001", "film", "nanning"), "outside-identifiers"),
    ],
)
def test_blocks_lie_apart_and_in_their_bodys_range(block: Block, reason: str) -> None:
    """A block that meets another one, or is not the body's, is refused; the same again is not."""
    rules = Rules(RULES.bodies, blocks=(BLOCK,))
    try:
        allot(block, rules)
    except Refused as error:
        found = error.reason
    else:
        found = ""
    assert found == reason
