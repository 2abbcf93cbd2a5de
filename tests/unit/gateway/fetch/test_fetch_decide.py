"""What fetch may ask for: origins of the policy, plain paths, bounded answers."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.runtime.errors import Refused
from gateway.fetch import decide
from gateway.isolation import policy as policies

POLICY = policies.parse(b"""
site: testbox
zones:
  culture: {port: "02:68:67:0a:00:0b", addresses: [127.10.0.1/24]}
  bigscreen: {port: "02:68:67:14:00:0b", addresses: [127.20.0.1/24]}
origins:
  centre: {address: 127.10.0.20, port: 8080}
reach:
  origin: {zone: culture, run: fetch, to: [127.10.0.20], port: tcp/8080}
never: [{from: bigscreen, to: culture}]
""")


def asked(**told):
    return json.dumps({"origin": "centre", "path": "/releases/1/release.json", "largest": 10, **told}).encode()


def test_target_has_the_policys_address():
    """The address and port are the policy's, the path is encoded."""
    target = decide.target(POLICY, asked(path="/releases/1/第一集.mp4", etag='"x"'))
    assert (target.host, target.port, target.path) == (
        "127.10.0.20",
        8080,
        "/releases/1/%E7%AC%AC%E4%B8%80%E9%9B%86.mp4",
    )
    assert (target.largest, target.etag) == (10, '"x"')


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"origin": "other"}, "unknown-origin"),
        ({"origin": "127.10.0.20"}, "unknown-origin"),
        ({"path": "/releases/../etc/passwd"}, "bad-request"),
        ({"path": "/releases//x"}, "bad-request"),
        ({"path": "/releases/.git/x"}, "bad-request"),
        ({"path": "/releases/a?b=c"}, "bad-request"),
        ({"path": "/releases/a#b"}, "bad-request"),
        ({"path": "/releases/%2e%2e/x"}, "bad-request"),
        ({"path": "/releases/a\r\nHost: b"}, "bad-request"),
        ({"path": "/releases"}, "bad-request"),
        ({"path": "/admin/x"}, "bad-request"),
        ({"path": "releases/x"}, "bad-request"),
        ({"path": "//releases/x"}, "bad-request"),
        ({"path": "http://127.0.0.1/releases/x"}, "bad-request"),
        ({"path": "/releases/" + "a" * 600}, "bad-request"),
        ({"largest": 0}, "bad-request"),
        ({"largest": (1 << 40) + 1}, "bad-request"),
        ({"etag": "x\r\ny"}, "bad-request"),
        ({"method": "PUT"}, "bad-request"),
    ],
)
def test_what_may_not_be_asked_is_refused(told, reason):
    """Anything but a plain path of a named origin is refused with its reason."""
    with pytest.raises(Refused) as error:
        decide.target(POLICY, asked(**told))
    assert error.value.reason == reason


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=60).map(lambda path: asked(path="/releases/" + path)))
def test_any_bytes_give_a_target_or_a_refusal(data):
    """Whatever comes over the socket is a target whose path stays below its root, or a refusal."""
    try:
        target = decide.target(POLICY, data)
    except Refused:
        return
    assert target.host == "127.10.0.20"
    assert target.path.startswith("/releases/")
    assert ".." not in target.path.split("/")
