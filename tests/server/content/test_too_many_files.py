"""A folder with more files than a release may have, on a real disk: told with place and mend, soon, and nothing is written."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.release.manifest import MOST_FILES

pytestmark = pytest.mark.server
CODE = "999999-100000000000001-4"
SECONDS = 30.0  # much more than it takes


def test_make_names_the_folder_and_a_mend(tmp_path: Path) -> None:
    """Files by the hundred thousand (links to one, so that they cost nothing); a link out among them is told as well."""
    film = tmp_path / "film"
    film.mkdir()
    (film / "0-out").symlink_to("/etc/passwd")
    for number in range(MOST_FILES // 1000 + 1):
        folder = film / f"{number:03}"
        folder.mkdir()
        one = folder / "a.txt"
        one.write_text("x")
        for name in range(999 if number < MOST_FILES // 1000 else 1):
            os.link(one, folder / f"{name}.txt")
    told = [
        "--id",
        CODE,
        "--body",
        "library",
        "--title",
        "x",
        "--zones",
        "bigscreen",
        "--entry",
        "000/a.txt",
        "--dry-run",
    ]
    began = time.monotonic()
    done = subprocess.run(
        [str(Path(sys.executable).with_name("headgate")), "release", "make", str(film), *told],
        capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip

    assert done.returncode == 2, done.stderr
    first = done.stderr.splitlines()[0]
    assert str(film) in first
    assert f"holds more than {MOST_FILES} files" in first
    assert "make several releases of it" in done.stderr
    assert "is not in the folder" not in done.stderr, "nothing is said of files that were not looked at"
    assert time.monotonic() - began < SECONDS
    assert not (film / "release.json").exists()
