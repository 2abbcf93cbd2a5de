"""A disk that fails in part: reads beyond what is left of it give EIO, from the kernel itself."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from gateway.store.disk import FOLDERS
from gateway.store.objects import make_folder
from tests.server.content import media
from tests.server.content.conftest import BOTH_WAYS

CODE = "999999-100000000000001-4"
Until = Callable[..., Any]
MIB = 1 << 20


@pytest.fixture
def shrinking(chain: Any, tmp_path: Path) -> Iterator[Callable[[], None]]:
    """The store on a file system whose disk, a loop device, loses all but its first third when this is called."""
    if os.geteuid() != 0 or shutil.which("losetup") is None or shutil.which("mkfs.ext4") is None:
        pytest.skip("SKIPPED LOUDLY: a failing disk needs root, losetup and mkfs.ext4")
    image = tmp_path / "disk.img"
    with image.open("wb") as file:
        file.truncate(64 * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", "-b", "4096", str(image)], check=True)
    device = subprocess.run(
        ["losetup", "-f", "--show", str(image)], check=True, capture_output=True, text=True
    ).stdout.strip()
    folder = chain.state / "store"
    chain.stop("exchange")
    subprocess.run(["mount", device, str(folder)], check=True)
    for name in FOLDERS:  # on what is left of the disk: from a folder that is lost nothing can be taken away
        make_folder(folder / "objects" / name)
    chain.write_policy(lambda text: text + "store: {scrub: 1 KiB}\n")  # so that nobody finds damage but who serves

    def shrink() -> None:
        subprocess.run(["sync", "-f", str(folder)], check=True)
        os.truncate(image, 24 * MIB)
        subprocess.run(["losetup", "-c", device], check=True)
        for path in (folder / "objects").glob("*/*"):
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)

    try:
        chain.start("exchange")
        chain.reload("exchange", "delivery-bigscreen", "delivery-smallscreen")
        yield shrink
    finally:
        if "exchange" in chain.processes:
            chain.stop("exchange", signal.SIGKILL)
        subprocess.run(["umount", "--lazy", str(folder)], check=False)
        subprocess.run(["losetup", "-d", device], check=False)


@pytest.fixture
def freezing(chain: Any) -> Iterator[Callable[[], None]]:
    """The store on a file system of its own that turns read-only when this is called, while everything is started anew."""
    if os.geteuid() != 0:
        pytest.skip("SKIPPED LOUDLY: a read-only disk needs root")
    folder = chain.state / "store"
    chain.stop("exchange")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "headgate-test", str(folder)], check=True)

    def freeze() -> None:
        for name in ("exchange", "admission"):
            chain.stop(name)
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        chain.start("admission", wait=False)
        chain.start("exchange")
        chain.wait("admission")

    try:
        chain.start("exchange")
        yield freeze
    finally:
        if "exchange" in chain.processes:
            chain.stop("exchange", signal.SIGKILL)
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


def test_a_disk_that_takes_nothing_in_is_served_after_a_restart(
    chain: Any, freezing: Callable[[], None], until: Until
) -> None:
    """What was verified is judged again by both filters where it lies, and served, with the origin there or not; what is new is refused."""
    files = {"film.mp4": media.sized(300_000), "a.vtt": b"WEBVTT\n", "new.txt": b"new"}
    chain.publish(files)
    assert all(chain.play(name).status == 200 for name in ("film.mp4", "a.vtt"))
    chain.publish(files, version=2)  # which cannot be taken in any more
    freezing()
    # A zone whose delivery knows nothing yet, so that the exchange is asked.
    assert all(chain.play(name, zone="smallscreen").body == files[name] for name in ("film.mp4", "a.vtt"))
    new = chain.play("new.txt", zone="smallscreen")
    assert (new.status, json.loads(new.body)["reason"]) == (507, "store-broken")
    chain.origin.stop()
    chain.stop("exchange")
    chain.start("exchange")
    told = chain.ask("delivery-bigscreen", "object", {"release": CODE, "path": "film.mp4"})
    assert (told.status, b'"done"' in told.body) == (200, True), told.body

    chain.stop("exchange")  # and with a disk that is writable, and full to the last byte
    store = str(chain.state / "store")
    subprocess.run(["mount", "-o", "remount,rw", store], check=True)
    subprocess.run(
        ["dd", "if=/dev/zero", f"of={store}/full", "bs=64k", "status=none"], check=False, capture_output=True
    )
    chain.start("exchange")
    told = chain.ask("delivery-bigscreen", "object", {"release": CODE, "path": "film.mp4"})
    assert (told.status, b'"done"' in told.body) == (200, True), told.body


def test_a_folder_that_cannot_be_read_costs_its_own_objects_alone(chain: Any, until: Until) -> None:
    """A screen is told why, by both ways in, and everybody else is served."""
    names = {name[:2]: name for name in (hashlib.sha256(str(n).encode()).hexdigest() for n in range(4))}
    files = {f"{n}.txt": str(n).encode() for n in range(4)}
    assert len(names) == len(files)
    chain.publish(files)
    lost = chain.state / "store" / "objects" / hashlib.sha256(files["0.txt"]).hexdigest()[:2]
    lost.symlink_to(lost)  # whatever is asked of it fails (ELOOP)
    for zone in ("bigscreen", "smallscreen", "bigscreen"):
        reply = chain.play("0.txt", zone=zone)
        assert (reply.status, json.loads(reply.body)["reason"]) == (507, "store-broken")
        assert chain.play("1.txt", zone=zone).body == files["1.txt"]
    assert all(process.poll() is None for process in chain.processes.values())
    lost.unlink()
    assert chain.play("0.txt").body == files["0.txt"]
    lost.rename(lost.with_name("aside"))
    lost.symlink_to(lost)  # and now it was served before

    def told() -> bool:  # a moment it is remembered
        reply = chain.play("0.txt")
        return reply.status != 200 and (reply.status, json.loads(reply.body)["reason"]) == (507, "store-broken")

    until(told, "it is told")
    assert all(process.poll() is None for process in chain.processes.values())


def readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError:
        return False
    return True


@BOTH_WAYS
def test_failing_disk_serves_what_it_can_and_lies_never(
    chain: Any, shrinking: Callable[[], None], until: Until
) -> None:
    """Nobody ever gets a wrong byte: an object that cannot be read is reported by delivery, taken away, and fetched again or refused."""
    files = {f"{n}.bin": os.urandom(MIB) for n in range(40)}
    chain.publish(files)
    for name in files:
        assert chain.play(name).status == 200
    shrinking()
    objects = {hashlib.sha256(data).hexdigest(): name for name, data in files.items()}
    lost = {
        name
        for path in (chain.state / "store" / "objects").glob("*/*")
        if not readable(path)
        for name in [objects[path.name]]
    }
    assert 5 < len(lost) < 35
    for name, data in files.items():
        try:
            reply = chain.play(name)
        except (OSError, HTTPException):  # broken off: the screen asks again
            assert name in lost
            continue
        assert reply.body == data if reply.status == 200 else name in lost
    folder = chain.state / "store" / "objects"
    gone = [folder / digest[:2] / digest for digest, name in objects.items() if name in lost]
    until(lambda: all(not path.exists() or readable(path) for path in gone), "what cannot be read is taken away", 60)
    figures = chain.run / "metrics" / "exchange" / "exchange.prom"
    until(lambda: 'headgate_store_disk_errors_total{act="read"}' in figures.read_text(), "it is counted")
    assert all(chain.play(name).body == files[name] for name in files if name not in lost)
