"""The kernel's settings and modules: what the role writes is what the host's measures want."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.isolation.host import wanted

ETC = Path(__file__).parents[3] / "playbooks/roles/gateway/files/system/etc"


def test_the_settings_that_are_set_are_those_that_are_measured():
    """Each sysctl of the file is a measure with the same value, and no line of it can make the whole fail."""
    lines = [line for line in (ETC / "sysctl.d/90-headgate.conf").read_text().splitlines() if line and line[0] != "#"]
    told = dict(re.fullmatch(r"-([a-z0-9_.]+) = (\d+)", line).groups() for line in lines)

    assert told == {key: setting.value for key, setting in wanted.SETTINGS.items()}
    assert all(setting.good(int(setting.value)) for setting in wanted.SETTINGS.values())


def test_the_modules_that_are_refused_are_those_that_are_measured():
    """Each module of the list is refused whatever asks for it; what boxes and labs stand on is not among them."""
    lines = [line for line in (ETC / "modprobe.d/headgate.conf").read_text().splitlines() if line[0] != "#"]
    refused = [re.fullmatch(r"install (\w+) /bin/false", line)[1] for line in lines]

    assert refused == list(wanted.MODULES)
    assert not {"nf_tables", "nfnetlink_log", "veth", "tun", "nft_log", "nf_conntrack"} & set(refused)
