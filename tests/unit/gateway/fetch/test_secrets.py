"""What fetch needs beside the policy: without it, it does not start."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.runtime.errors import ConfigError
from gateway.fetch import secrets
from gateway.isolation import policy
from tests.unit.gateway.isolation.conftest import TEXT

WEB = """web:
  portal: {hosts: [portal.example], address: 10.10.0.20, port: 443, tls: true}
reach:
  portal: {zone: culture, run: fetch, to: [10.10.0.20], port: tcp/443}
"""


def test_a_secure_web_origin_needs_an_authority(tmp_path: Path) -> None:
    """HTTPS to a portal is verified by the operator's authority and by no other: without that fetch does not start."""
    site = policy.parse(TEXT.replace("reach:\n", WEB).encode(), "site.yaml")

    with pytest.raises(ConfigError, match=r"site.yaml:\d+:1: web.portal.tls: no certificates to verify it by"):
        secrets.load(tmp_path, site)

    assert secrets.load(tmp_path, policy.parse(TEXT.encode())).context is None
