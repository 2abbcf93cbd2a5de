"""``headgate box status``: the guard's word, and what the screens had."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from appliance.runtime import places
from gateway.isolation import cli_box

STATUS: dict[str, Any] = {
    "site": "headend", "state": "enforced", "since": "2026-11-29T08:00:00Z", "enforced": "a" * 64, "wanted": "a" * 64,
    "confirm_by": None, "zones": {}, "proofs": {}, "crossing": "open", "findings": [], "faults": [],
}  # fmt: skip
WHOLE = """headgate_delivery_bytes_total{zone="bigscreen",cache="hit"} 900
headgate_delivery_bytes_total{zone="bigscreen",cache="miss"} 100
"""


@pytest.fixture
def metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(places, "RUN", tmp_path)
    monkeypatch.setattr(cli_box, "_ask", lambda *_: dict(STATUS))
    for unit, text in (("delivery-bigscreen", WHOLE), ("fetch", 'headgate_fetch_bytes_total{origin="centre"} 250\n')):
        (tmp_path / "metrics" / unit).mkdir(parents=True)
        (tmp_path / "metrics" / unit / f"{unit}.prom").write_text(text)
    return tmp_path / "metrics"


def run(*argv: str) -> str:
    done = CliRunner(env={"COLUMNS": "200"}).invoke(cli_box.commands, ["status", *argv])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_status_tells_what_origins_gave_and_what_was_in_the_store(metrics: Path) -> None:
    """Two figures, as they are two things: hits by bytes of the zone, origin offload of the box."""
    told = json.loads(run("--json"))["delivery"]
    assert (told["offload"], told["zones"][0]["hit_share"], told["unread"]) == (0.75, 0.9, {})
    assert "90.0%" in run()
    assert "origin offload 75.0%" in run()


def test_status_names_a_zone_that_it_cannot_read(metrics: Path) -> None:
    """A torn file is a line of its own, for people and for programs."""
    (metrics / "delivery-smallscreen").mkdir()
    (metrics / "delivery-smallscreen" / "delivery-smallscreen.prom").write_text("headgate_delivery_bytes_total 1")
    assert "delivery-smallscreen: its figures cannot be read and are missing here: torn" in run()
    told = json.loads(run("--json"))["delivery"]
    assert list(told["unread"]) == ["delivery-smallscreen"]
    assert told["offload"] is None
