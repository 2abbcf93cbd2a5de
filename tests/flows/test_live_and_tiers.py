"""On the lab's boxes: a live channel crosses and is withdrawn while it runs; boxes fetch from each other, and ahead."""

import pytest

from provisioning.lab.tour import flow_live, flow_tiers, guided
from provisioning.lab.tour.stage import Stage

pytestmark = pytest.mark.flow


@pytest.mark.parametrize(("name", "walk"), [("live", flow_live.walk), ("tiers", flow_tiers.walk)])
def test_every_claim_of_the_guide_holds(stage: Stage, name, walk):
    """A channel plays and goes dark everywhere; the edge asks the headend first, the origin where it must, and has its plan ahead."""
    for step in guided(name, walk(stage)):
        assert step.ok, step.told()
