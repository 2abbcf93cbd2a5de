from __future__ import annotations

import hashlib
from pathlib import Path

from provisioning.controller.wanted import Wanted


def test_digests_follow_the_folder(tmp_path: Path) -> None:
    """A policy's digest is the SHA-256 of its bytes; changed, added and removed files are noticed, others passed over."""
    (tmp_path / "headend.yaml").write_bytes(b"one")
    (tmp_path / "README.md").write_bytes(b"x")
    (tmp_path / "NOT A SITE.yaml").write_bytes(b"x")
    wanted = Wanted(tmp_path)
    assert wanted.read() == {"headend": hashlib.sha256(b"one").hexdigest()}
    new = tmp_path / ".new"
    new.write_bytes(b"two")
    new.replace(tmp_path / "headend.yaml")
    (tmp_path / "edge.yaml").write_bytes(b"")
    assert wanted.read() == {"headend": hashlib.sha256(b"two").hexdigest(), "edge": hashlib.sha256(b"").hexdigest()}
    (tmp_path / "edge.yaml").unlink()
    assert wanted.read().keys() == {"headend"}


def test_a_folder_that_goes_away_changes_nothing(tmp_path: Path) -> None:
    """Digests stay when the folder cannot be read, so that nobody is told of a difference that is none."""
    folder = tmp_path / "wanted"
    folder.mkdir()
    (folder / "headend.yaml").write_bytes(b"one")
    wanted = Wanted(folder)
    before = wanted.read()
    (folder / "headend.yaml").unlink()
    folder.rmdir()
    assert wanted.read() == before
    assert Wanted(None).read() == {}
