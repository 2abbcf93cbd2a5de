"""Sightings on all arrangements -> what each probe says: passed, failed, or blind where its control did not see it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from gateway.isolation.evidence import Probe
from gateway.isolation.probe.catalogue import BY_NAME, Attack, Hole
from gateway.isolation.probe.shots import Shot, Sighting

HOLES: Mapping[Hole, str] = {
    "open": "open box that forwards and believes",
    "joined": "box whose ports are joined",
    "helped": "open router with helpers",
}
MOST_TOLD = 3  # sightings in one sentence


@dataclass(frozen=True)
class Round:
    """What one arrangement showed; ``failed`` says why it could not be asked."""

    sightings: tuple[Sighting, ...] = ()
    failed: str = ""


@dataclass(frozen=True)
class Rounds:
    """What all arrangements showed: the controls, the twin, and the box itself where it was asked."""

    controls: Mapping[Hole, Round]
    twin: Round
    live: Mapping[str, Round] = field(default_factory=dict)  # source zone -> what came through; empty: not asked


def judge(shots: Iterable[Shot], rounds: Rounds, zones: tuple[str, ...]) -> list[Probe]:
    """Return the verdict on each shot."""
    return [_verdict(shot, BY_NAME[shot.attack], rounds, zones) for shot in shots]


def refute(probes: Iterable[Probe], shots: Iterable[Shot], again: Round, place: str) -> list[Probe]:
    """Return ``probes`` with what one more arrangement showed of ``shots``: it can fail a probe, or blind it, and never pass one."""
    by_name = {(shot.attack, shot.source): shot for shot in shots}
    return [_refuted(probe, by_name.get((probe.name, probe.source)), again, place) for probe in probes]


def _refuted(probe: Probe, shot: Shot | None, again: Round, place: str) -> Probe:
    if shot is None:
        return probe
    came = [f"{place}: {words}" for words in _told(_counted(BY_NAME[probe.name], shot, again.sightings))]
    seen = "; ".join([*([probe.seen] if probe.seen else []), *came])
    if came:
        return replace(probe, result="failed", seen=seen)
    if again.failed and probe.result == "passed":
        return replace(probe, result="blind", control=f"{probe.control}; but {place}: {again.failed}")
    return probe


def _verdict(shot: Shot, attack: Attack, rounds: Rounds, zones: tuple[str, ...]) -> Probe:
    control = rounds.controls.get(attack.hole, Round(failed="was not built"))
    shown = _counted(attack, shot, control.sightings)
    live = rounds.live.get(shot.source) if rounds.live else None
    came = [f"twin: {words}" for words in _told(_counted(attack, shot, rounds.twin.sightings))]
    came += [f"live: {words}" for words in _told(_counted(attack, shot, live.sightings if live else ()))]
    told = "; ".join(_told(shown)) or (control.failed or "was not seen")
    blind = not shown or rounds.twin.failed or (live.failed if live else "")
    if rounds.twin.failed:
        told += f"; but the twin: {rounds.twin.failed}"
    if live and live.failed:
        told += f"; but live: {live.failed}"
    return Probe(
        way=attack.way,
        name=attack.name,
        source=shot.source,
        listened=tuple(zone for zone in zones if zone != shot.source),
        result="failed" if came else "blind" if blind else "passed",
        control=f"{HOLES[attack.hole]}: {told}",
        seen="; ".join(came),
    )


def _counted(attack: Attack, shot: Shot, sightings: Iterable[Sighting]) -> list[Sighting]:
    """Return the sightings of a shot that count: a leak always, an answer or an effect where none may be."""
    return [s for s in sightings if s.number == shot.number and (s.kind == "leak" or s.kind in attack.sees)]


def _told(sightings: list[Sighting]) -> list[str]:
    words = {"leak": "seen in {}: {}", "answer": "answered in {}: {}", "effect": "changed in {}: {}"}
    return [words[s.kind].format(s.zone, s.words) for s in sightings[:MOST_TOLD]]
