"""What a policy must say before a resolver starts."""

from pathlib import Path

import pytest

from appliance.runtime.errors import ConfigError
from gateway.resolver.daemon import check

POLICY = """\
site: headend
zones:
  bigscreen:  {port: "02:68:67:14:00:0b", addresses: [10.20.0.11/24]}
  management: {port: "02:68:67:28:00:0b", addresses: [10.40.0.11/24]}
services:
  resolver: {zone: bigscreen, run: resolver, listen: tcp/8080, from: [10.20.0.0/24]}
never:
  - {from: bigscreen, to: management}
"""


@pytest.mark.parametrize(
    ("zone", "words"),
    [
        (None, "--zone ZONE"),
        ("bigscren", "did you mean 'bigscreen'?"),
        ("management", "no service runs 'resolver' on tcp in zone 'management'"),
    ],
)
def test_a_policy_without_this_resolver_is_refused(tmp_path: Path, zone: str | None, words: str) -> None:
    """The check names what is missing, by the code that the start runs."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    check(tmp_path / "policy.yaml", "bigscreen")
    with pytest.raises(ConfigError) as wrong:
        check(tmp_path / "policy.yaml", zone)
    assert words in str(wrong.value)
