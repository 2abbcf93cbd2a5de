from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from appliance.identity.keys import PrivateKey
from gateway.release.trust.delegate import Delegate
from provisioning.controller.wanted import Wanted
from provisioning.registry.delegations import Delegated
from provisioning.registry.judging import Admitted


def test_digests_follow_the_folder(tmp_path: Path) -> None:
    """A policy's digest is the SHA-256 of its bytes; changed, added and removed files are noticed, others passed over."""
    (tmp_path / "headend.yaml").write_bytes(b"one")
    (tmp_path / "README.md").write_bytes(b"x")
    (tmp_path / "NOT A SITE.yaml").write_bytes(b"x")
    wanted = Wanted(tmp_path)
    assert wanted.read() == {"headend": hashlib.sha256(b"one").hexdigest()}
    new = tmp_path / ".new"
    new.write_bytes(b"two")
    new.replace(tmp_path / "headend.yaml")
    (tmp_path / "edge.yaml").write_bytes(b"")
    assert wanted.read() == {"headend": hashlib.sha256(b"two").hexdigest(), "edge": hashlib.sha256(b"").hexdigest()}
    (tmp_path / "edge.yaml").unlink()
    assert wanted.read().keys() == {"headend"}


def test_a_folder_that_goes_away_changes_nothing(tmp_path: Path) -> None:
    """Digests stay when the folder cannot be read, so that nobody is told of a difference that is none."""
    folder = tmp_path / "wanted"
    folder.mkdir()
    (folder / "headend.yaml").write_bytes(b"one")
    wanted = Wanted(folder)
    before = wanted.read()
    (folder / "headend.yaml").unlink()
    folder.rmdir()
    assert wanted.read() == before
    assert Wanted(None).read() == {}


POLICY = """
site: {site}
zones:
  management: {{port: "02:68:67:28:00:0b", addresses: [10.40.0.11/24]}}
bodies:
  library: {{name: Library, keys: ["{key}"], identifiers: ["isli:999999-{part}"], acts: [share]}}
never:
  - {{from: management, to: culture}}
"""


def test_bodies_are_those_of_all_policies(tmp_path: Path) -> None:
    """Who is admitted anywhere may register in the ranges that any policy gives it; a wrong policy admits nobody."""
    key = PrivateKey.generate().public
    wanted = Wanted(tmp_path)
    assert wanted.admitted() == {}
    for site, part in (("headend", "1"), ("edge", "2")):
        (tmp_path / f"{site}.yaml").write_text(POLICY.format(site=site, key=key, part=part))
    (tmp_path / "wrong.yaml").write_text("site: [")

    admitted = wanted.admitted()
    assert admitted["library"].keys == (key,)
    assert set(admitted["library"].identifiers) == {"isli:999999-1", "isli:999999-2"}


TRUST = """
trust: {{root: "{pin}", origin: centre}}
origins:
  centre: {{address: 10.10.0.20, port: 80}}
reach:
  origin: {{zone: culture, run: fetch, to: [10.10.0.20], port: tcp/80}}
"""


@pytest.mark.parametrize(("pin", "admitted"), [("ab" * 32, True), ("cd" * 32, False)])
def test_a_policy_with_a_trust_admits_what_both_admit(tmp_path: Path, pin: str, admitted: bool) -> None:
    """Keys and ranges are those that the operator's metadata delegates too, under the root that the policy pins."""
    key = PrivateKey.generate().public
    culture = '  culture: {port: "02:68:67:0a:00:0b", addresses: [10.10.0.11/24]}\nbodies:'
    text = POLICY.format(site="headend", key=key, part="1").replace("bodies:", culture) + TRUST.format(pin=pin)
    (tmp_path / "headend.yaml").write_text(text.replace(f'keys: ["{key}"], ', ""))
    delegate = Delegate("library", (key,), ("isli:999999-12",), ("share",), 4)
    found = Wanted(tmp_path).admitted(Delegated("ab" * 32, {"library": delegate, "stranger": delegate}))
    assert found == ({"library": Admitted((key,), ("isli:999999-12",))} if admitted else {})
