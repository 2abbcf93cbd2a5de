"""Rights and grants with every process running: refused at the request, with the reason, while the rest goes on."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from appliance.identity.keys import PrivateKey
from gateway.release import grants
from gateway.release.grants import Grant
from gateway.release.manifest import Rights, Source

pytestmark = pytest.mark.server
FILM = {"master.m3u8": b"#EXTM3U\n"}
CODES = [
    "999999-100000000000001-4",
    "999999-123456789012345-8",
]


def reason(reply):
    return reply.status, json.loads(reply.body)["reason"]


def test_what_is_over_is_refused_while_the_box_runs(chain, until):
    """A release that plays now is refused once its time is over, with the box's clock in words; others play on."""
    end = datetime.now(UTC) + timedelta(seconds=4)
    chain.publish(FILM, rights=Rights(zones=("bigscreen", "smallscreen"), until=end))
    chain.publish(FILM, code=CODES[1])
    assert chain.play("master.m3u8").status == 200
    reply = until(lambda: (found := chain.play("master.m3u8")).status == 403 and found, "the end")
    assert reason(reply) == (403, "expired")
    assert "this box's clock says" in json.loads(reply.body)["error"]
    assert chain.get(f"/r/{CODES[1]}/master.m3u8").status == 200
    assert [r for r in chain.records("audit") if r.body["reason"] == "expired"]


def test_classes_of_screens_territories_and_sites(chain):
    """Big screens only: the phone is refused; a territory that the policy does not tell, and a site of others: nobody."""
    chain.publish(FILM, rights=Rights(zones=("bigscreen", "smallscreen"), screens=("big",)))
    assert chain.play("master.m3u8").status == 200
    assert reason(chain.play("master.m3u8", zone="smallscreen")) == (403, "screen-not-granted")
    chain.publish(FILM, code=CODES[1], rights=Rights(zones=("bigscreen",), territories=("45",)))
    assert reason(chain.get(f"/r/{CODES[1]}/master.m3u8")) == (403, "territory-not-granted")


def test_others_material_needs_their_grant(chain, until):
    """Without the act in the policy and without the grant nothing crosses; with both it plays."""
    museum = PrivateKey.generate()
    grant = grants.seal(
        Grant.model_validate({"from": "museum", "to": "library", "release": "isli:999999-12", "acts": ["associate"]}),
        museum,
    ).decode()
    source = Source(release=f"isli:{CODES[1]}", body="museum", act="associate", grant=grant)
    chain.publish(FILM, sources=(source,))
    assert reason(chain.play("master.m3u8")) == (403, "not-admitted")
    chain.stop("exchange")
    chain.write_policy(
        lambda text: text.replace("acts: [share]}", "acts: [share, associate]}").replace(
            "registry:",
            '  museum: {name: 博物馆, keys: ["' + str(PrivateKey.generate().public) + '"],'
            ' identifiers: ["isli:999999-12"], acts: [share]}\nregistry:',
        )
    )
    chain.start("exchange")
    until(lambda: reason(chain.play("master.m3u8")) == (403, "no-grant"), "a grant by another key is none")
    chain.stop("exchange")
    chain.write_policy(
        lambda text: text.replace("acts: [share]}", "acts: [share, associate]}").replace(
            "registry:",
            '  museum: {name: 博物馆, keys: ["' + str(museum.public) + '"],'
            ' identifiers: ["isli:999999-12"], acts: [share]}\nregistry:',
        )
    )
    chain.start("exchange")
    until(lambda: chain.play("master.m3u8").status == 200, "the grant counts")
