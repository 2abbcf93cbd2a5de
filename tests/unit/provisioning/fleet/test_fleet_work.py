"""What Ansible is told of a box."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.isolation import policy as policies
from provisioning.fleet.work import variables

POLICY = """
site: edge
zones:
  management: {port: "02:68:67:28:00:0b", addresses: [10.40.0.1/24]}
  smallscreen: {port: "02:68:67:1e:00:0b", addresses: [10.30.0.1/24]}
services:
  delivery: {zone: smallscreen, run: delivery, listen: tcp/80, from: [10.30.0.0/24]}
never:
  - {from: smallscreen, to: management}
"""


@pytest.mark.parametrize(("more", "told"), [("", False), (", front: nginx", True)])
def test_nginx_is_installed_where_the_policy_has_it(tmp_path: Path, more: str, told: bool) -> None:
    """The role need not look into the policy."""
    (tmp_path / "pki").mkdir()
    (tmp_path / "pki" / "ca.crt").write_bytes(b"")
    policy = policies.parse(POLICY.replace("24]}\nnever", f"24]{more}}}\nnever").encode())
    site = SimpleNamespace(name="edge", address="10.40.0.1", policy=policy, python="3.11", centre=False)
    archive = SimpleNamespace(path=tmp_path / "a", digest="0" * 64)
    bundle = SimpleNamespace(software=archive, libraries=archive)
    fleet = SimpleNamespace(folder=tmp_path, centre=None)
    given = variables(cast("Any", fleet), cast("Any", site), cast("Any", bundle), tmp_path / "policy.yaml", None)
    assert given["gateway_front"] is told
