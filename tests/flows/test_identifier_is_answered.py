"""Flow 3, on the lab's boxes: codes are resolved on the spot."""

import pytest

from provisioning.lab.operator import FILM
from provisioning.lab.tour import flow_identifier, guided
from provisioning.lab.tour.stage import Stage

pytestmark = pytest.mark.flow


def test_every_claim_of_the_guide_holds(stage: Stage):
    """Players are redirected, programs told, wrong codes refused, also with the centre unplugged."""
    for step in guided("identifier", flow_identifier.walk(stage)):
        assert step.ok, step.told()


def test_an_institution_resolves_in_its_own_network(stage: Stage):
    """The institution's box knows the code too; it has no screens, so it tells where the content is."""
    code = FILM.removeprefix("isli:")
    answer = stage.lab.exec(
        "institution",
        ["nsenter", "--net=/run/netns/institution", "python3", "-c",
         f"import urllib.request as u; print(u.urlopen('http://10.50.0.13:8080/id/{code}?format=json', timeout=10).read().decode())"],
    )  # fmt: skip

    assert code in answer
