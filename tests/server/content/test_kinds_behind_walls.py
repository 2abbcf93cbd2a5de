"""Every kind of content that passes the inspection passes it in a process that gave up all but looking, too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.server
PROGRAM = """
import os
from gateway.filters.inspection import worker
from gateway.filters.inspection.kinds import registry
from gateway.filters.inspection.kinds.kind import Told
from gateway.filters.inspection.sandbox import Sandbox
from gateway.filters.inspection.scan import scan
from tests.unit.gateway.filters.inspection import test_media_structures, test_scan

registry.load(registry.EVERY)
sandbox = Sandbox()
for kind, data, path in [*test_scan.GOOD, *((kind, data, "a") for kind, data in test_media_structures.GOOD)]:
    if (child := os.fork()) == 0:
        status = 2
        try:
            worker.bound()
            sandbox.enter(())
            status = int(scan(Told(kind, path, len(data)), data) is not None)
        finally:
            os._exit(status)
    if status := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        print(kind, path, status)
print(sandbox.parts)
"""


def test_every_kind_passes_behind_the_walls():
    """No library needs a file, a system call or a descriptor that a worker has no more."""
    path = os.pathsep.join([str(Path(__file__).parents[3]), *filter(None, sys.path)])
    argv, environment = [sys.executable, "-c", PROGRAM], {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[:-1] == [], done.stderr
