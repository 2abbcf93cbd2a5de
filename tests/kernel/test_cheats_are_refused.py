"""What the kernel itself refuses to a daemon's user, which no look would find because it never comes to be."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.kernel import cheats
from tests.kernel.cheats import ATTEMPTS, Attempt
from tests.kernel.zones import Site

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    made = Site()
    try:
        made.make()
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="module")
def victim(site: Site) -> Iterator[int]:
    """Root's process in the other zone."""
    pids = run("hold", "-", site.name("culture"), site.name("bigscreen"))["pids"]
    yield pids[0]
    cheats.end(pids)


def run(*argv: str) -> dict[str, list[int]]:
    whole = [sys.executable, "-I", cheats.__file__, *argv]
    return json.loads(subprocess.run(whole, capture_output=True, text=True, timeout=30, check=True).stdout)


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.name)
def test_a_user_is_refused_what_root_may(site: Site, victim: int, attempt: Attempt):
    """Root's success shows that the attempt itself is right; an abstract socket is refused even to root."""
    words = (attempt.name, site.name("culture"), site.name("bigscreen"), str(victim))

    assert run("try", *words)["errno"] in attempt.refused
    assert run("dare", *words)["errno"] == (errno.ECONNREFUSED if attempt.way == 25 else 0)


def test_the_abstract_socket_is_there_for_its_own_zone(site: Site, victim: int):
    """What is refused across zones is not refused for want of a listener."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import cheats; print(cheats.attempt(*sys.argv[2:6], 0, nobody=True))"
    a, b = site.name("culture"), site.name("bigscreen")
    argv = [sys.executable, "-c", code, cheats.__file__.rpartition("/")[0], "abstract-socket", b, a, b]

    assert subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True).stdout == "0\n"
