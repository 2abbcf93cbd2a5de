"""The units of the box: each in its zone, sandboxed, with its own user, and known to the system's users and folders."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from appliance.runtime.bounded import Crowd
from appliance.runtime.command import run

ROLES = Path(__file__).parents[3] / "playbooks" / "roles"
UNITS = {path.name: path for path in sorted(ROLES.glob("*/files/system/etc/systemd/system/headgate-*.service"))}
DAEMONS = [name for name in UNITS if name != "headgate-guard.service"]
USERS = "".join(path.read_text() for path in ROLES.glob("*/files/system/etc/sysusers.d/*.conf"))
FOLDERS = "".join(path.read_text() for path in ROLES.glob("*/files/system/etc/tmpfiles.d/*.conf"))
MOST_EXPOSED = 2.5  # of systemd-analyze security, 0 (best) to 10
SCREENS = ("bigscreen", "smallscreen", "institution")
INSTANCES = {  # of a template; the others serve every zone of screens
    "headgate-publish@.service": ("institution",),
    "headgate-linking@.service": ("institution",),
    "headgate-share@.service": ("culture",),
}

# What no daemon beside the guard may do, and why it would matter.
SANDBOX = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",  # a tap held open joins two zones without a route
    "ProtectClock": "yes",
    "ProtectHostname": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelTunables": "yes",  # forwarding is a kernel tunable
    "ProtectControlGroups": "yes",
    "ProtectProc": "invisible",  # another zone's descriptors are seen below /proc
    "ProcSubset": "pid",
    "PrivateIPC": "yes",
    "RestrictNamespaces": "yes",  # who can enter a namespace can leave its zone
    "RestrictRealtime": "yes",
    "RestrictSUIDSGID": "yes",
    "LockPersonality": "yes",
    "MemoryDenyWriteExecute": "yes",
    "SystemCallArchitectures": "native",
    "KeyringMode": "private",
    "LimitCORE": "0",
}
COMPILES = {"headgate-front@.service": {"MemoryDenyWriteExecute"}}  # LuaJIT in nginx; the unit says what it would cost
# Beyond what their groups refuse: io_uring works past a filter, and these look into other processes.
CALLS = "~io_uring_setup io_uring_enter io_uring_register process_vm_readv process_vm_writev"
ZONES = {
    "headgate-admission.service": ("PrivateNetwork", "yes"),
    "headgate-inspection.service": ("PrivateNetwork", "yes"),
    "headgate-replica.service": ("PrivateNetwork", "yes"),
    "headgate-exchange.service": ("PrivateNetwork", "yes"),
    "headgate-fetch.service": ("NetworkNamespacePath", "/run/netns/culture"),
    "headgate-telemetry.service": ("NetworkNamespacePath", "/run/netns/management"),
    "headgate-controller.service": ("NetworkNamespacePath", "/run/netns/management"),
    "headgate-delivery@.service": ("NetworkNamespacePath", "/run/netns/%i"),
    "headgate-front@.service": ("NetworkNamespacePath", "/run/netns/%i"),
    "headgate-resolver@.service": ("NetworkNamespacePath", "/run/netns/%i"),
    "headgate-publish@.service": ("NetworkNamespacePath", "/run/netns/%i"),
    "headgate-linking@.service": ("NetworkNamespacePath", "/run/netns/%i"),
    "headgate-share@.service": ("NetworkNamespacePath", "/run/netns/%i"),
}


def settings(name: str) -> dict[str, list[str]]:
    """Return setting -> values of a unit, in order."""
    found: dict[str, list[str]] = {}
    for line in UNITS[name].read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, value = line.split("=", 1)
            found.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize("name", DAEMONS)
def test_every_daemon_is_sandboxed(name: str):
    """Each daemon beside the guard carries the whole sandbox."""
    unit = settings(name)

    held = SANDBOX.keys() - COMPILES.get(name, set())
    assert {key: unit.get(key) for key in SANDBOX} == {key: [SANDBOX[key]] if key in held else None for key in SANDBOX}
    # The workers of inspection build a wall of their own.
    walls = ["landlock_create_ruleset landlock_add_rule landlock_restrict_self"] if "inspection" in name else []
    assert unit["SystemCallFilter"] == ["@system-service", "~@privileged @resources", f"{CALLS} kcmp", *walls]
    # An allow-list: AF_VSOCK, which no namespace holds back, is not on it.
    assert unit["RestrictAddressFamilies"] == [
        "AF_UNIX" if ZONES[name][0] == "PrivateNetwork" else "AF_UNIX AF_INET AF_INET6"
    ]


@pytest.mark.parametrize("name", DAEMONS)
def test_every_daemon_is_in_its_zone(name: str):
    """Each daemon is where its zone's ports are, and exchange and filters have no network at all."""
    key, value = ZONES[name]

    assert settings(name)[key] == [value]
    assert not {"JoinsNamespaceOf"} & set(settings(name))


@pytest.mark.parametrize("name", DAEMONS)
def test_only_what_listens_on_a_low_port_has_a_capability(name: str):
    """No daemon has a capability, but delivery, nginx in front of it and share listen on port 80."""
    wanted = ["CAP_NET_BIND_SERVICE"] if any(word in name for word in ("delivery", "front", "share")) else [""]

    assert settings(name)["CapabilityBoundingSet"] == wanted
    assert settings(name)["AmbientCapabilities"] == wanted


@pytest.mark.parametrize("name", DAEMONS)
def test_every_daemon_has_a_user_that_is_made(name: str):
    """Each daemon's user and groups are in sysusers.d, one user for each zone."""
    unit = settings(name)
    names = [unit["User"][0], unit["Group"][0], *" ".join(unit.get("SupplementaryGroups", [])).split()]
    for user in names:
        for made in [user.replace("%i", zone) for zone in INSTANCES.get(name, SCREENS)] if "%i" in user else [user]:
            assert re.search(rf"^[ug] {made}\s", USERS, re.MULTILINE), made


@pytest.mark.parametrize("name", DAEMONS)
def test_what_a_daemon_sees_is_made(name: str):
    """Every folder that is mounted into a daemon's view is one of tmpfiles.d (which never removes it) or a file that Ansible writes."""
    unit = settings(name)
    bound = " ".join(unit.get("BindPaths", []) + unit.get("BindReadOnlyPaths", [])).split()
    hidden = [entry.split(":")[0] for entry in unit["TemporaryFileSystem"][0].split()]

    assert hidden == ["/run/headgate", "/var/lib/headgate", "/etc/headgate"]
    for path in bound:
        for made in [path.replace("%i", zone) for zone in INSTANCES.get(name, SCREENS)] if "%i" in path else [path]:
            assert made.endswith(".yaml") or re.search(rf"^d {re.escape(made)}\s", FOLDERS, re.MULTILINE), made


def test_a_peer_sees_its_own_socket_only():
    """Which socket one speaks on is who one is: delivery, resolver and share see theirs, and the exchange makes them all."""
    for daemon in ("delivery", "resolver", "share"):
        bound = settings(f"headgate-{daemon}@.service")["BindReadOnlyPaths"]
        assert [path for path in bound if "/exchange/" in path] == [f"/run/headgate/exchange/{daemon}-%i"]
        for zone in INSTANCES.get(f"headgate-{daemon}@.service", SCREENS):
            assert re.search(
                rf"^d /run/headgate/exchange/{daemon}-{zone}\s+2750 hg-exchange\s+hg-{daemon}-{zone}$",
                FOLDERS,
                re.MULTILINE,
            )


def test_nginx_sees_what_passed_and_the_folder_where_it_meets_delivery():
    """It reads objects alone, has no socket of the exchange, and can make nothing where it meets delivery; nobody else comes there."""
    unit = settings("headgate-front@.service")
    assert unit["BindPaths"] == ["/run/headgate/front/%i", "/run/headgate/nginx/%i"]
    assert unit["BindReadOnlyPaths"] == [
        "/run/headgate/policy",
        "/var/lib/headgate/store/objects",
        "/var/lib/headgate/store/live",
        "/etc/headgate/front",
    ]
    assert {other for other in DAEMONS if "/run/headgate/front/" in UNITS[other].read_text()} == {
        "headgate-delivery@.service",
        "headgate-front@.service",
    }
    for zone in SCREENS:
        made = rf"^d /run/headgate/front/{zone}\s+2750 hg-delivery-{zone} hg-front-{zone}$"
        assert re.search(made, FOLDERS, re.MULTILINE)


def test_who_brings_releases_in_writes_no_store():
    """Publish writes its drop folder, its inbox and its metrics; the exchange reads the drop folders and writes none."""
    unit = settings("headgate-publish@.service")
    writes = ["drop/publish-%i", "inbox/%i"]

    assert unit["BindPaths"] == [f"/var/lib/headgate/{path}" for path in writes] + ["/run/headgate/metrics/publish-%i"]
    assert unit["BindReadOnlyPaths"] == ["/run/headgate/policy", "/run/headgate/exchange/publish-%i"]
    assert "/var/lib/headgate/drop" in settings("headgate-exchange.service")["BindReadOnlyPaths"]
    assert re.search(
        r"^d /var/lib/headgate/drop/publish-institution 2750 hg-publish-institution hg-exchange$", FOLDERS, re.MULTILINE
    )


def test_the_curators_page_speaks_to_nobody_on_the_box():
    """The association engine's page sees its own book and who may curate; no socket, no store, no table."""
    unit = settings("headgate-linking@.service")

    assert unit["BindPaths"] == ["/var/lib/headgate/linking", "/run/headgate/metrics/linking-%i"]
    assert unit["BindReadOnlyPaths"] == ["/run/headgate/policy", "/etc/headgate/linking"]
    assert re.search(r"^d /var/lib/headgate/linking\s+0700 hg-linking-institution ", FOLDERS, re.MULTILINE)
    assert re.search(r"^d /etc/headgate/linking\s+0750 root\s+hg-linking-institution$", FOLDERS, re.MULTILINE)


def test_the_filters_see_what_comes_in_and_no_more():
    """A filter reads what is coming in, what it judged before where that lies, and no quarantine; only the exchange may speak to it."""
    for name in ("admission", "inspection"):
        unit = settings(f"headgate-{name}.service")
        seen = [path for path in unit["BindReadOnlyPaths"] if not path.startswith("/run/headgate/policy")]
        again = "manifests" if name == "admission" else "objects"
        assert seen == ["/var/lib/headgate/store/incoming", f"/var/lib/headgate/store/{again}"]
        assert re.search(rf"^d /var/lib/headgate/store/{again}\s+0755 hg-exchange\s+hg-store$", FOLDERS, re.MULTILINE)
        kept = ["/var/lib/headgate/admission"] if name == "admission" else []  # the trust metadata that it verified
        assert unit["BindPaths"] == [f"/run/headgate/filter/{name}", f"/run/headgate/metrics/{name}", *kept]
        assert re.search(rf"^d /run/headgate/filter/{name}\s+2750 hg-{name}\s+hg-exchange$", FOLDERS, re.MULTILINE)
        others = [other for other in DAEMONS if f"/run/headgate/filter/{name}" in UNITS[other].read_text()]
        assert set(others) == {"headgate-exchange.service", f"headgate-{name}.service"}
    # Nobody but the exchange gets into what was refused, also those whose group reads the store.
    assert re.search(r"^d /var/lib/headgate/store/quarantine\s+0700 hg-exchange\s+hg-exchange$", FOLDERS, re.MULTILINE)


def test_the_replica_alone_writes_the_table():
    """It sees what comes in, and only the exchange may speak to it; the resolvers read, and nobody else sees the table."""
    unit = settings("headgate-replica.service")
    assert unit["BindReadOnlyPaths"] == ["/run/headgate/policy", "/var/lib/headgate/store/incoming"]
    folders = ["/var/lib/headgate/identifiers", "/var/lib/headgate/replica"]
    assert unit["BindPaths"] == ["/run/headgate/replica", "/run/headgate/metrics/replica", *folders]
    assert re.search(r"^d /run/headgate/replica\s+2750 hg-replica\s+hg-exchange$", FOLDERS, re.MULTILINE)
    assert re.search(r"^d /var/lib/headgate/identifiers\s+2750 hg-replica\s+hg-identifiers$", FOLDERS, re.MULTILINE)
    seen = {other for other in DAEMONS if "/var/lib/headgate/identifiers" in UNITS[other].read_text()}
    assert seen == {"headgate-replica.service", "headgate-resolver@.service"}
    assert "BindReadOnlyPaths=/var/lib/headgate/identifiers" in UNITS["headgate-resolver@.service"].read_text()


def test_inspection_has_no_configuration():
    """There is no file by which the second filter could be told to look away."""
    assert "/run/headgate/policy" not in " ".join(settings("headgate-inspection.service")["BindReadOnlyPaths"])


def test_screens_never_write_the_store():
    """Delivery, resolver and share see what the exchange verified, and cannot change it."""
    for name in ("headgate-delivery@.service", "headgate-resolver@.service", "headgate-share@.service"):
        daemon = name.removeprefix("headgate-").removesuffix("@.service")
        own = ["/run/headgate/front/%i", "/var/lib/headgate/delivery-%i"] if daemon == "delivery" else []
        assert settings(name)["BindPaths"] == [f"/run/headgate/metrics/{daemon}-%i", *own]


def test_delivery_has_descriptors_for_all_its_screens():
    """Each may hold two, its connection and its object; the rest is the exchange's sockets and the ledger's files."""
    assert 2 * Crowd(print).connections + 4096 <= int(settings("headgate-delivery@.service")["LimitNOFILE"][0])


def test_the_guard_shares_its_mounts():
    """The guard names the zones below /run/netns for everybody, so nothing may give it a mount namespace of its own."""
    own = {"ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "PrivateMounts", "ReadOnlyPaths", "ReadWritePaths", "BindPaths",
           "InaccessiblePaths", "TemporaryFileSystem", "ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs",
           "ProtectControlGroups", "ProtectProc", "ProcSubset", "PrivateNetwork", "NetworkNamespacePath", "PrivateIPC"}  # fmt: skip

    assert not own & set(settings("headgate-guard.service"))
    assert "User" not in settings("headgate-guard.service")


def test_the_guard_may_look_and_no_more():
    """Beside what it builds with, the guard lists BPF programs and sockets; io_uring and the hypervisor's sockets are closed to it too."""
    unit = settings("headgate-guard.service")

    assert unit["SystemCallFilter"][-2:] == [CALLS, "bpf pidfd_getfd"]  # the last word counts: @debug has pidfd_getfd
    assert {"CAP_SYS_PTRACE", "CAP_BPF", "CAP_PERFMON"} <= set(unit["CapabilityBoundingSet"][0].split())
    assert not {"CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_BOOT", "CAP_SYS_TIME", "CAP_SYSLOG"} & set(
        unit["CapabilityBoundingSet"][0].split()
    )
    assert "AF_VSOCK" not in unit["RestrictAddressFamilies"][0]
    assert not unit["RestrictAddressFamilies"][0].startswith("~")
    for name in (
        "NoNewPrivileges",
        "MemoryDenyWriteExecute",
        "RestrictRealtime",
        "RestrictSUIDSGID",
        "LockPersonality",
    ):
        assert unit[name] == ["yes"], name


def test_a_user_of_one_zone_is_no_other_zones():
    """No two daemons run as one user, but one daemon's instances, which the zone's name tells apart."""
    users = [settings(name)["User"][0] for name in DAEMONS]

    assert len(set(users)) == len(users)
    assert all(("%i" in user) == ("@" in name) for name, user in zip(DAEMONS, users, strict=True))


def test_every_service_of_the_box_is_held():
    """BPF, io_uring and the hypervisor's sockets are closed to all services; the guard's own file, read after, gives it what it needs."""
    units = ROLES / "gateway/files/system/etc/systemd/system"
    held, seen = units / "service.d/40-every-service.conf", units / "headgate-guard.service.d/60-sees.conf"
    lines = held.read_text().splitlines()

    assert "SystemCallFilter=~bpf io_uring_setup io_uring_enter io_uring_register" in lines
    assert "SystemCallErrorNumber=EPERM" in lines
    assert "RestrictAddressFamilies=~AF_VSOCK" in lines
    assert seen.read_text().splitlines()[-1] == "SystemCallFilter=bpf pidfd_getfd"
    assert held.name < seen.name  # files are read in the order of their names, whatever folder they are in
    # A file of the same name beside a unit stands in the place of that for all services.
    assert not [path for path in ROLES.glob("**/*.service.d/*.conf") if path.name == held.name]


def test_no_generator_opens_a_door_to_the_hypervisor():
    """systemd 256 and later offer ssh on AF_VSOCK in every virtual machine, past the management zone: an empty file stops it."""
    assert (ROLES / "gateway/files/system/etc/systemd/system-generators/systemd-ssh-generator").read_bytes() == b""


def test_sshd_follows_its_port():
    """sshd starts after the guard, in the management zone, and again until it is there."""
    text = (ROLES / "gateway/files/ssh-in-management.conf").read_text()

    for line in ("After=headgate-guard.service", "NetworkNamespacePath=/run/netns/management", "Restart=always"):
        assert line in text.splitlines()
    assert "Before=network.target ssh.service" in UNITS["headgate-guard.service"].read_text().splitlines()


@pytest.mark.parametrize("name", DAEMONS)
def test_systemd_finds_little_exposed(name: str):
    """`systemd-analyze security`, a foreign judge, gives each daemon at most 2.5 of 10."""
    told = run(["systemd-analyze", "security", "--offline=true", "--threshold=25", "--no-pager", str(UNITS[name])])

    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", told)
    assert found is not None
    assert float(found.group(1)) <= MOST_EXPOSED
