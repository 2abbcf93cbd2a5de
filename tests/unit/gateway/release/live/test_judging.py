"""One live file against its channel."""

import hashlib

import pytest

from appliance.identity.keys import PrivateKey
from appliance.runtime.errors import Refused
from gateway.release.live import signing
from gateway.release.live.judging import judge
from gateway.release.manifest import Live

KEY = PrivateKey.generate()
LIVE = Live(key=str(KEY.public), segment=2.0, window=6, largest=1000)
CODE, NOW = "999999-100000000000001-4", 1_764_354_912.0
CLAIM = signing.claim_of(b"segment", sequence=int(NOW * 1000), created=int(NOW), expires=int(NOW) + 60)
FIELDS = signing.sign(KEY, CODE, "1.ts", CLAIM)


def verdict(data=b"segment", path="1.ts", now=NOW, floor=0, live=LIVE):
    try:
        return judge(
            live,
            CODE,
            path,
            fields=FIELDS,
            sha256=hashlib.sha256(data).hexdigest(),
            size=len(data),
            now=now,
            floor=floor,
        )
    except Refused as error:
        return error.reason


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, CLAIM),
        ({"data": b"segmenT"}, "digest-mismatch"),
        ({"data": b""}, "digest-mismatch"),
        ({"path": "2.ts"}, "not-signed"),
        ({"now": NOW + 3600}, "stale-segment"),
        ({"floor": CLAIM.sequence + 1}, "stale-segment"),
        ({"live": LIVE.model_copy(update={"key": str(PrivateKey.generate().public)})}, "not-signed"),
    ],
)
def test_content_signature_and_moment_must_agree(told, expected):
    """Signature first, then bytes, then time."""
    assert verdict(**told) == expected
