"""What a policy must say before a resolver starts, and the page a person sees."""

from pathlib import Path

import pytest

from appliance.runtime.errors import ConfigError
from gateway.resolver.daemon import check
from gateway.resolver.page import STATUS, page

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


@pytest.mark.parametrize("status", STATUS)
def test_nothing_told_becomes_markup(status: int) -> None:
    """Whatever a record says, the page holds it as text."""
    text = page(status, "<script>", [("原因", "reason", '"><img src=x>')], 'http://a/"onclick="x')
    assert "<script>" not in text
    assert "<img" not in text
    assert '"onclick="' not in text
