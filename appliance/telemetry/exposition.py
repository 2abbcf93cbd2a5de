"""Metrics of the other daemons, from their files to one exposition.

A daemon writes ``metrics/UNIT/UNIT.prom`` in a folder of its own. Its text is parsed and written anew with a label ``unit`` that
comes from the folder, so that a daemon that fell into wrong hands can lie about itself and nobody else.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from appliance.runtime.errors import Corrupt

LARGEST = 1 << 20  # bytes of one daemon's file
MOST_UNITS = 64
MOST_SAMPLES = 10_000  # of one daemon

_UNIT = re.compile(r"[a-z][a-z0-9-]{0,63}")
_NAME = re.compile(r"(headgate|python|process)_[a-z0-9_]{1,150}")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,63}")
_TYPES = frozenset({"counter", "gauge", "histogram", "summary", "unknown"})


@dataclass(frozen=True)
class Gathered:
    """What was found: families by unit, and why the rest was passed over."""

    units: Mapping[str, tuple[Metric, ...]]
    skipped: Mapping[str, str]


def gather(folder: Path) -> Gathered:
    """Read and check the files of all units under ``folder``."""
    units: dict[str, tuple[Metric, ...]] = {}
    skipped: dict[str, str] = {}
    for unit in sorted(_folders(folder))[:MOST_UNITS]:
        try:
            units[unit] = parse(read_plain(folder / unit / f"{unit}.prom"))
        except FileNotFoundError:
            continue  # it has not written yet
        except (Corrupt, OSError) as error:
            skipped[unit] = str(error)
    return Gathered(units, skipped)


def parse(data: bytes) -> tuple[Metric, ...]:
    """Return the metric families of an exposition text.

    Raises:
        Corrupt: torn, not of the text format, or beyond the bounds.
    """
    if data and not data.endswith(b"\n"):
        raise Corrupt("torn: the last line is not complete")
    try:
        families = list(text_string_to_metric_families(data.decode()))
    except (
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        AttributeError,
    ) as error:  # what its parser raises on odd texts
        raise Corrupt("not in the text format of Prometheus") from error
    seen: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
    for family in families:
        if family.type not in _TYPES or not _NAME.fullmatch(family.name):
            raise Corrupt("a family is of an unknown type or name")
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            if key in seen or not sample.name.startswith(family.name) or not all(map(_LABEL.fullmatch, sample.labels)):
                raise Corrupt("a sample is told twice or has an unknown name")
            seen.add(key)
    if len(seen) > MOST_SAMPLES:
        raise Corrupt(f"more than {MOST_SAMPLES} samples")
    return tuple(families)


def merged(units: Mapping[str, Iterable[Metric]]) -> Iterator[Metric]:
    """Yield each family once, with the samples of all units, told apart by the label ``unit``."""
    result: dict[str, Metric] = {}
    for unit, families in units.items():
        for family in families:
            known = result.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            if known.type != family.type:
                continue  # two daemons disagree: the first in the alphabet has it
            for sample in family.samples:
                known.add_sample(sample.name, {**sample.labels, "unit": unit}, sample.value)
    yield from result.values()


def total(units: Mapping[str, Iterable[Metric]], name: str) -> int:
    """Return the sum of all samples called ``name``."""
    values = (s.value for families in units.values() for family in families for s in family.samples if s.name == name)
    return min(int(sum(value for value in values if 0 <= value < 1 << 62)), (1 << 63) - 1)


def read_plain(path: Path, largest: int = LARGEST) -> bytes:
    """Return the bytes of a plain file that another user owns: no link is followed, no pipe waited for.

    Raises:
        Corrupt: it is not a plain file, or longer than ``largest`` bytes.
        OSError: it cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Corrupt("not a plain file")
        data = file.read(largest + 1)
    if len(data) > largest:
        raise Corrupt(f"longer than {largest} bytes")
    return data


def _folders(folder: Path) -> list[str]:
    with contextlib.suppress(FileNotFoundError):
        return [
            entry.name
            for entry in os.scandir(folder)
            if entry.is_dir(follow_symlinks=False) and _UNIT.fullmatch(entry.name)
        ]
    return []
