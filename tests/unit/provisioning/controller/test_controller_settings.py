from __future__ import annotations

import pytest

from appliance.runtime import config
from appliance.runtime.errors import ConfigError
from appliance.telemetry.settings import Telemetry
from provisioning.controller.settings import Controller

GOOD = "broker: {address: 10.40.0.20}\nlisten: {address: 0.0.0.0, port: 8000}\n"


@pytest.mark.parametrize(
    ("database", "expected"),
    [
        ("sqlite:////var/lib/x.db", "sqlite+aiosqlite:////var/lib/x.db"),
        ("postgresql://u:p@h/n", "postgresql+psycopg://u:p@h/n"),
        ("postgresql+psycopg://u@h/n", "postgresql+psycopg://u@h/n"),
    ],
)
def test_the_driver_is_ours_to_choose(database: str, expected: str) -> None:
    """The operator names the database; the driver follows."""
    assert config.parse(f"{GOOD}database: {database}\n", Controller).database == expected


def test_default_database_is_sqlite() -> None:
    """Without a word the state folder holds the database."""
    assert config.parse(GOOD, Controller).database.startswith("sqlite+aiosqlite:///")


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("database: mysql://h/n", "'mysql' is not known here"),
        ("database: nonsense", "a database is"),
        ("wantd: /etc", "did you mean 'wanted'?"),
        ("silence: 0", "greater than or equal to 1"),
        ("registry: {keys: /x}", "unknown key 'keys'"),
    ],
)
def test_faults_name_their_place(line: str, word: str) -> None:
    """A wrong setting is told with its line."""
    with pytest.raises(ConfigError) as error:
        config.parse(GOOD + line + "\n", Controller, "controller.yaml")
    assert word in str(error.value)
    assert "controller.yaml:3:" in str(error.value)


@pytest.mark.parametrize("site", ["Headend", "a/b", "", "+", "a" * 64])
def test_a_site_is_a_name_that_topics_can_hold(site: str) -> None:
    """A site's name holds nothing that MQTT would read as a wildcard or another level."""
    with pytest.raises(ConfigError):
        config.parse(f"site: {site!r}\nbroker: {{address: a}}\n", Telemetry)
