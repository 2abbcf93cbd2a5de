"""What holds for all tests: a skip is no pass where everything is there to be tested, and a run that is ended cleans up."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Generator
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import HealthCheck, settings

# No test is timed: on a machine that is new or busy, the first texts alone take hypothesis a second.
settings.register_profile("untimed", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# A green run that had tested nothing would be the worst of all results, and it looks just like the best. CI has root and every
# package (./dev test installs them), so there a test that needs them may not stay out; only the kernel is not ours to choose.
GROUPS = ("server", "player", "kernel", "flow")
# Whatever lies there is of that group, whether its file says so or not: a forgotten mark would start servers in every quick check.
FOLDERS = {
    Path(__file__).parent / "server": "server",
    Path(__file__).parent / "players": "player",
    Path(__file__).parent / "flows": "flow",
}
ALLOWED = re.compile(r"\bkernel (module|has no|lacks)\b")
MISSING = re.compile(r"\bnot installed\b")


def pytest_configure() -> None:
    """End in order on SIGTERM as on Ctrl-C, so that fixtures take their boxes, servers and namespaces away."""

    def end(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once: another would interrupt the cleaning up
        raise KeyboardInterrupt

    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # a shell's background job is born deaf to SIGINT, and so were its children
        signal.signal(number, end)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark a test by its folder."""
    for folder, group in FOLDERS.items():
        if item.path.is_relative_to(folder):
            item.add_marker(group)


@pytest.hookimpl(trylast=True)  # after pytest-randomly
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the random order within each group, the quick ones first: a lab's boxes, once up, take time from all that follows."""
    items.sort(key=lambda item: [bool(item.get_closest_marker(group)) for group in reversed(GROUPS)])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure in CI, as the rule above says."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        grouped = any(item.get_closest_marker(group) for group in GROUPS)
        _refuse(report, grouped=grouped)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn the skip of a whole file into a failure in CI: it cannot say which of its tests were marked."""
    report = yield
    if report.skipped:
        _refuse(report, grouped=True)
    return report


def _refuse(report: pytest.TestReport | pytest.CollectReport, *, grouped: bool) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if os.environ.get("CI") != "true" or ALLOWED.search(reason) or not (grouped or MISSING.search(reason)):
        return
    report.outcome = "failed"
    report.longrepr = f"in CI nothing that can be tested is skipped: {reason}"
