"""Small objects that were asked for a moment ago go out at once, and nothing else is different."""

from __future__ import annotations

import socket

import pytest
from click.testing import CliRunner

from appliance.identity.keys import PrivateKey
from gateway.permission.door import NAME
from gateway.release.cli import commands
from tests.server.content import media
from tests.server.content.conftest import ADDRESSES, BOTH_WAYS, CODE, give_order

pytestmark = [pytest.mark.server, BOTH_WAYS]
SEGMENT = media.segment(b"small" * 1000)
WARM = 20  # requests, of which all but the first few are of what is known


def spoken(chain, data, answers, zone="bigscreen"):
    """Return what came for ``data`` on one connection, up to so many whole answers of the segment."""
    got = b""
    with socket.create_connection((ADDRESSES[zone], chain.port), 30) as connection:
        connection.sendall(data)
        while got.count(SEGMENT) < answers and (part := connection.recv(1 << 16)):
            got += part
    return got


def test_an_object_asked_for_again_and_again_is_the_same_answer(chain, until):
    """Warm answers have the cold one's headers; ranges, conditions and HEAD are judged as ever; each is counted; withdrawn is gone."""
    regulator = PrivateKey.generate()
    chain.write_policy(lambda text: text + f'orders: {{keys: {{regulator: "{regulator.public}"}}}}\n')
    chain.reload("exchange", "delivery-bigscreen")
    until(lambda: give_order(chain, regulator, 0).get("refused", "") is None, "the exchange takes orders")
    chain.publish({"1.m4s": SEGMENT})
    until(lambda: chain.play("1.m4s").headers.get("Cache-Status") == "headgate; hit", "it is in the store")
    told = [chain.play("1.m4s") for _ in range(WARM)]
    assert {reply.status for reply in told} == {200}
    assert {reply.body for reply in told} == {SEGMENT}
    assert (
        len({tuple(sorted((k, v) for k, v in reply.headers.items() if k not in ("Date", "Server"))) for reply in told})
        == 1
    )
    assert all("Date" in reply.headers for reply in told)

    etag = told[0].headers["ETag"]
    assert chain.play("1.m4s", headers={"If-None-Match": etag}).status == 304
    part = chain.play("1.m4s", headers={"Range": "bytes=2-4"})
    assert (part.status, part.body) == (206, SEGMENT[2:5])
    assert chain.play("1.m4s", method="HEAD").body == b""

    # Several requests in one write, each answered in its turn; the one in the middle goes the long way.
    head = f"GET /r/{CODE}/1.m4s HTTP/1.1\r\nHost: {ADDRESSES['bigscreen']}:{chain.port}\r\n".encode()
    got = spoken(chain, head + b"\r\n" + head + b"Range: bytes=0-0\r\n\r\n" + head + b"\r\n", 2)
    assert [got[at + 9 : at + 12] for at in range(len(got)) if got.startswith(b"HTTP/1.1 ", at)] == [
        b"200",
        b"206",
        b"200",
    ]

    assert give_order(chain, regulator, 1, CODE)["refused"] is None
    until(lambda: chain.play("1.m4s").status == 451, "a withdrawn release is not served from memory either")


def test_what_players_tell_with_a_known_object_is_counted(chain, until):
    """Each session, though its request says nothing else that is new."""
    chain.publish({"1.m4s": SEGMENT})
    until(lambda: chain.play("1.m4s").headers.get("Cache-Status") == "headgate; hit", "it is in the store")
    for number in range(WARM):
        assert chain.play(f"1.m4s?CMCD=bl%3D2100%2Csid%3D%22{number}%22").body == SEGMENT
    assert chain.play("1.m4s?CMCD=sid%3D%22x%22&more=1").status == 200
    figures = chain.run / "metrics" / "delivery-bigscreen" / "delivery-bigscreen.prom"
    told = f'headgate_delivery_sessions{{screen="big",zone="bigscreen"}} {WARM + 1}.0'
    until(lambda: figures.exists() and told in figures.read_text(), "each is a session")
    assert f'buffer_seconds_count{{screen="big",zone="bigscreen"}} {WARM}.0' in figures.read_text()


def test_a_known_object_is_for_who_may_have_it(chain, tmp_path, until):
    """Behind a door, what one screen's token opened is refused to a screen without one, and to one with another's."""
    key, keyfile = PrivateKey.generate(), tmp_path / "portal.key"
    key.save(keyfile)

    def token(code):
        argv = ["token", code, "--subject", "viewer", "--issuer", "portal", "--key", str(keyfile)]
        made = CliRunner().invoke(commands, argv)
        assert made.exit_code == 0, made.output
        return made.output.strip()

    chain.publish({"1.m4s": SEGMENT})
    chain.write_policy(
        lambda text: text + f'permission: {{zones: [smallscreen], issuers: {{portal: {{keys: ["{key.public}"]}}}}}}\n'
    )
    chain.reload("exchange", "delivery-smallscreen")
    phone = {"zone": "smallscreen"}
    until(lambda: chain.play("1.m4s", **phone).status == 401, "the door is closed")
    good, other = token(CODE), token("999999-100000000000002-3")
    for _ in range(WARM):
        assert chain.play("1.m4s", headers={NAME: good}, **phone).body == SEGMENT
        assert chain.play("1.m4s", headers={"Cookie": f"{NAME}={good}"}, **phone).body == SEGMENT
        assert chain.play("1.m4s", **phone).status == 401
        assert chain.play("1.m4s", headers={NAME: other}, **phone).status == 403
        assert chain.play("1.m4s", headers={NAME: good[:-1]}, **phone).status in (400, 401)
