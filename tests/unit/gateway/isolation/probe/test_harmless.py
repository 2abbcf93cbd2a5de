"""What is sent where others live may be taken in by nobody else."""

import pytest

from gateway.isolation import policy as policies
from gateway.isolation.probe import live, shoot
from gateway.isolation.probe import scene as scenes
from gateway.isolation.probe.crafts import table

POLICY = """\
site: scratch
zones:
  management: {port: "02:68:67:28:00:0b", addresses: [10.40.0.11/24]}
  culture:    {port: "02:68:67:0a:00:0b", addresses: [10.10.0.11/24]}
  bigscreen:  {port: "02:68:67:14:00:0b", addresses: [10.20.0.11/24, "fd20::11/64"]}
never:
  - {from: bigscreen, to: management}
"""


@pytest.fixture(scope="module")
def scene() -> scenes.Scene:
    """Return a scene of three zones."""
    return scenes.scene_of(policies.parse(POLICY.encode()), bytes(range(6)))


def test_a_live_box_sends_to_the_ports_of_its_other_zones_alone(scene: scenes.Scene):
    """No router on a real network believes an advertisement, and no switch a spanning tree, that is addressed to one foreign port."""
    others = {bytes.fromhex(scene.side(zone).mac.replace(":", "")) for zone in ("management", "culture")}
    own = bytes.fromhex(scene.side("bigscreen").mac.replace(":", ""))
    sent = [live.harmless(shot, scene) for shot in table.shots_of(scene, ["bigscreen"])]

    assert {frame[:6] for shot in sent for frame in shot.frames} == others
    assert {frame[6:12] for shot in sent for frame in shot.frames} == {own}
    assert all(0 < len(shot.frames) <= live.MOST_FRAMES * len(others) for shot in sent if shot.attack != "jumbo")
    assert max(len(frame) for shot in sent for frame in shot.frames) <= live.LONGEST


def test_an_attacker_outside_sends_to_the_box_alone(scene: scenes.Scene):
    """Its neighbours on the wire are no part of the test."""
    sent = [shoot.harmless(shot, scene.side("bigscreen").mac) for shot in table.shots_of(scene, ["bigscreen"])]

    assert not [shot.attack for shot in sent for frame in shot.frames if frame[0] & 1]
