"""A box's disk and power, as far as they are values."""

import subprocess
from pathlib import Path

import pytest

from provisioning.lab import boxes
from provisioning.lab.boxes import Box, NotInTime

BOX = Box(
    "headend", "hg-one-headend", "hg-one-headend", (Path("/top"), Path("/below")), Path("/labs/one/boxes/headend")
)


def test_a_command_enters_every_namespace_of_the_box_with_a_clean_environment():
    """Nothing of the host's environment gets in, and the box bounds the time too."""
    argv = boxes.entering(42, ["id", "-u"], seconds=3)

    spaces = {"--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root"}
    assert argv[:2] == ["nsenter", "--target=42"]
    assert spaces <= set(argv)
    assert argv[argv.index("--") + 1 :][:2] == ["/usr/bin/env", "-i"]
    assert argv[-5:] == ["timeout", "--kill-after=2", "3", "id", "-u"]


def test_each_box_has_cgroups_of_its_own():
    """Boxes in one tree would stop each other's units."""
    other = Box("edge", "hg-one-edge", "hg-one-edge", (), Path("/labs/one/boxes/edge"))

    assert BOX.cgroups
    assert not set(BOX.cgroups) & set(other.cgroups)
    assert all(path.name == "hg-one-headend" for path in BOX.cgroups)


def test_a_box_that_does_not_run_has_no_process(tmp_path: Path):
    """Also where another program bears the folder in its words."""
    assert boxes.container(tmp_path) is None
    assert boxes.leader(tmp_path) is None


def test_waiting_ends_with_what_was_waited_for():
    """The reader of a log learns which machine did not come."""
    with pytest.raises(NotInTime, match=r"waited 0\.05 s for 'edge' to boot"):
        boxes.wait(lambda: False, "'edge' to boot", seconds=0.05, pause=0.01)
    boxes.wait(lambda: True, "nothing", seconds=0)


def test_signalling_what_has_ended_is_no_fault():
    """A box may end by itself between look and kill."""
    child = subprocess.Popen(["true"])
    child.wait()

    boxes._signal(child.pid, boxes.signal.SIGTERM)
