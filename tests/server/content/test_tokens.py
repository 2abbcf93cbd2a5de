"""Tokens at the door of a zone, with every process of the chain running."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from appliance.identity.keys import PrivateKey
from gateway.permission.door import NAME
from gateway.release.cli import commands
from tests.server.content import media
from tests.server.content.conftest import BOTH_WAYS, CODE

pytestmark = [pytest.mark.server, BOTH_WAYS]
SEGMENT = media.segment(b"small")


def token(key, *argv, issuer="portal"):
    """Return a token as a portal's developer makes one."""
    made = CliRunner().invoke(commands, ["token", *argv, "--issuer", issuer, "--key", str(key)])
    assert made.exit_code == 0, made.output
    return made.output.strip()


def test_a_zone_with_a_door_serves_who_shows_a_token(chain, tmp_path, until):
    """Phones show one by query, cookie or header; televisions need none; a wrong one is told why; the record has a pseudonym."""
    key, keyfile, strange = PrivateKey.generate(), tmp_path / "portal.key", tmp_path / "strange.key"
    key.save(keyfile)
    PrivateKey.generate().save(strange)
    chain.publish({"1.m4s": SEGMENT})
    chain.write_policy(
        lambda text: text + f'permission: {{zones: [smallscreen], issuers: {{portal: {{keys: ["{key.public}"]}}}}}}\n'
    )
    chain.reload("exchange", "delivery-smallscreen")
    phone = {"zone": "smallscreen"}
    until(lambda: chain.play("1.m4s", **phone).status == 401, "the door is closed")

    refused = chain.play("1.m4s", **phone)
    assert json.loads(refused.body)["reason"] == "no-token"
    until(lambda: chain.play("1.m4s").status == 200, "the television is served without a token")

    good = token(keyfile, CODE, "--subject", "viewer-17")
    by_query = chain.play(f"1.m4s?CAT={good}", **phone)
    assert (by_query.status, by_query.body, by_query.headers["Cache-Control"]) == (
        200,
        SEGMENT,
        "private, max-age=3600",
    )
    cookie = by_query.headers["Set-Cookie"].partition(";")[0]
    assert cookie == f"{NAME}={good}"
    assert chain.play("1.m4s", headers={"Cookie": cookie}, **phone).body == SEGMENT
    assert chain.play("1.m4s", headers={NAME: good}, **phone).body == SEGMENT
    assert chain.origin.asked[f"/releases/{CODE}/1.m4s"] == 1

    other = token(keyfile, "999999-100000000000002-3")
    elsewhere = token(keyfile, "--audience", "bigscreen")
    for shown, told in (
        (other, "token-not-for-this"),
        (elsewhere, "token-elsewhere"),
        (token(strange, CODE), "token-not-signed"),
        ("A" * 5000, "bad-token"),
    ):
        assert json.loads(chain.play("1.m4s", headers={NAME: shown}, **phone).body)["reason"] == told
    assert chain.play(f"1.m4s?CAT={'A' * 65536}", **phone).status in (414, 431)

    chain.used(4)
    usage = chain.records("usage")
    subjects = {record.body["zone"]: record.body.get("subject") for record in usage}
    assert subjects["bigscreen"] is None
    assert len(subjects["smallscreen"]) == 16
    assert "viewer-17" not in json.dumps([record.told() for record in usage])
