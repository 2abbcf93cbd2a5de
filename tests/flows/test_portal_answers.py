"""A portal of the culture network, on the lab's boxes: admitted, kept, purged."""

import pytest

from provisioning.lab.tour import flow_web, guided
from provisioning.lab.tour.stage import Stage

pytestmark = pytest.mark.flow


def test_every_claim_of_the_guide_holds(stage: Stage):
    """An admitted portal answers by plain HTTP, from the box the second time, until it is purged; no other host is asked."""
    for step in guided("web", flow_web.walk(stage)):
        assert step.ok, step.told()
