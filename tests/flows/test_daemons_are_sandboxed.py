"""Each daemon on a real box: its own user, its own zone, and little that it could do with them."""

import json

import pytest

from provisioning.lab.tour.stage import Stage

pytestmark = pytest.mark.flow
UNITS = {  # unit -> (box, user, zone)
    "headgate-exchange": ("headend", "hg-exchange", None),
    "headgate-replica": ("headend", "hg-replica", None),
    "headgate-fetch": ("headend", "hg-fetch", "culture"),
    "headgate-telemetry": ("headend", "hg-telemetry", "management"),
    "headgate-delivery@bigscreen": ("headend", "hg-delivery-bigscreen", "bigscreen"),
    "headgate-front@smallscreen": ("edge", "hg-front-smallscreen", "smallscreen"),
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


# What a program can do inside a process' own confinement: it is started beside the daemon, by the same unit settings.
ASK = """
import ctypes, json, socket
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    return ctypes.get_errno() if libc.syscall(number, *arguments) < 0 else 0
def opens(family):
    try:
        socket.socket(family, socket.SOCK_STREAM).close()
    except OSError as error:
        return error.errno
    return 0
print(json.dumps({"io_uring": call(425, 1, 0), "readv": call(310, 1, 0, 0, 0, 0, 0), "getfd": call(438, 0, 0, 0),
                  "vsock": opens(40), "netlink": opens(16)}))
"""
EPERM, EAFNOSUPPORT = 1, 97
HELD = ("SystemCallFilter", "SystemCallErrorNumber", "RestrictAddressFamilies", "NoNewPrivileges", "RestrictNamespaces")


@pytest.mark.parametrize("unit", UNITS)
def test_what_joins_zones_is_closed_to_a_daemon(stage: Stage, unit: str):
    """Under a daemon's own filters neither io_uring, nor another's memory or descriptors, nor the hypervisor's sockets are to be had."""
    box, user, _ = UNITS[unit]
    held = [stage.lab.exec(box, ["systemctl", "show", f"--property={name}", unit]).strip() for name in HELD]
    argv = [
        "systemd-run",
        "--quiet",
        "--wait",
        "--pipe",
        f"--property=User={user}",
        *(f"--property={line}" for line in held),
    ]
    told = json.loads(stage.lab.exec(box, [*argv, "python3", "-c", ASK]))

    assert told == {"io_uring": EPERM, "readv": EPERM, "getfd": EPERM, "vsock": EAFNOSUPPORT, "netlink": EAFNOSUPPORT}


def test_a_daemon_is_closed_to_others_of_its_user(stage: Stage):
    """Who becomes a daemon's user cannot list that daemon's descriptors: it is closed to all but root."""
    pid = stage.lab.exec("headend", ["systemctl", "show", "-P", "MainPID", "headgate-fetch"]).strip()
    look = f"setpriv --reuid=hg-fetch --regid=hg-fetch --clear-groups ls /proc/{pid}/fd 2>&1 || true"

    assert "Permission denied" in stage.lab.exec("headend", ["sh", "-c", look])


def test_the_host_tells_what_it_gives(stage: Stage):
    """On a box the measures that are the box's own hold; what its machine's kernel decides is told as found."""
    code = (
        "import sys; from pathlib import Path; c = Path('/opt/headgate/current').resolve();"
        "sys.path[:0] = [str(c / 'lib'), str((c / 'libraries').resolve())];"
        "from gateway.isolation import host; import json;"
        "print(json.dumps({m.name: [m.ok, m.found] for m in host.measures()}))"
    )
    told = json.loads(stage.lab.ssh("headend", ["python3", "-IS", "-c", code]))

    for name in ("forwarding", "forwarding-ipv6", "one-user-a-zone", "daemons-confined"):
        assert told[name][0], told[name]
    assert told["own-kernel"] == [False, "container: systemd-nspawn"]
