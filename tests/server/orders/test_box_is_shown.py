"""What a box served, by its real fetch, exchange, delivery and telemetry, as the controller tells it."""

from __future__ import annotations

import json
import urllib.error
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance.runtime import places
from gateway.isolation import cli_box

pytestmark = [pytest.mark.server]
SIZE = 3_000_000
SCREENS = 6


def served(centre):
    """Return what the controller tells of the box; until it told of the zone, nothing."""
    try:
        return centre.get("/api/boxes/headend/delivery")
    except urllib.error.HTTPError:
        return {"zones": [], "period": {"bytes": 0, "requests": 0}}


def test_what_followers_of_one_fill_had_is_no_hit_and_was_spared_the_origin(centre, box, until, monkeypatch):
    """Six screens on one cold film: the origin gave it once. The seventh has it from the store."""
    until(lambda: {zone["requests"] for zone in served(centre)["zones"]} == {0}, "the box told of its zones")
    box.chain.publish({"film.bin": bytes(range(250)) * (SIZE // 250)})
    with ThreadPoolExecutor(SCREENS) as screens:
        assert {reply.status for reply in screens.map(box.chain.play, ["film.bin"] * SCREENS)} == {200}
    assert box.chain.play("film.bin").status == 200
    assert box.chain.play("none.bin").status == 404
    until(lambda: served(centre)["period"]["requests"] == SCREENS + 2, "all requests are told")
    until(lambda: served(centre)["period"]["fetched"] >= SIZE, "what the origin gave is told")

    told = served(centre)
    period = told["period"]
    assert period["bytes"] == (SCREENS + 1) * SIZE
    assert SIZE <= period["hit_bytes"] < period["bytes"]
    assert SIZE <= period["fetched"] < 1.5 * SIZE  # with manifest and checkpoint
    assert period["offload"] == pytest.approx(1 - period["fetched"] / period["bytes"], abs=1e-6)
    assert period["offload"] > period["hit_share"] or period["hit_bytes"] == SCREENS * SIZE
    assert period["refusals"] == {"unknown-path": 1}
    assert told["zones"][0]["started"] > 0
    assert [zone["zone"] for zone in told["zones"]] == ["bigscreen", "smallscreen"]

    # The box itself says the same, to the byte.
    monkeypatch.setattr(places, "RUN", Path(box.chain.run))
    status = {"state": "enforced"}
    monkeypatch.setattr(cli_box, "_ask", lambda *_: dict(status))
    own = json.loads(CliRunner().invoke(cli_box.commands, ["status", "--json"]).stdout)["delivery"]
    assert (own["zones"][0]["bytes"], own["fetched"], own["unread"]) == (period["bytes"], period["fetched"], {})
    assert own["offload"] == pytest.approx(period["offload"])
