"""Facts -> measures -> grade: a good host has all, and each thing that is missing or not known is one measure that fails, by name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.isolation.host import grade_effect, wanted
from gateway.isolation.host.facts import Facts, Process
from gateway.isolation.host.judge import NET_BIND_SERVICE, SYS_ADMIN, judge, version

SYSTEMD = Process(1, "systemd", 0, "net:[1]", 1 << SYS_ADMIN, filtered=False, no_new_privileges=False)
GUARD = Process(9, "python3", 0, "net:[1]", 1 << SYS_ADMIN, filtered=True, no_new_privileges=True, daemon="guard")
FETCH = Process(20, "python3", 500, "net:[2]", 0, filtered=True, no_new_privileges=True, daemon="fetch", hides=True)
DELIVERY = replace(FETCH, pid=21, user=501, namespace="net:[3]", capabilities=1 << NET_BIND_SERVICE, daemon="delivery")
GOOD = Facts(
    release="6.18.3",
    settings={key: setting.value for key, setting in wanted.SETTINGS.items()},
    kinds=dict.fromkeys(wanted.MODULES, "module"),
    blocked=frozenset(wanted.MODULES),
    modules=("capability", "landlock", "lockdown", "yama", "apparmor"),
    lockdown="integrity",
    pass_rights=True,
    vsock=False,
    processes=(SYSTEMD, GUARD, FETCH, DELIVERY),
    ports={
        "culture": ("pci0000:00", "0000:00:01.0", "0000:01:00.0"),
        "bigscreen": ("pci0000:00", "0000:00:02.0", "0000:02:00.0"),
    },
    leaks=(),
    container="",
    secure_boot=True,
    tpm="2",
)


def failing(facts: Facts) -> dict[str, str]:
    return {measure.name: measure.found for measure in judge(facts) if not measure.ok}


def test_a_good_host_has_all():
    """Nothing is missing, nothing lowers the grade, and each measure has its own name."""
    names = [measure.name for measure in judge(GOOD)]

    assert failing(GOOD) == {}
    assert grade_effect(judge(GOOD)).grade == "whole"
    assert len(set(names)) == len(names)


def test_nothing_known_is_nothing_good():
    """A host of which nothing could be found out passes in nothing."""
    assert [m.name for m in judge(Facts()) if m.ok] == []
    assert grade_effect(judge(Facts())).grade == "none"


@pytest.mark.parametrize(
    ("change", "name", "found"),
    [
        ({"pass_rights": False}, "descriptors", "Linux 6.18.3 has no such option"),
        ({"release": "6.1.0-18-amd64"}, "owned-tables", "Linux 6.1.0-18-amd64"),
        ({"vsock": True}, "vsock", "in the kernel"),
        ({"lockdown": "none"}, "lockdown", "none"),
        ({"modules": ("capability", "landlock", "lockdown")}, "security-modules", "capability, landlock, lockdown"),
        ({"loaded": frozenset({"vxlan"})}, "modules", "loaded: vxlan"),
        ({"blocked": frozenset(wanted.MODULES) - {"sctp", "gre"}}, "modules", "may be loaded: gre, sctp"),
        ({"kinds": {**GOOD.kinds, "macvlan": "built in"}}, "built-in", "macvlan"),
        ({"kinds": {}}, "built-in", "the kernel's configuration is not known"),
        ({"ports": {**GOOD.ports, "bigscreen": ("pci0000:00", "0000:00:01.0", "0000:01:00.1")}}, "cards",
         "on one card: bigscreen and culture (0000:01:00)"),
        ({"ports": {"culture": ("pci0000:00", "0000:00:01.0", "0000:01:00.0", "0000:02:00.0"),
                    "bigscreen": ("pci0000:00", "0000:00:01.0", "0000:01:00.0", "0000:02:01.0")}}, "cards",
         "on one card: bigscreen and culture (0000:01:00.0)"),
        ({"ports": {**GOOD.ports, "management": ()}}, "cards", "no card is known of: management"),
        ({"ports": {}}, "cards", "no ports were told"),
        ({"leaks": ("mds", "retbleed")}, "processor", "mds, retbleed"),
        ({"leaks": None}, "processor", "not known"),
        ({"container": "systemd-nspawn"}, "own-kernel", "container: systemd-nspawn"),
        ({"secure_boot": False}, "secure-boot", "switched off"),
        ({"tpm": ""}, "tpm", "none"),
        ({"processes": (SYSTEMD, GUARD, FETCH, DELIVERY, replace(GUARD, pid=30, name="bash", daemon="", filtered=False))}, "bpf-root",
         "without a filter: bash (30)"),
        ({"processes": (SYSTEMD, FETCH, replace(FETCH, pid=40, namespace="net:[7]"))}, "one-user-a-zone", "user 500 in 2"),
        ({"processes": (SYSTEMD, FETCH, replace(DELIVERY, namespace=""))}, "one-user-a-zone", "1 processes cannot be seen"),
        ({"processes": (SYSTEMD, GUARD)}, "daemons-confined", "none of ours runs here"),
    ],
)  # fmt: skip
def test_each_lack_is_one_measure(change: dict, name: str, found: str):
    """What is missing is told under its name, with what was found and what that means."""
    facts = replace(GOOD, **change)

    assert failing(facts) == {name: found}
    assert next(m.why for m in judge(facts) if m.name == name)


@pytest.mark.parametrize("key", wanted.SETTINGS)
@pytest.mark.parametrize("value", [None, "worse", "words"])
def test_each_setting_is_one_measure(key: str, value: str | None):
    """A setting that is not there, has another value, or none that is a number, fails."""
    setting = wanted.SETTINGS[key]
    if value == "worse":
        value = next(str(number) for number in (0, 1, 99) if not setting.good(number))

    assert list(failing(replace(GOOD, settings={**GOOD.settings, key: value}))) == [setting.name]


@pytest.mark.parametrize(
    "change",
    [{"user": 0}, {"capabilities": 1 << 12}, {"filtered": False}, {"no_new_privileges": False}, {"hides": False}],
)
def test_a_loose_daemon_is_told(change: dict):
    """Each line of a daemon's confinement counts on the running process, whatever its unit says."""
    told = failing(replace(GOOD, processes=(SYSTEMD, GUARD, FETCH, replace(DELIVERY, **change))))

    assert told["daemons-confined"] == "2 daemons, not so: delivery (21)"


def test_a_kernel_without_modules_or_bpf_needs_no_list():
    """What the kernel cannot do needs no fence."""
    facts = replace(
        GOOD, loadable=False, blocked=frozenset(), bpf=False, processes=(*GOOD.processes, replace(SYSTEMD, pid=7))
    )

    assert failing(facts) == {}


@pytest.mark.parametrize(
    ("change", "grade", "first"),
    [
        ({"tpm": ""}, "whole", ()),
        ({"vsock": True}, "reduced", ("vsock",)),
        ({"vsock": True, "settings": {**GOOD.settings, "net.ipv4.ip_forward": "1"}}, "none", ("forwarding", "vsock")),
    ],
)
def test_the_grade(change: dict, grade: str, first: tuple[str, ...]):
    """Information lowers nothing, a missing line of defence lowers the grade, and without the essential there is none."""
    effect = grade_effect(judge(replace(GOOD, **change)))

    assert (effect.grade, effect.missing) == (grade, first)


def test_the_ways_that_stay_open_are_told():
    """The effect names the ways across that the host leaves to other measures."""
    assert grade_effect(judge(replace(GOOD, vsock=True, pass_rights=False))).ways == (23, 26, 36)
    assert all(1 <= way <= 37 for measure in judge(GOOD) for way in measure.ways)


@pytest.mark.parametrize(("release", "told"), [("6.18.44-fc", (6, 18)), ("5.10", (5, 10)), ("", (0, 0)), ("x", (0, 0))])
def test_versions(release: str, told: tuple[int, int]):
    """A release's leading numbers are its version."""
    assert version(release) == told
