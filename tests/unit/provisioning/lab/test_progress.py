"""Telling what is going on."""

import io

import pytest
from rich.console import Console

from provisioning.lab.progress import Progress, Shown


def test_times_of_steps_are_kept():
    """The figures of a lab come from the steps themselves; a failed step has none."""
    progress = Progress()

    with progress.step("boot"):
        progress.note("a line")
        progress("another line")
    with pytest.raises(OSError, match="gone"), progress.step("image"):
        raise OSError("gone")

    assert list(progress.seconds) == ["boot"]
    assert progress.seconds["boot"] >= 0


def test_each_ended_step_leaves_a_line():
    """Nested steps end before the one around them; a builder's brackets are not markup."""
    out = io.StringIO()
    shown = Shown(console=Console(file=out, width=80))

    with shown.step("all"):
        with shown.step("part [1]"):
            shown.note("[/nonsense] line")
        with pytest.raises(OSError, match="gone"), shown.step("broken"):
            raise OSError("gone")

    lines = [line.split("  ")[0] for line in out.getvalue().splitlines()]
    assert [line.rsplit(" ", 2)[0] for line in lines if line] == ["done part [1]", "failed broken", "done all"]
