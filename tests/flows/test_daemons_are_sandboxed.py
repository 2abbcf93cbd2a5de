"""Each daemon on a real box: its own user, its own zone, and little that it could do with them."""

import pytest

from provisioning.lab.tour.stage import Stage

pytestmark = pytest.mark.flow
UNITS = {  # unit -> (box, user, zone)
    "headgate-exchange": ("headend", "hg-exchange", None),
    "headgate-fetch": ("headend", "hg-fetch", "culture"),
    "headgate-telemetry": ("headend", "hg-telemetry", "management"),
    "headgate-delivery@bigscreen": ("headend", "hg-delivery-bigscreen", "bigscreen"),
    "headgate-resolver@bigscreen": ("headend", "hg-resolver-bigscreen", "bigscreen"),
    "headgate-controller": ("centre", "hg-controller", "management"),
}
EXPOSURE = 2.5  # systemd-analyze security: 0 nothing to gain, 10 everything


@pytest.mark.parametrize("unit", UNITS)
def test_a_daemon_is_confined(stage: Stage, unit: str):
    """systemd-analyze security finds little exposed, and the process holds no capability beyond its port."""
    box, user, zone = UNITS[unit]
    told = stage.lab.exec(box, ["sh", "-c", f"systemd-analyze security --no-pager {unit} | tail -1"])
    pid = stage.lab.exec(box, ["systemctl", "show", "-P", "MainPID", unit]).strip()
    identity = stage.lab.exec(
        box, ["sh", "-c", f"ps -o user:32= -p {pid}; readlink /proc/{pid}/ns/net; grep CapEff /proc/{pid}/status"]
    ).split()

    exposure = float(told.split(":")[1].split()[0])
    assert exposure <= EXPOSURE, told
    assert identity[0] == user
    assert int(identity[-1], 16) in (0, 1 << 10)  # nothing, or CAP_NET_BIND_SERVICE alone
    if zone:
        inode = stage.lab.exec(box, ["stat", "-c", "%i", f"/run/netns/{zone}"]).strip()
        assert identity[1] == f"net:[{inode}]"


def test_no_headgate_process_but_the_guard_is_root(stage: Stage):
    """Of all processes that run our software only the guard is root's."""
    listing = stage.lab.exec("headend", ["sh", "-c", "ps -eo user:32=,args= | grep 'headgate run' | grep -v grep"])
    roots = [line for line in listing.splitlines() if line.startswith("root ")]

    assert len(listing.splitlines()) >= 6
    assert len(roots) == 1, roots
    assert " run guard" in roots[0]
