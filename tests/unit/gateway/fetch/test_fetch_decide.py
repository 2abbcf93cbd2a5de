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


def target_of(data, policy=POLICY):
    ask = decide.parse(policy, data)
    return decide.target(policy, ask, ask.origin)


def test_target_has_the_policys_address():
    """The address and port are the policy's, the path is encoded."""
    target = target_of(asked(path="/releases/1/第一集.mp4", etag='"x"'))
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
        ({"any": True}, "bad-request"),
        ({"origin": None}, "bad-request"),
        ({"first": -1}, "bad-request"),
        ({"not": ["a"] * 9}, "bad-request"),
        ({"via": ["Not A Site"]}, "bad-request"),
        ({"via": [f"box-{n}" for n in range(9)]}, "bad-request"),
        ({"via": ["edge", "testbox"]}, "loop"),
    ],
)
def test_what_may_not_be_asked_is_refused(told, reason):
    """Anything but a plain path of a named origin is refused with its reason."""
    with pytest.raises(Refused) as error:
        target_of(asked(**told))
    assert error.value.reason == reason


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=60).map(lambda path: asked(path="/releases/" + path)))
def test_any_bytes_give_a_target_or_a_refusal(data):
    """Whatever comes over the socket is a target whose path stays below its root, or a refusal."""
    try:
        target = target_of(data)
    except Refused:
        return
    assert target.host == "127.10.0.20"
    assert target.path.startswith("/releases/")
    assert ".." not in target.path.split("/")


TIERED = policies.parse(b"""
site: testbox
zones:
  culture: {port: "02:68:67:0a:00:0b", addresses: [127.10.0.1/24]}
  bigscreen: {port: "02:68:67:14:00:0b", addresses: [127.20.0.1/24]}
origins:
  hub: {address: 127.10.0.9, role: parent, tls: true}
  bucket: {address: 127.10.0.20, s3: {bucket: films, region: cn-south-1}}
reach:
  origin: {zone: culture, run: fetch, to: [127.10.0.9, 127.10.0.20], port: tcp/80}
never: [{from: bigscreen, to: culture}]
""")


def test_upstreams_are_asked_as_the_policy_describes_them():
    """An S3 bucket is the path's first part; only a parent is told how old its answer may be; each sees who asked before."""
    told = {
        "path": "/releases/1/a",
        "largest": 5,
        "any": True,
        "etags": {"hub": '"1"'},
        "oldest": 5,
        "via": ["village"],
    }
    ask = decide.parse(TIERED, json.dumps(told).encode())

    hub, bucket = decide.target(TIERED, ask, "hub"), decide.target(TIERED, ask, "bucket")

    assert (hub.path, hub.tls, hub.oldest, hub.etag, hub.s3) == ("/releases/1/a", True, 5, '"1"', None)
    assert (bucket.path, bucket.oldest, bucket.etag, bucket.s3.region) == (
        "/films/releases/1/a",
        None,
        None,
        "cn-south-1",
    )
    assert hub.loop == bucket.loop == "headgate;site=village, headgate;site=testbox"
