"""One whole lab for all flow tests: raised once, provisioned from blank, taken down whatever happens.

``HEADGATE_LAB_KEEP=1`` uses the lab ``$HEADGATE_LAB_NAME`` (default ``lab``) instead, raises it only if it is not up, and leaves it: for
writing tests, not for CI.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from provisioning.lab import operator
from provisioning.lab.lab import Lab
from provisioning.lab.progress import Progress
from provisioning.lab.tour.stage import SCREENS, UNPUBLISHED, Stage, until

LONGEST = 1500  # seconds of one flow test; the first one also raises and provisions the lab


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give flow tests the time that real boxes take."""
    for item in items:
        if item.get_closest_marker("flow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(LONGEST))


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A lab whose boxes Ansible made into gateways."""
    if os.geteuid():
        pytest.skip("a lab needs root")
    if os.environ.get("HEADGATE_LAB_KEEP") == "1":
        kept = Lab(os.environ.get("HEADGATE_LAB_NAME", "lab"))
        if not all(machine.state == "running" for machine in kept.status()):
            raise_whole(kept)
        yield kept
        return
    made = Lab(f"flows-{os.getpid()}")
    try:
        raise_whole(made)
        yield made
    finally:
        made.down()


def raise_whole(lab: Lab) -> None:
    """Boot and provision the lab, as `headgate lab up` does."""
    with lab.state.changing():
        lab.up_machines(Progress())
        operator.provision(lab, Progress())


@pytest.fixture
def stage(lab: Lab) -> Iterator[Stage]:
    """What the tour's guides work with; every cable that a test pulled is put back, and every machine runs again.

    A test begins on a whole lab: each screen's question for what nobody published goes to the origin and comes back.
    """
    made = Stage(lab)
    for screen in SCREENS:
        until(f"the {screen}'s box asks the origin", lambda screen=screen: made.curl(screen, UNPUBLISHED)[0] == 404)
    yield made
    for machine in lab.status():
        for network in machine.unplugged:
            lab.plug(machine.machine, network)
        if machine.state != "running":
            lab.start(machine.machine)
