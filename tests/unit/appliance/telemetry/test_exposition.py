from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, generate_latest

import appliance.runtime.metrics  # noqa: F401 (switches _created off, as in every daemon)
from appliance.runtime.errors import Corrupt
from appliance.telemetry import exposition


def text(value: int, zone: str = "bigscreen") -> bytes:
    registry = CollectorRegistry()
    Counter("headgate_delivery_bytes", "Bytes sent", ["zone"], registry=registry).labels(zone).inc(value)
    return generate_latest(registry)


def put(folder: Path, unit: str, data: bytes) -> Path:
    (folder / unit).mkdir()
    path = folder / unit / f"{unit}.prom"
    path.write_bytes(data)
    return path


def test_merges_units_and_adds_them_up(tmp_path: Path) -> None:
    """Two units with the same family make one family, told apart by unit, and one total."""
    put(tmp_path, "delivery-bigscreen", text(5))
    put(tmp_path, "delivery-smallscreen", text(7, "smallscreen"))
    (tmp_path / "fetch").mkdir()  # has not written yet
    gathered = exposition.gather(tmp_path)
    assert not gathered.skipped
    (family,) = exposition.merged(gathered.units)
    assert {(s.labels["unit"], s.value) for s in family.samples} == {
        ("delivery-bigscreen", 5),
        ("delivery-smallscreen", 7),
    }
    assert exposition.total(gathered.units, "headgate_delivery_bytes_total") == 12


def test_a_unit_cannot_speak_for_another(tmp_path: Path) -> None:
    """The label unit comes from the folder, whatever the file says."""
    put(tmp_path, "delivery-bigscreen", b'headgate_guard_state{unit="guard"} 1\n')
    (family,) = exposition.merged(exposition.gather(tmp_path).units)
    assert family.samples[0].labels == {"unit": "delivery-bigscreen"}


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (text(5)[:-4], "torn"),
        (b"headgate_x 1\n" * 100_000, "longer"),
        (b"headgate_x{ 1\n", "text format"),
        (b"\xff\n", "text format"),
        (b"evil 1\n", "unknown type or name"),
        (b"headgate_x 1\nheadgate_x 2\n", "twice"),
    ],
)
def test_skips_and_says_why(tmp_path: Path, data: bytes, word: str) -> None:
    """A file that is torn, too long or wrong is passed over by name and the others stay."""
    put(tmp_path, "bad", data)
    put(tmp_path, "good", text(1))
    gathered = exposition.gather(tmp_path)
    assert word in gathered.skipped["bad"]
    assert list(gathered.units) == ["good"]


def test_follows_no_link_and_waits_for_no_pipe(tmp_path: Path) -> None:
    """A link to another file, a pipe and a folder are passed over at once."""
    secret = tmp_path / "secret"
    secret.write_bytes(text(1))
    units = tmp_path / "units"
    units.mkdir()
    put(units, "link", b"").unlink()
    (units / "link" / "link.prom").symlink_to(secret)
    put(units, "pipe", b"").unlink()
    os.mkfifo(units / "pipe" / "pipe.prom")
    assert exposition.gather(units).skipped.keys() == {"link", "pipe"}
    assert exposition.gather(tmp_path / "nowhere").units == {}


@given(
    st.binary(max_size=80) | st.text(alphabet='headgate_x{}=",\\ \n#TYPELcounter0123.e+', max_size=80).map(str.encode)
)
@settings(max_examples=400)
def test_any_bytes_are_families_or_corrupt(data: bytes) -> None:
    """Any bytes give families or Corrupt."""
    with contextlib.suppress(Corrupt):
        assert isinstance(exposition.parse(data), tuple)
