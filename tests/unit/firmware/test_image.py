"""The cache of images: whole or not there."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.runtime.command import CommandFailed
from appliance.runtime.errors import HeadgateError, Refused
from firmware import image
from firmware.image import Host
from firmware.recipe import FACTORY, RECIPES, folder_name

MACHINE = Host("bookworm", "amd64", "Types: deb\n")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="building needs root")


def etc(folder: Path, *, ident: str = "debian", sources: str = "deb http://m/debian bookworm main") -> Path:
    (folder / "apt/sources.list.d").mkdir(parents=True)
    (folder / "os-release").write_text(f'ID={ident}\nVERSION_CODENAME="bookworm"\n')
    (folder / "apt/sources.list").write_text(sources)
    return folder


def test_a_layer_stands_above_the_factory_image(tmp_path: Path):
    """The topmost folder comes first, as overlayfs wants it."""
    top, below = image.layers("player", MACHINE, tmp_path)

    assert below == image.layers("factory", MACHINE, tmp_path)[0]
    assert top.name == folder_name(RECIPES["player"], "bookworm", "amd64", MACHINE.sources)


def test_a_machine_s_own_debian_is_read(tmp_path: Path):
    """Suite and sources come from the machine, none from the code."""
    found = image.host(etc(tmp_path))

    assert found.suite == "bookworm"
    assert found.sources == "Types: deb\nURIs: http://m/debian\nSuites: bookworm\nComponents: main\n"


@pytest.mark.parametrize(
    ("given", "reason"), [({"ident": "fedora"}, "not-debian"), ({"sources": "deb http://v vendor main"}, "no-sources")]
)
def test_a_machine_that_cannot_build_is_told_why(tmp_path: Path, given: dict, reason: str):
    """Neither another distribution nor one without Debian's sources builds anything."""
    with pytest.raises(Refused) as refused:
        image.host(etc(tmp_path, **given))

    assert refused.value.reason == reason


def test_what_is_built_is_kept(tmp_path: Path):
    """A whole image is not built again, and needs no root."""
    for path in image.layers("centre", MACHINE, tmp_path):
        path.mkdir()

    assert image.build("centre", pytest.fail, folder=tmp_path, machine=MACHINE) == image.layers(
        "centre", MACHINE, tmp_path
    )


@pytest.fixture
def builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program called mmdebstrap, whose behaviour the test writes."""
    program = tmp_path / "bin/mmdebstrap"
    program.parent.mkdir()
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setitem(image.ENVIRONMENT, "PATH", os.environ["PATH"])
    return program


@needs_root
def test_a_failed_build_leaves_no_half_image(tmp_path: Path, builder: Path):
    """The last lines of the builder are in the error, and the cache is as it was."""
    builder.write_text("#!/bin/sh\necho E: no such package; exit 7\n")
    told: list[str] = []

    with pytest.raises(CommandFailed, match="no such package"):
        image.build("factory", told.append, folder=tmp_path / "cache", machine=MACHINE)

    assert told[-1] == "E: no such package"
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["lock"]


@needs_root
def test_what_an_interrupted_build_left_is_removed(tmp_path: Path, builder: Path):
    """A builder that was killed cannot clean up; the next one does."""
    left = tmp_path / "cache" / f"{image.PARTIAL}factory-x" / "root"
    left.mkdir(parents=True)
    builder.write_text("#!/bin/sh\nexit 1\n")
    told: list[str] = []

    with pytest.raises(CommandFailed):
        image.build("factory", told.append, folder=tmp_path / "cache", machine=MACHINE)

    assert not left.parent.exists()
    assert any("interrupted" in line for line in told)


@needs_root
def test_nothing_mounted_is_removed(tmp_path: Path):
    """Removing a folder never reaches into what is mounted there."""
    point = tmp_path / "left" / "dev"
    point.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", str(point)], check=True)
    try:
        with pytest.raises(HeadgateError, match="is mounted"):
            image.remove(tmp_path / "left")
        assert point.is_dir()
    finally:
        subprocess.run(["umount", str(point)], check=True)
    image.remove(tmp_path / "left")
    assert not (tmp_path / "left").exists()


@needs_root
def test_a_builder_s_processes_and_mounts_end_with_it(tmp_path: Path):
    """What a package's script started does not outlive the build."""
    script = f"mount -t tmpfs none {tmp_path}; sleep 4711 >/dev/null 2>&1 & echo started"

    image.run_aloud(["sh", "-c", script], lambda line: None)

    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()
    assert not running("sleep 4711")


@needs_root
def test_a_killed_build_ends_its_builder(tmp_path: Path, builder: Path):
    """Kill -9 of `headgate firmware build`: nothing builds on behind the next one's back, and nothing stays mounted."""
    started = tmp_path / "started"
    sleeping = f"sleep 4713.{os.getpid()}"  # the tests of another clone may run on this machine
    builder.write_text(f"#!/bin/sh\nmount -t tmpfs none {tmp_path}/bin; touch {started}; {sleeping}\n")
    code = (
        "import os, sys; from pathlib import Path; from firmware import image\nimage.ENVIRONMENT['PATH'] = os.environ['PATH']\n"
        "image.build('factory', print, folder=Path(sys.argv[1]), machine=image.Host('bookworm', 'amd64', 'x'))"
    )
    argv = [sys.executable, "-c", code, str(tmp_path / "cache")]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as build:
        until(started.exists)
        assert running(sleeping)
        build.kill()

    until(lambda: not running(sleeping))
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()
    assert [path.name for path in (tmp_path / "cache").glob("factory-*")] == []


def running(words: str) -> bool:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return words in listed.splitlines()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_missing_builder_is_named():
    """The operator reads which program to install."""
    with pytest.raises(CommandFailed, match="'no-such-builder' is not installed"):
        image.run_aloud(["no-such-builder"], lambda line: None)


def test_the_factory_image_is_built_on_nothing():
    """It is the image that every box is made of."""
    assert FACTORY.below is None
