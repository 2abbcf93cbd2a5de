"""BPF programs and maps -> findings. Pure.

On a box of its own kernel every program is the box's. In a container others' are seen too: what is attached to our links and
namespaces, or held by our processes, is ours.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.isolation.bridges.judging_links import found
from gateway.isolation.bridges.judging_processes import end
from gateway.isolation.bridges.known import ALLOWED_TAGS, CARRYING_PROGRAMS, CARRYING_TABLES
from gateway.isolation.bridges.nouns import DetachProgram, EndProcess, Found, Sight


def programs(sight: Sight) -> Iterator[Found]:
    """Yield programs and maps that can carry packets or bytes elsewhere, and end who holds them."""
    holders: dict[tuple[str, int], list[EndProcess]] = {}
    for process in sight.processes:
        for kind, number in (_number(special) for special in process.special):
            if number and process.pid != 1:
                holders.setdefault((kind, number), []).append(end(process))
    attached: dict[int, list[int]] = {}
    for attachment in sight.attachments:
        if attachment.space in sight.spaces or not sight.virtual or ("link", attachment.number) in holders:
            attached.setdefault(attachment.program, []).append(attachment.number)
    for number, program in sight.programs.items():
        what = CARRYING_PROGRAMS.get(program.kind)
        mine = not sight.virtual or ("prog", number) in holders or number in attached
        if what and mine and program.tag not in ALLOWED_TAGS:
            told = f"BPF program {number} ({program.name or program.tag}, {what}) is loaded"
            detach = [DetachProgram(attachments=tuple(attached[number]))] if number in attached else []
            ends = holders.get(("prog", number), [])
            yield found("bpf-program", (), told, *detach, *ends, pid=ends[0].pid if ends else None)
    for number, table in sight.tables.items():
        what = CARRYING_TABLES.get(table.kind)
        ends = holders.get(("map", number), [])
        if what and (ends or not sight.virtual):
            told = f"BPF map {number} ({table.name or 'without name'}, {what}) is there"
            yield found("bpf-map", (), told, *ends, pid=ends[0].pid if ends else None)


def _number(special: str) -> tuple[str, int]:
    kind, _, number = special.partition(" ")
    return kind.replace("_", "-").removeprefix("bpf-"), int(number or 0)
