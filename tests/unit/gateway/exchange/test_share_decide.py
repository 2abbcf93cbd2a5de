"""What other boxes are given: the peer ``share-culture``."""

from datetime import UTC, datetime

import pytest

from appliance.identity.keys import PrivateKey
from gateway.exchange import decide
from gateway.exchange.decide import Peer, Refuse
from gateway.filters.admission import decide as judging
from gateway.isolation import policy as policies
from gateway.release.manifest import File, Release, Rights

SHARE = Peer("share", "culture")
KEY = PrivateKey.generate().public
TEXT = f"""
site: testbox
zones:
  culture: {{port: "02:68:67:0a:00:0b", addresses: [127.10.0.1/24]}}
  bigscreen: {{port: "02:68:67:14:00:0b", addresses: [127.20.0.1/24]}}
  institution: {{port: "02:68:67:1e:00:0b", addresses: [127.30.0.1/24]}}
bodies:
  library: {{name: 图书馆, keys: ["{KEY}"], identifiers: ["isli:999999-1"], acts: [share]}}
services:
  share: {{zone: culture, run: share, listen: tcp/80, from: [127.10.0.0/24]}}
important: {{outside: [culture]}}
lanes: LANES
never: [{{from: bigscreen, to: culture}}]
"""
OUT = "{films: {from: culture, to: bigscreen, kind: release, largest: 2 MiB}}"
INTO = "{gifts: {from: institution, to: culture, kind: release, largest: 1 MiB}}"
NONE = "{usage: {from: bigscreen, to: institution, kind: record}}"


def outcome(lanes, **told):
    policy = policies.parse(TEXT.replace("LANES", lanes).encode())
    fields = {
        "rights": Rights(zones=("bigscreen",)),
        "files": {"a.mp4": File(sha256="0" * 64, size=1, type="video/mp4")},
    }
    release = Release(
        identifier="isli:999999-100000000000001-4",
        version=1,
        body="library",
        title="t",
        entry="a.mp4",
        **{**fields, **told},
    )
    before, after = decide.may_ask(policy, SHARE), judging.pass_to_boxes(policy, SHARE.zone, release, datetime.now(UTC))
    return [
        v.reason if isinstance(v, Refuse) else (v.lane if isinstance(v, judging.Allowed) else v).largest >> 20
        for v in (before, after)
    ]


@pytest.mark.parametrize(
    ("lanes", "told", "expected"),
    [
        (OUT, {}, [2, 2]),
        (OUT, {"rights": Rights(zones=("smallscreen",))}, [2, "zone-not-granted"]),
        (INTO, {}, [1, 1]),
        (INTO, {"rights": Rights(zones=("smallscreen",))}, [1, 1]),
        (NONE, {}, ["no-lane", "no-lane"]),
        (OUT, {"labels": ("important",)}, [2, "important-data"]),
    ],
)
def test_boxes_get_what_a_lane_lets_out_of_the_zone_or_into_it(lanes, told, expected):
    """Nothing without a lane, nothing important where the culture zone is outside."""
    assert outcome(lanes, **told) == expected


def test_share_is_a_peer_of_its_own():
    """The policy's service makes its socket."""
    policy = policies.parse(TEXT.replace("LANES", OUT).encode())

    assert SHARE in decide.peers(policy)
    assert SHARE.name == "share-culture"
