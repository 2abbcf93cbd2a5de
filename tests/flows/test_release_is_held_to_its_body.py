"""Releases on the lab's boxes: listed under the operator's root, looked at twice, brought in, withdrawn with proof."""

import pytest

from provisioning.lab.tour import flow_release, guided
from provisioning.lab.tour.stage import Stage

pytestmark = pytest.mark.flow


def test_every_claim_of_the_guide_holds(stage: Stage):
    """Unlisted, infected and important content goes nowhere; a withdrawal is proved by every box."""
    for step in guided("release", flow_release.walk(stage)):
        assert step.ok, step.told()
