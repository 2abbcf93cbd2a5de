"""The policy's ``front: nginx`` and ``tls:``: what starts, and what is told of a wrong one."""

from __future__ import annotations

import pytest

from appliance.runtime.errors import ConfigError
from gateway.isolation import policy
from gateway.isolation.units import wanted_units

RUN = "zone: bigscreen,  run: delivery,"


def fronted(text: str, more: str = "front: nginx,") -> str:
    """Return a policy whose big screens have nginx in front of delivery."""
    assert RUN in text
    return text.replace(RUN, f"{RUN} {more}", 1)


def test_nginx_is_started_with_delivery(text: str) -> None:
    """Who says ``front: nginx`` has a unit more, and delivery knows where TLS is."""
    site = policy.parse(fronted(text, "front: nginx, tls: {certificate: tv.crt, key: tv.key},").encode())
    assert {"headgate-delivery@bigscreen.service", "headgate-front@bigscreen.service"} <= wanted_units(site)
    assert "headgate-front@bigscreen.service" not in wanted_units(policy.parse(fronted(text, "").encode()))
    service = site.service_of("bigscreen", "delivery")
    assert service is not None
    assert service.tls is not None
    assert (service.front, service.tls.certificate, service.tls.key) == ("nginx", "tv.crt", "tv.key")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("front: nginx,", "front: apache,", "front"),
        (f"{RUN} ", "zone: bigscreen, run: films,", "nginx stands in front of delivery and of nothing else"),
        ("front: nginx,", "tls: {certificate: tv.crt, key: tv.key},", "delivery alone serves plain HTTP"),
        ("front: nginx,", "front: nginx, tls: {certificate: ../tv.crt, key: tv.key},", "certificate"),
        ("front: nginx,", "front: nginx, tls: {certificate: tv.crt},", "key"),
    ],
)
def test_wrong(text: str, old: str, new: str, told: str) -> None:
    """Each fault is told with its place."""
    whole = fronted(text)
    assert old in whole
    with pytest.raises(ConfigError, match=f"(?s)site.yaml:\\d+:\\d+: .*{told}"):
        policy.parse(whole.replace(old, new).encode(), "site.yaml")
