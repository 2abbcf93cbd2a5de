"""What the box's kernel and hardware give to isolation, against what is wanted.

``look.py`` -> facts -> ``judge.py`` -> measures -> ``grade.py``. Where a kernel lacks something the measure says so and the grade drops.
Start at ``judge.py``: it is the list. What the gateway role sets (``sysctl.d``, ``modprobe.d``) is wanted here too, and a test holds the
two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gateway.isolation import netns
from gateway.isolation.evidence import Measure
from gateway.isolation.host.grade import Effect, grade_effect
from gateway.isolation.host.judge import judge
from gateway.isolation.host.look import look

__all__ = ["Effect", "grade_effect", "measures"]
PROC = Path("/proc")


def measures(
    proc: Path = PROC,
    sys: Path = Path("/sys"),
    etc: Path = Path("/etc"),
    boot: Path = Path("/boot"),
    ports: Mapping[str, str] | None = None,
) -> list[Measure]:
    """Return every measure of this host; ``ports``: zone -> PCI address of its port, empty where it has none (a virtual link)."""

    def here() -> list[Measure]:
        return judge(look(proc, sys, etc, boot, ports or {}))

    if proc != PROC:
        return here()
    try:
        # The settings of networks are those of the namespace one is in, and an operator's shell is in management.
        return netns.inside(netns.INITIAL, here)
    except netns.KernelFailed:
        return here()
