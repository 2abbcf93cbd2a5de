"""BPF programs and maps: what can carry is found, what counts or limits is not, and what is others' is left alone."""

from __future__ import annotations

import pytest

from gateway.isolation.bridges.judging_programs import programs
from gateway.isolation.bridges.nouns import Attachment, DetachProgram, EndProcess, Program, Table
from tests.unit.gateway.isolation.bridges.conftest import CULTURE, process, sight

XDP, CGROUP_DEVICE, CGROUP_SKB, DEVICE_MAP, HASH = 6, 15, 8, 14, 1


@pytest.mark.parametrize(("kind", "found"), [(XDP, ["bpf-program"]), (CGROUP_DEVICE, []), (CGROUP_SKB, [])])
def test_on_its_own_kernel_every_program_that_can_carry_is_found(kind: int, found: list[str]):
    """systemd's limits of devices and addresses are everywhere and carry nothing."""
    loaded = {8: Program(8, kind, "ab" * 8, "p")}
    assert [f.name for f in programs(sight(programs=loaded))] == found


def test_maps_of_ways_are_found():
    """A map of devices is a plan to cross, before any program uses it."""
    tables = {4: Table(4, DEVICE_MAP, "ways"), 5: Table(5, HASH, "counts")}
    assert [f.name for f in programs(sight(tables=tables))] == ["bpf-map"]


def test_in_a_container_only_what_is_held_or_attached_here_is_ours():
    """The kernel shows other containers' programs as well."""
    loaded = {
        8: Program(8, XDP, "ab" * 8, "theirs"),
        9: Program(9, XDP, "cd" * 8, "ours"),
        10: Program(10, 30, "ef" * 8, "x"),
    }
    tables = {4: Table(4, DEVICE_MAP, "theirs"), 5: Table(5, DEVICE_MAP, "ours")}
    holder = process(7, CULTURE, special=("bpf-prog 9", "bpf-map 5", "perf_event"))
    seen = sight(
        programs=loaded,
        tables=tables,
        processes=(holder,),
        attachments=(Attachment(31, 5, 10, space=CULTURE), Attachment(32, 6, 8, index=2)),
        virtual=True,
    )
    found = list(programs(seen))
    assert [(f.name, f.mends) for f in found] == [
        ("bpf-program", (EndProcess(7, 70),)),
        ("bpf-program", (DetachProgram(attachments=(31,)),)),
        ("bpf-map", (EndProcess(7, 70),)),
    ]
