"""``/usr/local/bin/headgate`` as boxes and the centre have it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LAUNCHER = Path("playbooks/roles/gateway/files/system/usr/local/bin/headgate")
MAIN = """
import concurrent.futures, multiprocessing

def main():
    print("began", flush=True)
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        print(pool.submit(abs, -7).result(), flush=True)
"""


def test_a_process_that_the_program_spawns_is_no_second_program(tmp_path: Path) -> None:
    """A spawned process loads the launcher too: it does what it is asked, and begins nothing."""
    root = Path(__file__).parents[3]
    (tmp_path / "current/lib/provisioning").mkdir(parents=True)
    (tmp_path / "current/libraries").mkdir()
    (tmp_path / "current/lib/provisioning/main.py").write_text(MAIN)
    launcher = tmp_path / "headgate"
    launcher.write_text((root / LAUNCHER).read_text().replace("/opt/headgate/current", str(tmp_path / "current")))
    done = subprocess.run(
        [sys.executable, "-IS", str(launcher)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.returncode) == ("began\n7\n", 0), done.stderr
