"""``headgate release publish`` as a process that is killed in the middle of a file, and called again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.identity.keys import PrivateKey
from gateway.release import folder as folders
from gateway.release.manifest import PIECE

pytestmark = pytest.mark.server
CODE = "999999-100000000000001-4"


def test_a_killed_publication_goes_on(tmp_path: Path, until: Callable[..., Any]) -> None:
    """Killed while a large file is copied: no manifest, nothing torn in a file's place; again: it goes on, and all is right."""
    film, origin, key = tmp_path / "film", tmp_path / "origin", tmp_path / "library.key"
    film.mkdir()
    origin.mkdir()
    PrivateKey.generate().save(key)
    (film / "film.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + os.urandom(24 * PIECE))

    def headgate(*argv: object) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "provisioning", "release", *map(str, argv), "--json"]
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    made = headgate("make", film, "--id", CODE, "--body", "b", "--title", "x", "--zones", "bigscreen", "--key", key)
    assert made.communicate()[0]
    first = headgate("publish", film, "--to", origin)
    try:
        part = until(lambda: next(iter(list(origin.rglob(".headgate-*"))), None), "the copy begins")
        until(lambda: not part.exists() or part.stat().st_size >= 2 * PIECE, "two chunks are there")
    finally:
        first.send_signal(signal.SIGKILL)
        first.communicate()
    target = origin / "releases" / CODE
    whole = (target / "film.mp4").exists()  # it was faster than the signal
    assert whole or not (target / "release.json").exists()

    told = json.loads(headgate("publish", film, "--to", origin).communicate()[0])

    assert told["copied"] == (0 if whole else 1)
    claimed = folders.read_claimed(target)
    assert claimed is not None
    assert folders.differences(target, claimed[1]) == []
