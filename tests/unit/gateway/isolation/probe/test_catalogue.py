"""The catalogue and the functions that make its packets."""

import inspect
import re
from pathlib import Path

import pytest

from gateway.isolation import policy as policies
from gateway.isolation.probe import scene as scenes
from gateway.isolation.probe import shots as records
from gateway.isolation.probe.catalogue import ATTACKS, BY_NAME
from gateway.isolation.probe.crafts import table
from gateway.isolation.probe.shots import Reader, Shot

ROOT = Path(__file__).parents[5]
RUN = bytes.fromhex("a1b2c3d4e5f6")
# Ways that packets can try: docs/isolation.md rows 1 to 15, and those of the others that begin with a frame.
PACKET_WAYS = {*range(1, 16), 17, 28, 33, 35, 36}
LAB = {"provisioning/lab/tour/probes.py"}  # runs by itself, in an attacker's namespace of the lab
PIECES = {"fragments", "fragments-overlapping", "fragments-tiny", "fragments6", "fragments6-overlapping"}
POLICY = """\
site: scratch
zones:
  management: {port: "02:68:67:28:00:0b", addresses: [10.40.0.11/24]}
  culture:    {port: "02:68:67:0a:00:0b", addresses: [10.10.0.11/24], neighbours: {10.10.0.1: "02:aa:00:00:00:01"}}
  bigscreen:  {port: "02:68:67:14:00:0b", addresses: [10.20.0.11/24, "fd20::11/64"], neighbours: {"fd20::1": "02:aa:00:00:00:02"}}
services:
  delivery:  {zone: bigscreen,  run: delivery,  listen: tcp/80,   from: [10.20.0.0/24, "fd20::/64"]}
  ssh:       {zone: management, run: ssh,       listen: tcp/22,   from: [10.40.0.0/24]}
never:
  - {from: bigscreen, to: management}
"""


@pytest.fixture(scope="module")
def shots() -> list[Shot]:
    """Return every shot from every zone."""
    scene = scenes.scene_of(policies.parse(POLICY.encode()), RUN)
    return table.shots_of(scene, [side.zone for side in scene.sides])


def test_names_are_told_apart():
    """A probe is known by its name in reports and metrics."""
    assert len(BY_NAME) == len(ATTACKS)


def test_every_way_of_packets_is_tried():
    """No row of the catalogue that packets can try is left out."""
    assert {attack.way for attack in ATTACKS} == PACKET_WAYS


def test_every_function_is_an_attack():
    """What makes packets is in the catalogue, and nothing else is public."""
    made = {
        name.replace("_", "-")
        for module in table.MODULES
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_") and name != "group_mac"
    }

    assert made == set(BY_NAME)


def test_scapy_is_known_to_the_packets_process_alone():
    """Its licence is not ours: nothing else of the product may bring it in."""
    guilty = {
        str(path.relative_to(ROOT))
        for package in ("appliance", "gateway", "firmware", "monitoring", "provisioning")
        for path in (ROOT / package).rglob("*.py")
        if re.search(r"^\s*(from|import) scapy\b", path.read_text(), re.MULTILINE)
    }

    assert guilty
    assert {name for name in guilty if not name.startswith("gateway/isolation/probe/crafts/")} == LAB


def test_pinned_neighbours_are_attacked_where_there_are_any(shots: list[Shot]):
    """A zone that pins nobody has nothing to try there."""
    pinned = {(shot.attack, shot.source) for shot in shots if shot.attack.endswith("-pinned")}

    assert pinned == {("arp-pinned", "culture"), ("ns-pinned", "bigscreen")}


def test_every_attack_is_made_from_every_zone(shots: list[Shot]):
    """Only what pins nobody is left out."""
    wanted = {attack.name for attack in ATTACKS if not attack.name.endswith("-pinned")}

    for zone in ("management", "culture", "bigscreen"):
        assert {s.attack for s in shots if s.source == zone and not s.attack.endswith("-pinned")} == wanted


def test_each_frame_is_known_by_its_nonce(shots: list[Shot]):
    """A frame that nobody could tell again proves nothing; only a piece cut off a packet, or what leaves a trace, may lack it."""
    reader = Reader(RUN, shots)
    lost = {
        shot.attack
        for shot in shots
        for frame in shot.frames
        if not shot.traces and shot.number not in set(reader.numbers(frame))
    }

    assert lost <= PIECES


def test_no_frame_is_taken_for_another_shot(shots: list[Shot]):
    """Each frame leads to the shot that it belongs to, and to no other."""
    reader = Reader(RUN, shots)

    assert not [(s.attack, n) for s in shots for frame in s.frames for n in reader.numbers(frame) if n != s.number]


def test_numbers_do_not_depend_on_the_zones_asked_for(shots: list[Shot]):
    """The attacker outside makes the shots of its own zone alone, under the same numbers."""
    scene = scenes.scene_of(policies.parse(POLICY.encode()), RUN)
    alone = {shot.number: (shot.attack, shot.source) for shot in table.shots_of(scene, ["culture"])}

    assert alone.items() <= {shot.number: (shot.attack, shot.source) for shot in shots}.items()
    assert alone


def test_shots_are_read_as_they_were_written(shots: list[Shot]):
    """They come from another process as text."""
    assert records.load(records.dump(shots)) == shots
