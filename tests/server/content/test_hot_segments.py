"""Large objects that were asked for a moment ago go out at once, and nothing else is different."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance.identity.keys import PrivateKey
from gateway.permission.door import NAME
from gateway.release.cli import commands
from tests.server.content import media
from tests.server.content.conftest import ADDRESSES, CODE, give_order

pytestmark = pytest.mark.server
SEGMENT = media.segment(b"small" * 1000)
LARGE = media.sized(3_900_000)  # more than a connection takes at once
WARM = 20  # requests, of which all but the first few are of what is known


def opened(chain, sha256):
    """Return how many descriptors delivery has of an object that was removed."""
    links = []
    for link in Path(f"/proc/{chain.processes['delivery-bigscreen'].pid}/fd").iterdir():
        try:
            links.append(str(link.readlink()))
        except FileNotFoundError:
            continue
    return sum(sha256 in link and link.endswith("(deleted)") for link in links)


def test_a_large_object_asked_for_again_is_the_same_answer(chain, until):
    """Warm answers have the cold one's headers and bytes, whole and in ranges; they do not need the store, which gets its room back."""
    chain.publish({"1.m4s": LARGE})
    until(lambda: chain.play("1.m4s").headers.get("Cache-Status") == "headgate; hit", "it is in the store")
    told = [chain.play("1.m4s") for _ in range(WARM)]
    assert {reply.status for reply in told} == {200}
    assert {reply.body for reply in told} == {LARGE}
    same = [{k: v for k, v in reply.headers.items() if k not in ("Date", "CMSD-Dynamic")} for reply in told]
    assert all(headers == same[0] for headers in same)
    assert all({"Date", "CMSD-Dynamic"} <= reply.headers.keys() for reply in told)

    etag, size = told[0].headers["ETag"], len(LARGE)
    for asked, first, last in (
        ("5-", 5, size - 1),
        ("-100", size - 100, size - 1),
        ("0-0", 0, 0),
        ("9-2000000", 9, 2000000),
    ):
        for more in ({}, {"If-Range": etag}):
            part = chain.play("1.m4s", headers={"Range": f"bytes={asked}", **more})
            assert (part.status, part.body) == (206, LARGE[first : last + 1]), asked
            assert part.headers["Content-Range"] == f"bytes {first}-{last}/{size}"
            assert part.headers["ETag"] == etag
    assert chain.play("1.m4s", headers={"Range": "bytes=5-", "If-Range": '"other"'}).body == LARGE
    assert chain.play("1.m4s", headers={"Range": f"bytes={size}-"}).status == 416
    assert b"multipart" in chain.play("1.m4s", headers={"Range": "bytes=0-9,20-29"}).headers["Content-Type"].encode()
    assert chain.play("1.m4s", headers={"If-None-Match": etag}).status == 304
    assert chain.play("1.m4s", method="HEAD").body == b""

    sha256 = hashlib.sha256(LARGE).hexdigest()
    assert chain.play("1.m4s").body == LARGE
    (chain.state / "store" / "objects" / sha256[:2] / sha256).unlink()
    before = chain.origin.asked.total()
    again = chain.play("1.m4s")
    assert (again.body, again.headers["Cache-Status"]) == (LARGE, "headgate; hit")
    assert chain.origin.asked.total() == before
    assert opened(chain, sha256)
    until(lambda: not opened(chain, sha256), "the disk has its room again")


def test_a_slow_screen_of_a_large_object_keeps_its_place(chain, until):
    """A screen with little room that asked for more behind it: it gets everything, in order."""
    chain.publish({"1.m4s": LARGE, "2.m4s": SEGMENT})
    for name in ("1.m4s", "2.m4s"):
        until(lambda name=name: chain.play(name).headers.get("Cache-Status") == "headgate; hit", f"{name} is known")
    host = f"Host: {ADDRESSES['bigscreen']}:{chain.port}"
    asked = "".join(f"GET /r/{CODE}/{name} HTTP/1.1\r\n{host}\r\n\r\n" for name in ("1.m4s", "2.m4s", "1.m4s")).encode()
    got = b""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(30)
        connection.connect((ADDRESSES["bigscreen"], chain.port))
        connection.sendall(asked)
        while not got.endswith(LARGE) or got.count(LARGE) < 2:
            part = connection.recv(1 << 16)
            assert part, "the box left"
            got += part
    assert [got.count(body) for body in (LARGE, SEGMENT)] == [2, 1]
    assert got.index(LARGE) < got.index(SEGMENT) < got.rindex(LARGE)


def test_a_known_large_object_is_for_who_may_have_it_and_is_broken_off(chain, tmp_path, until):
    """What one screen's token opened is refused to a screen without one; a withdrawn release stops in the middle of it."""
    key, keyfile, regulator = PrivateKey.generate(), tmp_path / "portal.key", PrivateKey.generate()
    key.save(keyfile)
    argv = ["token", CODE, "--subject", "viewer", "--issuer", "portal", "--key", str(keyfile)]
    made = CliRunner().invoke(commands, argv)
    assert made.exit_code == 0, made.output
    token = made.output.strip()
    chain.publish({"1.m4s": LARGE})
    chain.write_policy(
        lambda text: (
            text
            + f'permission: {{zones: [bigscreen], issuers: {{portal: {{keys: ["{key.public}"]}}}}}}\n'
            + f'orders: {{keys: {{regulator: "{regulator.public}"}}}}\n'
        )
    )
    chain.reload("exchange", "delivery-bigscreen")
    until(lambda: give_order(chain, regulator, 0).get("refused", "") is None, "the exchange takes orders")
    until(lambda: chain.play("1.m4s").status == 401, "the door is closed")
    until(lambda: chain.play("1.m4s", headers={NAME: token}).headers["Cache-Status"].endswith("hit"), "it is known")
    for _ in range(WARM):
        assert chain.play("1.m4s", headers={NAME: token}).body == LARGE
        assert chain.play("1.m4s").status == 401
        assert chain.play("1.m4s", headers={NAME: token[:-1]}).status in (400, 401)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(30)
        connection.connect((ADDRESSES["bigscreen"], chain.port))
        asked = (
            f"GET /r/{CODE}/1.m4s HTTP/1.1\r\nHost: {ADDRESSES['bigscreen']}:{chain.port}\r\n{NAME}: {token}\r\n\r\n"
        )
        connection.sendall(asked.encode())
        got = len(connection.recv(5000))
        assert give_order(chain, regulator, 1, CODE)["refused"] is None
        until(lambda: chain.play("1.m4s", headers={NAME: token}).status == 451, "it is withdrawn")
        try:
            while part := connection.recv(1 << 16):
                got += len(part)
        except ConnectionError:
            pass
    assert got < len(LARGE)
