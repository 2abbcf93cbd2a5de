"""The software of a box as archives: the same parts give the same bytes and the same name."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from appliance.runtime.errors import HeadgateError
from provisioning.fleet import bundle

REPOSITORY = Path(__file__).resolve().parents[4]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    for name in ("lib/b.py", "lib/a/__init__.py", "system/etc/x.conf", "complete"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(name)
    (tree / "libraries").symlink_to("../../libraries/abc")
    return tree


def test_the_same_tree_gives_the_same_bytes(tree: Path, tmp_path: Path):
    """Times, owners and the order of making do not count."""
    bundle.pack(tree, tmp_path / "one.tar.gz")
    (tree / "lib" / "b.py").touch()
    bundle.pack(tree, tmp_path / "two.tar.gz")

    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()


def test_complete_comes_last(tree: Path, tmp_path: Path):
    """Where `complete` is unpacked, all is; everything is root's."""
    bundle.pack(tree, tmp_path / "one.tar.gz")
    with tarfile.open(tmp_path / "one.tar.gz") as tar:
        members = tar.getmembers()

    assert members[-1].name == "complete"
    assert {(m.uid, m.gid, m.mtime) for m in members} == {(0, 0, 0)}


def test_the_name_follows_the_parts(tmp_path: Path):
    """A changed byte, name or word gives another digest."""
    part = tmp_path / "part"
    part.write_text("one")
    first = bundle.digest("box", [("lib/a", part)])
    renamed, other = bundle.digest("box", [("lib/b", part)]), bundle.digest("controller", [("lib/a", part)])
    part.write_text("two")

    assert len({first, renamed, other, bundle.digest("box", [("lib/a", part)])}) == 4


def test_a_box_gets_its_daemons_and_not_the_lab():
    """Every package's files go to a box, the lab's do not; the centre's units go to the centre only."""
    origin = bundle.Source(REPOSITORY)
    names = {name for name, _ in origin.files()}
    box, centre = ({name for name, _ in origin.system(kind)} for kind in ("box", "controller"))

    assert {"appliance/runtime/service.py", "gateway/isolation/guard.py", "provisioning/main.py"} <= names
    assert not any("provisioning/lab" in name or "__pycache__" in name for name in names)
    assert "etc/systemd/system/headgate-guard.service" in box
    assert "etc/systemd/system/headgate-controller.service" in centre - box


def test_without_a_checkout_there_is_no_software(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Where playbooks and lock files are missing, that is told."""
    monkeypatch.setenv("HEADGATE_SOURCE", str(tmp_path))

    with pytest.raises(HeadgateError, match="no checkout of Headgate"):
        bundle.source()


@pytest.mark.server  # takes seconds
def test_software_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A second build of the same sources makes nothing, and needs no package registry."""
    installed: list[Path] = []

    def install(requirements: Path, target: Path, python: str, machine: str) -> None:
        installed.append(requirements)
        (target / "library").mkdir(parents=True)
        (target / "library" / "__init__.py").write_text("ANSWER = 42\n")

    monkeypatch.setattr(bundle, "_install", install)
    first = bundle.build(bundle.Source(REPOSITORY), "box", "3.11", tmp_path)
    before = first.software.path.stat().st_mtime_ns
    second = bundle.build(bundle.Source(REPOSITORY), "box", "3.11", tmp_path)

    assert first == second
    assert len(installed) == 1
    assert second.software.path.stat().st_mtime_ns == before
    with tarfile.open(first.software.path) as tar:
        assert tar.getmember("libraries").linkname == f"../../libraries/{first.libraries.digest}"
