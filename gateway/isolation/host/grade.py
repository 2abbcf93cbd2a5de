"""Measures -> what they mean for the grade of isolation that a report may print. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from gateway.isolation.evidence import Measure

# Without these a user without rights, or nobody at all, could join zones: no grade of isolation may be told.
ESSENTIAL = frozenset({"bpf-unprivileged", "forwarding", "forwarding-ipv6", "one-user-a-zone", "daemons-confined"})
# Told, and asked of nobody: many good boxes have none.
INFORMATION = frozenset({"tpm"})


@dataclass(frozen=True)
class Effect:
    """What the host does to the grade: ``whole`` nothing, ``reduced`` a line of defence is missing, ``none`` isolation cannot be told."""

    grade: Literal["whole", "reduced", "none"]
    missing: tuple[str, ...]  # names of measures, essential ones first
    ways: tuple[int, ...]  # the ways across that the host does not close, or not all that it should


def grade_effect(measures: Iterable[Measure]) -> Effect:
    """Return what the measures that fail mean; a measure that is not known has failed."""
    failed = [measure for measure in measures if not measure.ok and measure.name not in INFORMATION]
    failed.sort(key=lambda measure: measure.name not in ESSENTIAL)
    essential = any(measure.name in ESSENTIAL for measure in failed)
    return Effect(
        "none" if essential else "reduced" if failed else "whole",
        tuple(measure.name for measure in failed),
        tuple(sorted({way for measure in failed for way in measure.ways})),
    )
